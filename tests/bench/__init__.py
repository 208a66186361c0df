"""What `make bench` measures: ratios within one run, never a test that depends on time."""
