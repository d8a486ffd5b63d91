"""Pruning of one route: the tags that a run may delete, and their deletion in two runs."""
