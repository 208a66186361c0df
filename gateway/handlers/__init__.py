"""One module per family of S3 operations; each handler turns a Call into a Reply."""
