"""Settings of Airflow for every test, set before its first import, and the fixtures that patch clock and chance."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from testkit.sleeping_clock import SleepingClock

PROJECT = Path(__file__).resolve().parent.parent

MOST_ID = 60
"""Characters of one value in the id of a test."""

_OWN_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
"""Home of Airflow for this test process only."""


def _forget_settings() -> None:
    """Remove this machine's settings of Airflow and registry_sync from the environment."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "REGISTRY_SYNC_")):
            del os.environ[name]


_forget_settings()
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("busy"), max_examples=2000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "busy")
settings.load_profile(PROFILE)  # tests share two cores with registries and Airflow
IS_LONG = PROFILE == "long"
"""Run many more examples and interleavings than CI has time for."""
atexit.register(shutil.rmtree, _OWN_HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(_OWN_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_OWN_HOME}/airflow.db",
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="1",
)


@pytest.fixture(autouse=True)
def secrets_forgotten() -> Iterator[None]:
    """Passwords of a test are not masked in the texts of later ones, which have the same words."""
    yield
    if masker := sys.modules.get("airflow.sdk._shared.secrets_masker.secrets_masker"):
        masker.reset_secrets_masker()


@pytest.fixture
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory for temporary files of one test: locks and request rates of other tests are elsewhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def sleeping_clock(
    own_temporary_directory: Path,  # noqa: ARG001 - rate limits of other tests are elsewhere
    monkeypatch: pytest.MonkeyPatch,
) -> SleepingClock:
    """The clock of the HTTP transport and of the rate limiter, whose shared files are of this test alone."""
    clock = SleepingClock()
    monkeypatch.setattr("registry_sync.registry.wire.transport.time", clock)
    monkeypatch.setattr("registry_sync.registry.wire.rate_limit.time", clock)
    monkeypatch.setattr("registry_sync.registry.traffic.time", clock)
    monkeypatch.setattr("registry_sync.registry.vendors.ecr.api.time", clock)
    return clock


@pytest.fixture
def recorded_pauses(sleeping_clock: SleepingClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses of the HTTP transport between two attempts in seconds, recorded instead of slept."""
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=sleeping_clock.monotonic)
    monkeypatch.setattr("registry_sync.registry.wire.transport.time", clock)
    return pauses


@pytest.fixture
def minimal_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chance return the lowest value, and next to nothing where that is below a second."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low if low >= 1 else 0.01)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Show values that have no short form in pytest, such as mappings, by what they hold instead of a number."""
    match val:
        case BaseException():
            text = f"{type(val).__name__}({val})"
        case timedelta() | datetime() | Path():
            text = str(val)
        case dict() | list() | tuple():
            text = repr(val)
        case _ if is_dataclass(val) and not isinstance(val, type):
            text = type(val).__name__ if type(val).__str__ is object.__str__ else str(val)
        case _:
            return None
    return text if len(text) <= MOST_ID else f"{text[: MOST_ID - 1]}…"
