"""`weir found`: a co-op from nothing to the point where `weir up` runs it."""
