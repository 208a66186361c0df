"""Ground truth: what a relay of our own counted, against what the co-op counted, under kill -9."""
