"""Checks of everything that a run needs, each with what to type where it is lacking."""
