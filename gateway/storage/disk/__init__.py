"""The disk engine: immutable files with random names, and a SQLite index that is the truth."""
