"""Storage engines behind one contract (base)."""
