"""Send metrics in the way of Airflow: by StatsD, with or without tags, by DogStatsD, or by OpenTelemetry.

Plain StatsD has no tags, so the labels are parts of the name. Elsewhere they are tags, and the name has none. No value
is sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

from registry_sync.state.metrics import METRICS, PREFIX, MetricValue

log = logging.getLogger(__name__)


def send_metrics(values: Iterable[MetricValue]) -> None:
    """Send values. Nothing that fails here fails a task."""
    try:
        has_tags = _has_tags()
        for value in values:
            _send(value, has_tags=has_tags)
    except Exception as error:
        log.warning("metrics could not be sent: %s", error)


def _send(value: MetricValue, *, has_tags: bool) -> None:
    metric = METRICS[value.name]
    name = f"{PREFIX}.{value.name}" if has_tags else plain_name(value)
    tags = dict(zip(metric.labels, value.labels, strict=True)) if has_tags else None
    if metric.kind == "gauge":
        stats.gauge(name, value.value, tags=tags)
    else:
        stats.incr(name, value.value, tags=tags)


def plain_name(value: MetricValue) -> str:
    """The name of a value with its labels in it, for StatsD without tags.

    >>> plain_name(MetricValue(name="tags_missing", labels=("quay_to_acr", "acr"), value=3))
    'registry_sync.tags_missing.quay_to_acr.acr'
    """
    return ".".join((PREFIX, value.name, *value.labels))


def has_backend() -> bool:
    """Return whether Airflow sends metrics anywhere. Otherwise nothing needs to be read for them."""
    settings = ("statsd_datadog_enabled", "statsd_on", "otel_on")
    return any(conf.getboolean("metrics", name, fallback=False) for name in settings)


def _has_tags() -> bool:
    """Return whether Airflow's metrics have tags, by its settings. It uses the first backend that is on."""
    if conf.getboolean("metrics", "statsd_datadog_enabled", fallback=False):
        return bool(conf.getboolean("metrics", "statsd_datadog_metrics_tags", fallback=True))
    if conf.getboolean("metrics", "statsd_on", fallback=False):
        return bool(conf.getboolean("metrics", "statsd_influxdb_enabled", fallback=False))
    return True
