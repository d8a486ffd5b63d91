"""Settings of Airflow for every test, set before its first import, and the fixtures that patch clock and chance."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
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


@pytest.fixture
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory for temporary files of one test: locks and request rates of other tests are elsewhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def recorded_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses of the HTTP transport in seconds, recorded instead of slept."""
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr("registry_sync.registry.transport.time", clock)
    return pauses


@pytest.fixture
def minimal_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chance return the lowest value, and next to nothing where that is below a second."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low if low >= 1 else 0.01)
