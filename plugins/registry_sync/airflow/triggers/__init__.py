"""Airflow triggers of deferred tasks."""
