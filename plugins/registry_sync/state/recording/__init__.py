"""Merge the results of a run into the stored state of earlier runs. Pure."""
