"""The check that nodes can pull their bootstrap images now."""
