"""The address of Airflow's API server."""

from __future__ import annotations

from airflow.configuration import conf


def base_url() -> str:
    """``[api] base_url`` of Airflow, without a slash at its end."""
    return str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")
