"""Settings of Airflow for every test, which have to stand in the environment before its first import."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parent.parent

_OWN_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
"""Each test process has one, so that tests neither meet each other nor a home that is in use."""


def _forget_settings() -> None:
    """Drop what this machine tells Airflow and skopeo: tests must not depend on it."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "REGISTRY_SYNC_")):
            del os.environ[name]


_forget_settings()
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("busy"), max_examples=2000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "busy")
settings.load_profile(PROFILE)  # tests share two cores with registries and Airflow
IS_LONG = PROFILE == "long"
"""For a night: many more examples and interleavings than CI has time for."""
atexit.register(shutil.rmtree, _OWN_HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(_OWN_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_OWN_HOME}/airflow.db",
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="1",
)
