"""Merging what a run saw and did into what earlier runs left. Pure."""
