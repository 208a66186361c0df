"""Deploy: puts the rooms together and runs them. It knows nothing of the rules in the rooms."""
