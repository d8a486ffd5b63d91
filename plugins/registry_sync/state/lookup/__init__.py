"""The queries of pages and commands, and their answers."""
