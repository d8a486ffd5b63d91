"""The command line: ``python -m registry_sync``."""
