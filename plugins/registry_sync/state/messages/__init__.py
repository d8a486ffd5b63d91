"""What people are told about a mirror, once per change. Pure."""
