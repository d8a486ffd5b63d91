"""The mirrors file as it may be written, and reading it with line numbers."""
