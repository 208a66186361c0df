"""Founding a co-op: what founders answer, what follows from it, and the papers they take to the meeting."""
