"""The demo: a real co-op for half a minute, driven by real S3 clients that count for themselves."""
