"""The questions of pages and commands, and their answers."""
