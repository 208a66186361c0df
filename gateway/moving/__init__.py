"""A bucket on its way from one storage engine to another, while members go on writing to it."""
