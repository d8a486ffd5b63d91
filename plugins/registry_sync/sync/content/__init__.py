"""Content by digest on its way to a destination, and the check that it is there."""
