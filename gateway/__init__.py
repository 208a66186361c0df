"""The gateway: the S3 door in front of the storage engines. It knows no money."""
