"""What is disabled is not due: a state of its own, never in sync, and no alert, whatever it lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.destination import RouteFigures
from registry_sync.state.lookup.overview import overview_row
from registry_sync.state.lookup.route_list import route_rows
from registry_sync.state.messages.alerts import collect_alerts
from registry_sync.state.messages.known_destination import KnownDestination
from registry_sync.state.metrics import destination_metrics
from registry_sync.state.stored_destination import StoredDestination, enabled_since
from tests.unit.state.test_overview import HOUR, IN_SYNC, NOON, RUNS, stored
from tests.unit.state.test_record_run import after, figures, hour, listed, row, run

BROKEN = RouteFigures(
    looked_at=NOON - 9 * HOUR,
    complete_at=NOON - 9 * HOUR,
    selected=3,
    missing=1,
    failing=2,
    failing_since=NOON - 8 * HOUR,
    oldest_lacking=NOON - 9 * HOUR,
    fresh_within=3600.0,
)
OFF = replace(BROKEN, is_disabled=True)
UNTIL = replace(OFF, disabled_until=NOON + HOUR)
UNTIL_TEXT = "disabled until 2026-03-01 13:00 UTC"


@pytest.mark.parametrize(
    ("figures", "now", "status", "reason"),
    [
        (BROKEN, NOON, "failing", "2 tags cannot be copied"),
        (OFF, NOON, "disabled", "disabled"),
        (UNTIL, NOON, "disabled", UNTIL_TEXT),
        (UNTIL, NOON + HOUR, "failing", "2 tags cannot be copied"),
        (replace(IN_SYNC, is_disabled=True), NOON, "disabled", "disabled"),
    ],
)
def test_a_disabled_route_has_a_status_of_its_own(
    figures: RouteFigures, now: datetime, status: str, reason: str
) -> None:
    (shown,) = route_rows([stored({"team/app": figures})], {"team": replace(RUNS, next_run_at=now + HOUR)}, now)
    assert (shown.status, shown.reason) == (status, reason)


def test_a_destination_with_a_disabled_route_is_judged_by_the_others() -> None:
    rows = {"team/app": UNTIL, "team/web": IN_SYNC}
    row = overview_row(stored(rows), RUNS, NOON)
    assert (row.status, row.reasons, row.is_broken) == ("disabled", ("1 of 2 routes disabled",), False)
    assert (row.oldest_lacking, row.failing_since, row.looked_at) == (None, None, NOON)
    worse = overview_row(stored({**rows, "team/web": BROKEN}), RUNS, NOON)
    assert worse.status == "failing"


@pytest.mark.parametrize("overdue", [timedelta(), 50 * HOUR])
def test_a_disabled_mirror_misses_no_run(overdue: timedelta) -> None:
    runs = replace(RUNS, next_run_at=None, disabled=UNTIL_TEXT)
    row = overview_row(stored({"team/app": BROKEN}), runs, NOON + overdue)
    assert (row.status, row.reasons, row.is_broken) == ("disabled", (UNTIL_TEXT, "1 route disabled"), False)
    never_ran = overview_row(replace(stored(), state=None, figures={}), runs, NOON)
    assert (never_ran.status, never_ran.reasons) == ("disabled", (UNTIL_TEXT,))


def test_a_disabled_mirror_whose_dag_is_gone_is_unknown() -> None:
    assert overview_row(stored(), replace(RUNS, disabled="disabled", is_gone=True), NOON).status == "unknown"


def alerts(figures: RouteFigures, now: datetime = NOON, **fields: Any) -> list[str]:
    known = KnownDestination(stored=replace(stored({"team/app": figures}), **fields))
    return [alert.kind for alert in collect_alerts([known], now)]


def test_nobody_gets_a_message_about_what_is_disabled() -> None:
    assert alerts(BROKEN) == ["failed", "stale"]
    assert alerts(OFF) == alerts(UNTIL) == alerts(BROKEN, disabled=UNTIL_TEXT) == []
    assert alerts(UNTIL, NOON + HOUR) == ["failed"]
    assert set(alerts(UNTIL, NOON + 3 * HOUR)) == {"failed", "stale"}


WEEKS_AGO = NOON - 500 * HOUR
IDLE = RouteFigures(looked_at=WEEKS_AGO, complete_at=WEEKS_AGO, selected=2, in_sync=2, fresh_within=7200.0)
BEHIND = replace(IDLE, in_sync=1, missing=1, oldest_lacking=WEEKS_AGO)


def told(stored: StoredDestination, now: datetime) -> set[str]:
    return {alert.reason for alert in collect_alerts([KnownDestination(stored=stored)], now)}


def test_the_promises_of_a_route_begin_again_when_it_is_enabled() -> None:
    """Nobody is woken at ``until``, because the last look was weeks ago and the next run is to come."""
    again = {"idle": replace(IDLE, is_disabled=True, disabled_until=NOON)}
    again["behind"] = replace(BEHIND, is_disabled=True, disabled_until=NOON)
    known = stored(again, listed_at=WEEKS_AGO)
    assert [told(known, NOON + age) for age in (0 * HOUR, 2 * HOUR)] == [set(), set()]
    assert told(known, NOON + 3 * HOUR) == {
        "lacks 1 tag, and was enabled again 3 h ago; the promise is 2 h",
        "not looked at for up to 3 h; the promise is 2 h",
    }
    rows = route_rows([known], {"team": replace(RUNS, next_run_at=NOON + 2 * HOUR)}, NOON + HOUR)
    assert {row.route: row.status for row in rows} == {"idle": "in_sync", "behind": "missing"}


def test_the_promises_of_a_whole_mirror_begin_again_until_a_run_has_listed_it() -> None:
    known = stored({"behind": BEHIND}, listed_at=WEEKS_AGO)
    assert len(told(known, NOON)) == 2
    assert told(enabled_since(known, NOON - HOUR), NOON) == set()
    assert len(told(enabled_since(known, NOON - 3 * HOUR), NOON)) == 2
    looked_at = stored({"behind": BEHIND}, listed_at=NOON)
    assert enabled_since(looked_at, NOON - HOUR) == looked_at


def test_gauges_do_not_count_it_as_broken() -> None:
    def gauges(**fields: Any) -> dict[str, float]:
        whole = replace(stored({"team/app": BROKEN}), **fields)
        return {metric.name: metric.value for metric in destination_metrics(whole, NOON)}

    names = ("broken", "routes_failing", "oldest_unsynced_seconds", "failing_seconds")
    assert [gauges()[name] for name in names] == [1, 1, 9 * 3600, 8 * 3600]
    assert [gauges(disabled=UNTIL_TEXT)[name] for name in names] == [0, 0, 0, 0]


def test_a_run_marks_the_routes_that_it_left_out_until_they_are_enabled() -> None:
    both = listed("a", "b")
    off = run(1, row("a"), listed=both, disabled={"b": hour(9)})
    record = after(run(0, row("a"), row("b")), off)
    (part,) = record.parts
    assert part.routes == {"a": figures(), "b": figures(is_disabled=True, disabled_until=hour(9))}
    assert record.state.complete_at == hour(1)
    (part,) = after(run(0, row("a"), row("b")), off, run(2, row("a"), listed=both)).parts
    assert part.routes == {"a": figures(), "b": figures()}


def test_a_route_that_was_never_looked_at_is_marked_as_well() -> None:
    (part,) = after(run(0, listed=listed("b"), disabled={"b": None})).parts
    assert part.routes == {"b": figures(is_disabled=True)}


def test_a_run_that_worked_on_a_route_found_it_enabled() -> None:
    (part,) = after(run(0, listed=listed("b"), disabled={"b": None}), run(1, row("b"))).parts
    assert part.routes == {"b": figures()}
