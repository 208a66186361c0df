"""Having a say: proposals, votes, and results that anybody can count again."""
