"""Money that goes through the bank."""
