"""Checks of everything that a run needs. Each finding has the command or the setting that corrects it."""
