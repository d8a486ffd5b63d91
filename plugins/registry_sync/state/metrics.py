"""Metrics: states, reports of runs and readiness as named numbers. docs/metrics.md has the same table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from registry_sync.state.judging.freshness import age_seconds
from registry_sync.state.lookup.overview import OverviewRow, overview_row
from registry_sync.state.pushes import LastEvents
from registry_sync.state.readiness import PoolStart, ReadinessState, StartAnswer
from registry_sync.state.stored_destination import StoredDestination
from registry_sync.sync.report import RouteReport

MetricKind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric. ``labels`` are the names of its labels, in the order of their values in plain StatsD names."""

    kind: MetricKind
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """A value of a metric.

    :ivar name: a key of :data:`METRICS`.
    :ivar labels: values of its labels, in their order.
    """

    name: str
    labels: tuple[str, ...]
    value: int


_PER_DESTINATION = ("mirror", "destination")

_GAUGES = (
    *("broken", "routes", "routes_failing", "routes_stale", "routes_unknown"),
    *("tags_selected", "tags_in_sync", "tags_missing", "tags_failing", "tags_locked", "tags_kept"),
    *("oldest_unsynced_seconds", "promise_seconds", "failing_seconds", "lag_seconds"),
    *("look_age_seconds", "complete_look_age_seconds", "run_age_seconds", "run_overdue_seconds"),
)

_COUNTERS = (
    *("copied_tags", "copied_bytes", "deleted_tags"),
    *("requests", "pulls", "rate_limit_waits", "rate_limit_wait_seconds"),
)

METRICS: Mapping[str, Metric] = {
    **{name: Metric(kind="gauge", labels=_PER_DESTINATION) for name in _GAUGES},
    **{name: Metric(kind="counter", labels=_PER_DESTINATION) for name in _COUNTERS},
    "lost_events": Metric(kind="counter", labels=("mirror",)),
    "event_age_seconds": Metric(kind="gauge", labels=("mirror",)),
    "pool_start": Metric(kind="gauge", labels=("pool", "down")),
    "readiness_age_seconds": Metric(kind="gauge", labels=()),
}
"""All metrics by name, without the prefix :data:`PREFIX`."""

PREFIX = "registry_sync"

NOTHING_DOWN = "none"
"""The label ``down`` when all registries are up."""


def destination_metrics(
    stored: StoredDestination, now: datetime, *, overdue_since: datetime | None = None
) -> list[MetricValue]:
    """The gauges of one destination. Unknown ones are absent.

    Where a part of the state cannot be read, only ``broken`` is sent: sums of the rest would look like fewer tags.

    :param now: the time of reading, so that ages grow while no run comes.
    :param overdue_since: when a missing run of the mirror should have started.
    """
    row = overview_row(stored, None, now)
    figures = {
        **_counts(row),
        "oldest_unsynced_seconds": row.oldest_lacking.age_seconds if row.oldest_lacking else 0,
        "promise_seconds": row.fresh_within,
        "failing_seconds": _age(row.failing_since, now) or 0,
        "lag_seconds": row.arrival_seconds,
        "look_age_seconds": _age(row.looked_at, now),
        "complete_look_age_seconds": _age(row.complete_at, now),
        "run_age_seconds": _age(stored.state.run_ended if stored.state else None, now),
        "run_overdue_seconds": _age(overdue_since, now) or 0,
    }
    is_readable = stored.state is not None and not stored.faults
    known = {"broken": int(row.is_broken or overdue_since is not None), **(figures if is_readable else {})}
    return _values(known, (stored.mirror, stored.destination))


def run_metrics(mirror: str, destination: str, reports: Sequence[RouteReport]) -> list[MetricValue]:
    """The counters of one run at one destination. Zeros are sent, too, so that rates begin with the first run."""
    figures = {
        "copied_tags": sum(report.counts.get("copied", 0) for report in reports),
        "copied_bytes": sum(report.sent_bytes for report in reports),
        "deleted_tags": sum(report.counts.get("deleted", 0) for report in reports),
        "requests": sum(report.traffic.requests for report in reports),
        "pulls": sum(report.traffic.pulls for report in reports),
        "rate_limit_waits": sum(report.traffic.waits for report in reports),
        "rate_limit_wait_seconds": sum(report.traffic.wait_seconds for report in reports),
    }
    return _values(figures, (mirror, destination))


def lost_events_metrics(mirror: str, count: int) -> list[MetricValue]:
    """The counter of tags that a run found, and that no event had named."""
    return _values({"lost_events": count}, (mirror,))


def events_metrics(mirror: str, events: LastEvents | None, now: datetime) -> list[MetricValue]:
    """The age of the last event from the registry of a mirror's source; nothing before the first."""
    received_at = events.received_at if events else None
    return _values({"event_age_seconds": _age(received_at, now)}, (mirror,))


def readiness_metrics(state: ReadinessState, now: datetime) -> list[MetricValue]:
    """The gauges of the last readiness check. Outages that a pool's configuration cannot cover are absent."""
    starts = (
        MetricValue(name="pool_start", labels=(start.pool, start.down or NOTHING_DOWN), value=value)
        for start, value in _promised(state.starts)
    )
    return [*starts, *_values({"readiness_age_seconds": _age(state.read_at, now)}, ())]


_STARTS: Mapping[StartAnswer, int] = {"starts": 1, "does_not_start": 0, "unknown": 0}


def _promised(starts: Sequence[PoolStart]) -> Iterator[tuple[PoolStart, int]]:
    for start in starts:
        if (value := _STARTS.get(start.answer)) is not None:
            yield start, value


def _counts(row: OverviewRow) -> Mapping[str, int]:
    tags, routes = row.tags, row.routes_by_status
    return {
        "routes": row.routes,
        **{f"routes_{status}": routes.get(status, 0) for status in ("failing", "stale", "unknown")},
        "tags_selected": tags.selected,
        "tags_in_sync": tags.in_sync,
        "tags_missing": tags.missing + tags.changed,
        "tags_failing": tags.failing,
        "tags_locked": tags.locked,
        "tags_kept": tags.kept,
    }


def _age(time: datetime | None, now: datetime) -> float | None:
    return age_seconds(time, now) if time else None


def _values(figures: Mapping[str, float | None], labels: tuple[str, ...]) -> list[MetricValue]:
    return [
        MetricValue(name=name, labels=labels, value=round(value))
        for name, value in figures.items()
        if value is not None
    ]
