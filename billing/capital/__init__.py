"""What members hold in the co-op after a closing, and how it is paid back."""
