"""Messages to people about a mirror, one per change. Pure."""
