"""The only subprocess: copies by digest, on this worker or in containers."""
