"""Judging routes and destinations at the time of reading. Pure."""
