"""What use costs a member: prices, lines, and how they are kept."""
