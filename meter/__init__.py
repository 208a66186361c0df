"""The meter: who moved how many bytes, when. It knows no HTTP, no S3 and no money."""

__version__ = "0.1.0"
