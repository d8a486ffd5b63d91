"""DAGs, operators, hooks and triggers; the only importer of Airflow."""
