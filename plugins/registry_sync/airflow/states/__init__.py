"""States in Airflow: assets and their store in tasks, the metadata database elsewhere."""
