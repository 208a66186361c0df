"""`weir doctor`: what an operator would look at one by one, looked at together."""
