"""List prices of others, and our cost beside them."""
