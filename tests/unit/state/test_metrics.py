"""States, reports and readiness as metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.registry.traffic import Traffic
from registry_sync.state.destination import DestinationState, RouteFigures
from registry_sync.state.metrics import (
    METRICS,
    PREFIX,
    MetricValue,
    destination_metrics,
    events_metrics,
    lost_events_metrics,
    readiness_metrics,
    run_metrics,
)
from registry_sync.state.pushes import LastEvents
from registry_sync.state.readiness import PoolStart, ReadinessState
from registry_sync.state.stored_destination import StoredDestination
from registry_sync.sync.report import RouteReport

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

GOOD = RouteFigures(
    looked_at=NOON - timedelta(minutes=5), complete_at=NOON - timedelta(hours=3), selected=9, in_sync=9, lag_seconds=60
)
BEHIND = replace(
    GOOD, in_sync=4, missing=2, changed=1, locked=1, kept=1, oldest_lacking=NOON - timedelta(hours=4), fresh_within=7200
)
FAILING = replace(
    GOOD, in_sync=8, failing=1, oldest_lacking=NOON - timedelta(hours=1), failing_since=NOON - timedelta(minutes=50)
)
STATE = DestinationState(
    mirror="quay_to_acr",
    destination="acr",
    host="example.azurecr.io",
    source_host="quay.io",
    run_id="run",
    run_ended=NOON - timedelta(minutes=4),
    listed_at=NOON - timedelta(minutes=5),
    complete_at=NOON - timedelta(hours=3),
    fresh_within=7200,
)
STORED = StoredDestination(
    mirror="quay_to_acr", destination="acr", state=STATE, figures={"a": GOOD, "b": BEHIND, "c": FAILING}
)


def by_name(values: Iterable[MetricValue]) -> dict[str, int]:
    """The values of one destination by name; each name occurs once."""
    values = list(values)
    assert {value.labels for value in values} == {("quay_to_acr", "acr")}
    names = [value.name for value in values]
    assert len(names) == len(set(names))
    return dict(zip(names, (value.value for value in values), strict=True))


def test_a_destination_in_numbers() -> None:
    assert by_name(destination_metrics(STORED, NOON)) == {
        "broken": 1,
        "routes": 3,
        "routes_failing": 1,
        "routes_stale": 1,
        "routes_unknown": 0,
        "tags_selected": 27,
        "tags_in_sync": 21,
        "tags_missing": 3,
        "tags_failing": 1,
        "tags_locked": 1,
        "tags_kept": 1,
        "oldest_unsynced_seconds": 4 * 3600,
        "promise_seconds": 7200,
        "failing_seconds": 50 * 60,
        "lag_seconds": 60,
        "look_age_seconds": 300,
        "complete_look_age_seconds": 3 * 3600,
        "run_age_seconds": 240,
        "run_overdue_seconds": 0,
    }


def test_a_destination_in_sync_has_zeros() -> None:
    stored = replace(STORED, figures={"a": GOOD})
    values = by_name(destination_metrics(stored, NOON))
    zeros = {name for name, value in values.items() if value == 0}
    assert zeros == {
        *("broken", "routes_failing", "routes_stale", "routes_unknown"),
        *("tags_missing", "tags_failing", "tags_locked", "tags_kept"),
        *("oldest_unsynced_seconds", "failing_seconds", "run_overdue_seconds"),
    }


def test_ages_grow_while_no_run_comes() -> None:
    before = by_name(destination_metrics(STORED, NOON, overdue_since=NOON))
    after = by_name(destination_metrics(STORED, NOON + timedelta(hours=1), overdue_since=NOON))
    grown = {name for name in before if after[name] == before[name] + 3600}
    own = {name for name, metric in METRICS.items() if metric.labels == ("mirror", "destination")}
    ages = {name for name in own if name.endswith(("_age_seconds", "_overdue_seconds"))}
    assert grown == {*ages, "oldest_unsynced_seconds", "failing_seconds"}


def test_a_run_that_did_not_come_breaks_a_destination_in_sync() -> None:
    stored, due = replace(STORED, figures={"a": GOOD}), NOON - timedelta(minutes=20)
    values = by_name(destination_metrics(stored, NOON, overdue_since=due))
    assert (values["broken"], values["run_overdue_seconds"]) == (1, 1200)


@pytest.mark.parametrize(
    "stored",
    [
        StoredDestination(mirror="quay_to_acr", destination="acr", figures={}),
        StoredDestination(mirror="quay_to_acr", destination="acr", figures={}, faults=("cannot be read",)),
        replace(STORED, faults=("part 2 of 2 of the index of routes is missing",)),
    ],
)
def test_an_unreadable_state_is_broken_and_has_no_sums(stored: StoredDestination) -> None:
    assert by_name(destination_metrics(stored, NOON)) == {"broken": 1}


def test_what_is_not_known_is_absent() -> None:
    state = replace(STATE, fresh_within=None, complete_at=None)
    stored = replace(STORED, state=state, figures={"a": replace(GOOD, lag_seconds=None)})
    missing = METRICS.keys() - by_name(destination_metrics(stored, NOON)).keys()
    gauges = {name for name in missing if METRICS[name].labels == ("mirror", "destination")}
    assert {name for name in gauges if METRICS[name].kind == "gauge"} == {
        *("promise_seconds", "complete_look_age_seconds", "lag_seconds")
    }


def report(**fields: object) -> RouteReport:
    values = {"mirror": "quay_to_acr", "route_key": "k", "source": "a", "destination": "b", "counts": {}, **fields}
    return RouteReport(**values)  # type: ignore[arg-type]


def test_a_run_is_counted_over_its_routes() -> None:
    reports = [
        report(counts={"copied": 3, "unchanged": 4}, sent_bytes=1000, traffic=Traffic(requests=7, pulls=5)),
        report(counts={"copied": 1, "deleted": 2}, sent_bytes=500),
        report(error="it is down", traffic=Traffic(requests=2, waits=1, wait_seconds=30.4)),
    ]
    assert by_name(run_metrics("quay_to_acr", "acr", reports)) == {
        "copied_tags": 4,
        "copied_bytes": 1500,
        "deleted_tags": 2,
        "requests": 9,
        "pulls": 5,
        "rate_limit_waits": 1,
        "rate_limit_wait_seconds": 30,
    }


def test_a_run_without_work_counts_zeros() -> None:
    """A counter that begins with its first copy has no increase that Prometheus could see."""
    values = by_name(run_metrics("quay_to_acr", "acr", []))
    own = {name for name, metric in METRICS.items() if metric.labels == ("mirror", "destination")}
    assert set(values) == {name for name in own if METRICS[name].kind == "counter"}
    assert set(values.values()) == {0}


def test_a_dry_run_copies_nothing() -> None:
    values = by_name(run_metrics("quay_to_acr", "acr", [report(counts={"would_copy": 3}, dry_run=True)]))
    assert values["copied_tags"] == 0


def test_readiness_in_numbers() -> None:
    """An unknown start counts as a failure. Nodes without a promise have no value: nobody has to act."""
    starts = (
        PoolStart(pool="outside", answer="starts"),
        PoolStart(pool="outside", down="acr", answer="does_not_start"),
        PoolStart(pool="outside", down="hub", answer="unknown"),
        PoolStart(pool="alone", down="hub", answer="not_promised"),
        PoolStart(pool="empty", answer="no_images"),
    )
    state = ReadinessState(read_at=NOON, run_id="run", starts=starts)
    values = [(value.name, *value.labels, value.value) for value in readiness_metrics(state, NOON + timedelta(hours=2))]
    assert values == [
        ("pool_start", "outside", "none", 1),
        ("pool_start", "outside", "acr", 0),
        ("pool_start", "outside", "hub", 0),
        ("readiness_age_seconds", 7200),
    ]


def test_the_longest_names_are_short_enough_for_airflow() -> None:
    """Airflow drops a StatsD name of more than 250 characters. Names in the mirrors file have at most 100."""
    assert max(len(f"{PREFIX}.{name}") + 101 * len(metric.labels) for name, metric in METRICS.items()) <= 250


def test_a_mirror_has_the_age_of_its_last_event_and_the_count_of_lost_ones() -> None:
    events = LastEvents(received_at=NOON, chained_at=NOON + timedelta(hours=1))
    labels = ("quay_to_acr",)
    age = MetricValue(name="event_age_seconds", labels=labels, value=7200)
    assert events_metrics("quay_to_acr", events, NOON + timedelta(hours=2)) == [age]
    assert events_metrics("quay_to_acr", LastEvents(chained_at=NOON), NOON) == []
    assert events_metrics("quay_to_acr", None, NOON) == []
    assert lost_events_metrics("quay_to_acr", 3) == [MetricValue(name="lost_events", labels=labels, value=3)]
