"""Pages for people in Airflow's web UI, served by its API server: HTML without scripts of others, and JSON."""
