"""Rows of the overview: what concerns a destination as a whole, sums, and the order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document
from registry_sync.state.lookup.overview import OldestLacking, TagCounts, overview, overview_row
from registry_sync.state.names import DESTINATION_KEY, index_key
from registry_sync.state.route import Problem
from registry_sync.state.runs import MirrorRuns, PushRuns, Run
from registry_sync.state.stored_destination import StoredDestination, read_destination

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

STATE = DestinationState(
    mirror="team",
    destination="acr",
    host="example.azurecr.io",
    source_host="quay.io",
    run_id="scheduled__2026-03-01T11:00:00+00:00",
    run_ended=NOON,
    listed_at=NOON,
    complete_at=NOON - 3 * HOUR,
    index_parts=1,
)
IN_SYNC = RouteFigures(looked_at=NOON, complete_at=NOON, selected=2, in_sync=2)
RUNS = MirrorRuns(mirror="team", dag_id="mirror_team", next_run_at=NOON + HOUR)


def stored(routes: dict[str, RouteFigures] | None = None, **fields: Any) -> StoredDestination:
    """A destination with these routes, read from its documents."""
    index = RouteIndex(routes={"team/app": IN_SYNC} if routes is None else routes)
    documents = {DESTINATION_KEY: as_document(replace(STATE, **fields)), index_key(0): as_document(index)}
    return read_destination("team", "acr", documents)


def judged(
    destination: StoredDestination, runs: MirrorRuns | None = RUNS, now: datetime = NOON
) -> tuple[str, tuple[str, ...]]:
    row = overview_row(destination, runs, now)
    return row.status, row.reasons


def test_a_destination_in_sync_has_no_reasons() -> None:
    assert judged(stored()) == ("in_sync", ())


LISTING = Problem(error_class="denied", reason="403 for quay.io", since=NOON - HOUR)

FAULTS: list[tuple[str, dict[str, Any], tuple[str, tuple[str, ...]]]] = [
    ("the listing fails", {"problem": LISTING}, ("failing", ("the routes cannot be listed: 403 for quay.io",))),
    ("never listed", {"listed_at": None}, ("unknown", ("no run has listed the routes yet",))),
    (
        "listed tomorrow",
        {"listed_at": NOON + 24 * HOUR},
        (
            "unknown",
            ("the last listing is 1 d in the future; compare the clocks", "1 route unknown"),
        ),
    ),
    (
        "not listed within the promise",
        {"listed_at": NOON - 3 * HOUR, "fresh_within": 7200.0},
        ("unknown", ("the routes were last listed 3 h ago; the promise is 2 h",)),
    ),
    ("listed exactly within the promise", {"listed_at": NOON - 2 * HOUR, "fresh_within": 7200.0}, ("in_sync", ())),
    (
        "a task without a report",
        {"unreported": ("team/app",)},
        ("unknown", ("the task of team/app left no result", "1 route unknown")),
    ),
    (
        "tasks of routes that are not in the index",
        {"unreported": ("team/a", "team/b")},
        ("unknown", ("the tasks of 2 routes left no result",)),
    ),
    (
        "a part of the index is missing",
        {"index_parts": 2},
        ("unknown", ("part 2 of 2 of the index of routes is missing",)),
    ),
]


@pytest.mark.parametrize(("fields", "expected"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_what_is_wrong_with_the_whole_is_said(fields: dict[str, Any], expected: tuple[str, tuple[str, ...]]) -> None:
    assert judged(stored(**fields)) == expected


PUSHES = PushRuns(dag_id="mirror_team_pushes", last=Run(run_id="asset_triggered__1", state="success", ended_at=NOON))
ONLY_PUSHES = "only runs for pushes have come yet, which look at what events name; "


@pytest.mark.parametrize(
    ("runs", "reasons"),
    [
        (replace(RUNS, pushes=replace(PUSHES, last=None)), ("no run has listed the routes yet",)),
        (
            replace(RUNS, pushes=PUSHES, next_run_at=NOON + HOUR),
            (f"{ONLY_PUSHES}the first full run is due in 1 h",),
        ),
        (
            replace(RUNS, pushes=PUSHES, next_run_at=NOON - timedelta(minutes=2)),
            (f"{ONLY_PUSHES}the first full run was due 2 min ago",),
        ),
        (
            replace(RUNS, pushes=PUSHES, next_run_at=None),
            (f"{ONLY_PUSHES}trigger {RUNS.dag_id} for the first full run",),
        ),
        (
            replace(RUNS, pushes=PUSHES, running=Run(run_id="r", state="running", started_at=NOON)),
            (f"{ONLY_PUSHES}the first full run is running",),
        ),
        (
            replace(RUNS, pushes=PUSHES, is_paused=True),
            (
                f"{ONLY_PUSHES}unpause {RUNS.dag_id} for the first full run",
                f"{RUNS.dag_id} is paused: only runs for pushes start, and nothing finds what events miss",
            ),
        ),
        (
            replace(RUNS, pushes=replace(PUSHES, is_paused=True), is_paused=True),
            (f"{ONLY_PUSHES}unpause {RUNS.dag_id} for the first full run", "the DAG is paused: no run starts"),
        ),
    ],
)
def test_a_mirror_of_pushes_alone_waits_for_its_first_full_run(runs: MirrorRuns, reasons: tuple[str, ...]) -> None:
    assert judged(stored(listed_at=None), runs) == ("unknown", reasons)


ENDED = Run(run_id="scheduled__2026-03-01T12:00:00+00:00", state="failed", ended_at=NOON + HOUR)
RUN_CASES: list[tuple[str, MirrorRuns, timedelta, tuple[str, tuple[str, ...]]]] = [
    ("due now", replace(RUNS, next_run_at=NOON), timedelta(), ("in_sync", ())),
    ("due five minutes ago", replace(RUNS, next_run_at=NOON), timedelta(minutes=5), ("in_sync", ())),
    (
        "due six minutes ago",
        replace(RUNS, next_run_at=NOON),
        timedelta(minutes=6),
        ("unknown", ("no run came: the next one was due 6 min ago; is the scheduler running?",)),
    ),
    (
        "late behind a running one",
        replace(RUNS, next_run_at=NOON, running=Run(run_id="r", state="running")),
        HOUR,
        ("in_sync", ()),
    ),
    (
        "open for a day",
        replace(RUNS, next_run_at=None, running=Run(run_id="r", state="running", started_at=NOON)),
        24 * HOUR,
        ("in_sync", ()),
    ),
    (
        "open for longer: the scheduler stopped",
        replace(RUNS, next_run_at=None, running=Run(run_id="r", state="running", started_at=NOON)),
        25 * HOUR,
        ("unknown", ("the run r has been running for 1 d 1 h; is the scheduler running?",)),
    ),
    (
        "queued, and due for longer than a day",
        replace(RUNS, next_run_at=NOON, running=Run(run_id="r", state="queued")),
        25 * HOUR,
        ("unknown", ("the run r has been queued for 1 d 1 h; is the scheduler running?",)),
    ),
    ("without a schedule", replace(RUNS, next_run_at=None), HOUR, ("in_sync", ())),
    (
        "paused, and due long ago",
        replace(RUNS, next_run_at=NOON, is_paused=True),
        HOUR,
        ("paused", ("the DAG is paused: no run starts",)),
    ),
    (
        "gone",
        replace(RUNS, is_gone=True),
        timedelta(),
        (
            "unknown",
            (
                (
                    "Airflow no longer has its DAG; if you removed the mirror, delete its history and state "
                    "(docs/state.md), else see Airflow's import errors"
                ),
            ),
        ),
    ),
    (
        "a later run that failed early",
        replace(RUNS, last=ENDED),
        timedelta(),
        ("unknown", ("the run scheduled__2026-03-01T12:00:00+00:00 failed before it reported",)),
    ),
    (
        "the run of the state failed",
        replace(RUNS, last=replace(ENDED, run_id=STATE.run_id)),
        timedelta(),
        ("in_sync", ()),
    ),
    ("an earlier run failed", replace(RUNS, last=replace(ENDED, ended_at=NOON - HOUR)), timedelta(), ("in_sync", ())),
]


@pytest.mark.parametrize(
    ("runs", "later", "expected"), [case[1:] for case in RUN_CASES], ids=[case[0] for case in RUN_CASES]
)
def test_runs_are_judged(runs: MirrorRuns, later: timedelta, expected: tuple[str, tuple[str, ...]]) -> None:
    assert judged(stored(), runs, NOON + later) == expected


NO_STATE, NO_INDEX = (
    f"the stored {kind} cannot be read: Input should be a dictionary or an instance of {kind}"
    for kind in ("DestinationState", "RouteIndex")
)


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ({}, "no run has reported yet"),
        (
            {DESTINATION_KEY: None},
            NO_STATE,
        ),
        ({DESTINATION_KEY: {"mirror": "team"}}, "the stored DestinationState cannot be read: Field required"),
        (
            {DESTINATION_KEY: as_document(STATE), index_key(0): ["team/app"]},
            f"part 1 of 1 of the index of routes: {NO_INDEX}",
        ),
    ],
)
def test_what_cannot_be_read_is_unknown(documents: dict[str, Any], reason: str) -> None:
    assert judged(read_destination("team", "acr", documents)) == ("unknown", (reason,))


def test_a_row_sums_its_routes() -> None:
    routes = {
        "team/a": replace(IN_SYNC, lag_seconds=60.0),
        "team/b": RouteFigures(
            looked_at=NOON - HOUR,
            complete_at=NOON,
            selected=6,
            in_sync=1,
            missing=1,
            changed=1,
            failing=1,
            locked=1,
            kept=1,
            oldest_lacking=NOON - 5 * HOUR,
            failing_since=NOON - 4 * HOUR,
            lag_seconds=90.0,
        ),
        "team/c → copies/c": replace(IN_SYNC, in_sync=1, missing=1, oldest_lacking=NOON - 6 * HOUR),
    }
    row = overview_row(stored(routes, listed_at=NOON - 2 * HOUR), RUNS, NOON)
    assert row.routes_by_status == {"failing": 1, "missing": 1, "in_sync": 1}
    assert row.reasons == ("1 route failing", "1 route with missing or changed tags")
    assert row.tags == TagCounts(selected=10, in_sync=4, missing=2, changed=1, failing=1, locked=1, kept=1)
    assert row.oldest_lacking == OldestLacking(
        route="team/c → copies/c", source="quay.io/team/c", since=NOON - 6 * HOUR, age_seconds=6 * 3600.0
    )
    assert (row.failing_since, row.arrival_seconds, row.looked_at) == (NOON - 4 * HOUR, 90.0, NOON - HOUR)


def test_the_worst_rows_come_first() -> None:
    behind = {"team/app": replace(IN_SYNC, in_sync=1, missing=1, oldest_lacking=NOON - HOUR)}
    further = {"team/app": replace(IN_SYNC, in_sync=1, missing=1, oldest_lacking=NOON - 2 * HOUR)}
    rows = [
        replace(stored(), destination="in_sync"),
        replace(stored(behind), destination="behind"),
        replace(stored(further), destination="further"),
        replace(read_destination("team", "x", {}), destination="unknown"),
        replace(stored(problem=LISTING), destination="failing"),
    ]
    ordered = [row.destination for row in overview(rows, {}, NOON)]
    assert ordered == ["failing", "unknown", "further", "behind", "in_sync"]
