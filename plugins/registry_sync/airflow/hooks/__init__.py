"""Airflow hooks: thin adapters from Airflow Connections to the values of the other packages."""
