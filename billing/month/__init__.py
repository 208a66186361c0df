"""A month: what follows from it, member by member, and what it books."""
