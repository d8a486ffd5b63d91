"""Airflow hooks: thin adapters from Connections to the core's values."""
