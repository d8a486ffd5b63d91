"""Runs for pushes: the asset that receives them, and the DAG of a mirror that copies the pushed tags."""
