"""Judging routes at the time of reading: boundaries of the promise, clocks, and what is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.destination import RouteFigures
from registry_sync.state.judging.freshness import CLOCK_SKEW, SEVERITY, Judgement, judge_route, last_look, worst

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PROMISE = 2 * HOUR.total_seconds()


def figures(**fields: Any) -> RouteFigures:
    """A route in sync, looked at and compared at noon."""
    return RouteFigures(**{"looked_at": NOON, "complete_at": NOON, "selected": 5, "in_sync": 5, **fields})


def lacking(since: datetime | None, **fields: Any) -> RouteFigures:
    return figures(**{"in_sync": 4, "missing": 1, "oldest_lacking": since, "fresh_within": PROMISE, **fields})


CASES: list[tuple[str, RouteFigures, datetime, str, str]] = [
    ("all in sync", figures(), NOON, "in_sync", ""),
    ("tags that stay as they are", figures(in_sync=3, kept=2), NOON, "in_sync", ""),
    ("no tags", figures(selected=0, in_sync=0), NOON, "in_sync", ""),
    (
        "missing without a promise",
        lacking(NOON, fresh_within=None),
        NOON + 99 * HOUR,
        "missing",
        "1 tag missing or changed",
    ),
    ("missing within the promise", lacking(NOON), NOON + HOUR, "missing", "1 tag missing or changed"),
    ("exactly at the promise", lacking(NOON), NOON + 2 * HOUR, "missing", "1 tag missing or changed"),
    (
        "a second over the promise",
        lacking(NOON),
        NOON + 2 * HOUR + SECOND,
        "stale",
        "lacks a tag that the source has had for 2 h; the promise is 2 h",
    ),
    (
        "locked over the promise",
        figures(in_sync=4, locked=1, oldest_lacking=NOON - 3 * HOUR, fresh_within=PROMISE),
        NOON,
        "stale",
        "lacks a tag that the source has had for 3 h; the promise is 2 h",
    ),
    (
        "lacking since nobody knows when",
        lacking(None),
        NOON,
        "stale",
        "lacks 1 tag of unknown age; the promise is 2 h",
    ),
    ("pushed just after our clock", lacking(NOON + CLOCK_SKEW), NOON, "missing", "1 tag missing or changed"),
    (
        "pushed next year",
        lacking(NOON + 9000 * HOUR),
        NOON,
        "stale",
        "lacks 1 tag of unknown age; the promise is 2 h",
    ),
    ("looked at exactly within the promise", figures(fresh_within=PROMISE), NOON + 2 * HOUR, "in_sync", ""),
    (
        "not looked at within the promise",
        figures(fresh_within=PROMISE),
        NOON + 3 * HOUR,
        "unknown",
        "last looked at 3 h ago; the promise is 2 h",
    ),
    ("looked at by a clock that is ahead", figures(looked_at=NOON + CLOCK_SKEW), NOON, "in_sync", ""),
    (
        "looked at tomorrow",
        figures(looked_at=NOON + 24 * HOUR),
        NOON,
        "unknown",
        "its last look is 1 d in the future; compare the clocks",
    ),
    ("never compared", figures(complete_at=None), NOON, "unknown", "no run has compared all of its tags yet"),
    ("not all compared", figures(in_sync=3), NOON, "unknown", "2 tags of 5 were never compared"),
    ("a tag fails", figures(in_sync=4, failing=1), NOON, "failing", "1 tag cannot be copied"),
    ("the route fails", figures(failing_since=NOON), NOON, "failing", "the route fails"),
    ("locked", figures(in_sync=3, locked=2), NOON, "locked", "the destination refuses to move 2 tags"),
    (
        "failing and over the promise",
        lacking(NOON - 9 * HOUR, in_sync=3, failing=1),
        NOON,
        "failing",
        "1 tag cannot be copied",
    ),
]


@pytest.mark.parametrize(
    ("route", "now", "status", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_route_is_judged(route: RouteFigures, now: datetime, status: str, reason: str) -> None:
    judgement = worst(judge_route(route, None, now))
    assert (judgement.status, judgement.reason) == (status, reason)


def test_a_listing_counts_as_a_look_at_routes_without_a_push() -> None:
    route = figures(fresh_within=PROMISE)
    assert worst(judge_route(route, NOON + 2 * HOUR, NOON + 3 * HOUR)).status == "in_sync"
    assert worst(judge_route(route, None, NOON + 3 * HOUR)).status == "unknown"
    assert last_look(route, NOON - HOUR) == NOON


def test_the_first_of_the_worst_is_the_worst() -> None:
    all_of_them = [Judgement(status=status, reason=reason) for status in reversed(SEVERITY) for reason in ("a", "b")]
    assert worst(all_of_them) == Judgement(status="failing", reason="a")
    assert worst([]) == Judgement(status="in_sync")
