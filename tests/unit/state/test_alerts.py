"""Alerts about a destination, from its stored state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document
from registry_sync.state.messages.alerts import Alert, collect_alerts
from registry_sync.state.messages.known_destination import MAX_DETAILED_ROUTES, fetch_destination
from registry_sync.state.names import DESTINATION_KEY, index_key
from registry_sync.state.route import Problem, RouteState

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDED = NOW - HOUR / 2

STATE = DestinationState(
    mirror="m",
    destination="acr",
    host="acr.example",
    source_host="quay.io",
    run_id="scheduled__1",
    run_ended=ENDED,
    listed_at=ENDED,
    summary="m: 1 of 2 routes failed",
    index_parts=1,
)
WELL = RouteFigures(looked_at=ENDED, selected=3, in_sync=3)
FAILING = replace(WELL, in_sync=2, failing=1, failing_since=NOW - 9 * HOUR)


class Stored(dict[str, Any]):
    """A state store. It counts what is read."""

    reads = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.reads += 1
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def stored(routes: Mapping[str, RouteFigures], details: Mapping[str, RouteState] | None = None, **state: Any) -> Stored:
    documents = {name: as_document(route) for name, route in (details or {}).items()}
    index = as_document(RouteIndex(routes=dict(routes)))
    return Stored({DESTINATION_KEY: as_document(replace(STATE, **state)), index_key(0): index, **documents})


def a_route(name: str, *problems: Problem, count: int | None = None) -> RouteState:
    return RouteState(
        route=name,
        source=f"quay.io/{name}",
        destination=f"acr.example/{name}",
        run_id="scheduled__1",
        task_id="to_acr",
        map_index=0,
        looked_at=ENDED,
        failing=len(problems),
        problems=problems,
        problem_count=len(problems) if count is None else count,
    )


def a_problem(tag: str | None, reason: str = "the quota is used up", hours: int = 9) -> Problem:
    return Problem(tag=tag, error_class="refused", reason=reason, since=NOW - hours * HOUR, tries=hours)


def alerts(store: Stored) -> list[Alert]:
    return collect_alerts([fetch_destination(store, "m", "acr")], NOW)


def shown(store: Stored) -> list[str]:
    return [f"{alert.kind} {alert.place}: {alert.reason}" for alert in alerts(store)]


def test_nothing_is_wrong_before_the_first_run_and_when_all_is_in_sync() -> None:
    assert alerts(Stored()) == []
    store = stored({"a/b": WELL, "a/c": replace(WELL, missing=1, oldest_lacking=NOW - HOUR)})
    assert (alerts(store), store.reads) == ([], 2)


def test_each_failing_tag_has_its_reason_and_age() -> None:
    routes = {"a/b": replace(FAILING, failing=2), "a/c": WELL}
    details = {"a/b": a_route("a/b", a_problem("v1"), a_problem("v2", "403 Forbidden", hours=2))}
    assert alerts(stored(routes, details, is_failed=True)) == [
        Alert(
            kind="failed",
            key="acr a/b v1",
            place="a/b:v1 → acr",
            reason="the quota is used up",
            since=NOW - 9 * HOUR,
            tries=9,
        ),
        Alert(
            kind="failed",
            key="acr a/b v2",
            place="a/b:v2 → acr",
            reason="403 Forbidden",
            since=NOW - 2 * HOUR,
            tries=2,
        ),
    ]


def test_a_renamed_route_is_named_as_in_airflow() -> None:
    name = "a/b → mirror/b"
    assert shown(stored({name: FAILING}, {name: a_route(name, a_problem("v1"))})) == [
        "failed a/b:v1 → acr/mirror/b: the quota is used up"
    ]


def test_a_route_that_fails_as_a_whole_is_one_alert() -> None:
    figures = replace(WELL, failing_since=NOW - HOUR)
    assert shown(stored({"a/b": figures}, {"a/b": a_route("a/b", a_problem(None, "503 Service Unavailable"))})) == [
        "failed a/b → acr: 503 Service Unavailable"
    ]


def test_tags_without_a_stored_problem_are_counted() -> None:
    routes = {"a/b": replace(FAILING, failing=20, locked=3), "a/c": replace(FAILING, failing=7)}
    store = stored(routes, {"a/b": a_route("a/b", a_problem("v1"), count=23)})
    assert shown(store) == [
        "failed a/b → acr: 22 more tags fail; see the route on the page Mirrors",
        "failed a/b:v1 → acr: the quota is used up",
        "failed a/c → acr: 7 tags fail; see the route on the page Mirrors",
    ]
    assert sum(alert.count for alert in alerts(store)) == 30


def test_only_some_of_many_failing_routes_are_read() -> None:
    routes = {f"a/r{number:03}": FAILING for number in range(MAX_DETAILED_ROUTES + 10)}
    store = stored(routes, {name: a_route(name, a_problem("v1")) for name in routes})
    assert (len(alerts(store)), store.reads) == (len(routes), 2 + MAX_DETAILED_ROUTES)


def test_failures_of_the_run_itself() -> None:
    problem = a_problem(None, "quay.io cannot be reached", hours=3)
    store = stored({"a/b": WELL}, problem=problem, unreported=("a/b",), is_failed=True)
    assert shown(store) == [
        "failed list of routes → acr: quay.io cannot be reached",
        "failed a/b → acr: its task left no result (killed, out of memory, or rate-limited to the end?); see its log",
    ]


def test_a_failed_run_is_told_though_nothing_stored_says_why() -> None:
    assert shown(stored({"a/b": WELL}, is_failed=True)) == ["failed acr: the last run failed: m: 1 of 2 routes failed"]


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ({DESTINATION_KEY: {"version": 2}}, "the stored DestinationState cannot be read: "),
        ({DESTINATION_KEY: {"index_parts": "x"}}, "the stored DestinationState cannot be read: "),
        ({index_key(0): "x"}, "part 1 of 1 of the index of routes: the stored RouteIndex cannot be read: "),
        ({index_key(0): None}, "part 1 of 1 of the index of routes is missing"),
        ({"a/b": {"route": 1}}, "a/b: the stored RouteState cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_a_failure(documents: dict[str, Any], reason: str) -> None:
    store = stored({"a/b": FAILING}, {"a/b": a_route("a/b", a_problem("v1"))})
    store.update(documents)
    (alert,) = [alert for alert in alerts(store) if alert.place == "state of acr"]
    assert alert.reason.startswith(reason)
    assert alert.reason.endswith("; the next full check writes it again")


PROMISE = replace(WELL, fresh_within=7200.0)
BEHIND = replace(PROMISE, in_sync=2, missing=1)


@pytest.mark.parametrize(
    ("figures", "listed", "expected"),
    [
        (PROMISE, ENDED, []),
        (replace(BEHIND, oldest_lacking=NOW - 2 * HOUR), ENDED, []),
        (
            replace(BEHIND, oldest_lacking=NOW - 3 * HOUR),
            ENDED,
            ["stale a/b → acr: lacks a tag that the source has had for 3 h; the promise is 2 h"],
        ),
        (replace(BEHIND, fresh_within=None, oldest_lacking=NOW - 90 * HOUR), ENDED, []),
        # A route without a push since counts as looked at when all were listed
        (replace(PROMISE, looked_at=NOW - 90 * HOUR), ENDED, []),
        (
            replace(PROMISE, looked_at=NOW - 90 * HOUR),
            NOW - 5 * HOUR,
            ["stale 1 route → acr: not looked at for up to 5 h; the promise is 2 h"],
        ),
        (
            replace(PROMISE, looked_at=NOW - 3 * HOUR, fresh_within=5400.0),
            None,
            ["stale 1 route → acr: not looked at for up to 3 h; the promise is 1 h 30 min"],
        ),
    ],
)
def test_promises(figures: RouteFigures, listed: datetime | None, expected: list[str]) -> None:
    assert shown(stored({"a/b": figures, "a/c": WELL}, listed_at=listed)) == expected


def test_routes_that_no_run_looked_at_are_one_alert() -> None:
    old = replace(PROMISE, looked_at=NOW - 10 * HOUR)
    (alert,) = alerts(stored({"a/b": old, "a/c": old, "a/d": PROMISE}, listed_at=None))
    assert (alert.place, alert.count, alert.since) == ("2 routes → acr", 2, NOW - 8 * HOUR)


def test_a_failing_tag_breaks_the_promise_too() -> None:
    figures = replace(FAILING, fresh_within=7200.0, oldest_lacking=NOW - 9 * HOUR)
    (failed, stale) = alerts(stored({"a/b": figures}, {"a/b": a_route("a/b", a_problem("v1"))}))
    assert (failed.kind, stale.kind, stale.since) == ("failed", "stale", NOW - 7 * HOUR)
