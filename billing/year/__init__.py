"""The closing of a fiscal year: a pure calculation, in the order of its steps."""
