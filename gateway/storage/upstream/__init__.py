"""The upstream engine: buckets that live on another S3 system."""
