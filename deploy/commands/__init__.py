"""The subjects of the weir command, one module each."""
