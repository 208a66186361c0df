"""What the co-op pays, and whom it is shared out to."""
