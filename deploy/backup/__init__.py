"""Backups: everything Weir keeps on a machine, sealed, at one moment, in a place of its own; and back again."""
