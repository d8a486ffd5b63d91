"""Messages through Airflow's notifiers."""
