"""Checks of Airflow: Connections, pools, queues, settings, notifiers; and all checks together."""
