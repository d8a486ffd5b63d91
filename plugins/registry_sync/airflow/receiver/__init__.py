"""The receiver of webhooks: a small app in Airflow's API server, beside the pages and apart from them."""
