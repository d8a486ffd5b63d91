"""Metrics and a backend of Airflow that cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NoReturn

import pytest
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from registry_sync.airflow.metrics import send_metrics
from registry_sync.state.metrics import MetricValue

VALUE = MetricValue(name="broken", labels=("quay_to_acr", "acr"), value=1)


def _fail() -> NoReturn:
    raise OSError("no route to the server")


@pytest.fixture
def broken_backend() -> Iterator[None]:
    stats.initialize(factory=_fail, export_legacy_names=True)
    yield
    stats.initialize(factory=get_stats_factory(), export_legacy_names=True)


@pytest.mark.usefixtures("broken_backend")
def test_a_backend_that_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        send_metrics([VALUE, VALUE])
    assert caplog.messages == ["metrics could not be sent: no route to the server"]
