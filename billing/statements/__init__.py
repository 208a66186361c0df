"""What one member is told, and what they take home."""
