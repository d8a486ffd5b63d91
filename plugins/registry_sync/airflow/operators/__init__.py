"""Airflow operators: thin adapters from tasks to the core."""
