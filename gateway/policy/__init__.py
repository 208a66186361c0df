"""Bucket policies: read, judged, and what S3 calls public."""
