"""What members and board decide and agree to."""
