"""The commands below ``nodes``."""
