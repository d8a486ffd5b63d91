"""Whether a node would start now."""
