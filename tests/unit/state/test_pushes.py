"""The state of pushes: the last events, and the tags that none named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.cli.status import event_lines
from registry_sync.state.pushes import (
    EVENTS_KEY,
    LOST_KEY,
    MAX_LOST,
    LastEvents,
    LostEvents,
    LostTag,
    PushesState,
    after_events,
    read_pushes,
)
from registry_sync.state.runs import MirrorRuns, PushRuns, Run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOST = [LostTag(repository="team/app", tag=f"v{number}", found_at=NOON) for number in range(MAX_LOST + 5)]


def test_the_newest_events_stay_in_whatever_order_they_come() -> None:
    first = after_events(None, [NOON, NOON - timedelta(hours=1)], [])
    assert first == LastEvents(received_at=NOON)
    assert after_events(first, [NOON - timedelta(days=1)], [NOON]) == LastEvents(received_at=NOON, chained_at=NOON)


def test_the_last_lost_tags_have_names_and_all_are_counted() -> None:
    lost = LostEvents().plus("one", LOST[:3]).plus("two", LOST[3:])
    assert lost.total == MAX_LOST + 5
    assert lost.tags == tuple(LOST[3 : MAX_LOST + 3])


@pytest.mark.parametrize(
    ("again", "total", "names"),
    [
        (LOST[:3], 5, [3, 4, 0, 1, 2]),
        (LOST[:1], 5, [3, 4, 0, 1, 2]),
        ([], 5, [3, 4, 0, 1, 2]),
        (LOST[:4], 6, [3, 4, 0, 1, 2]),
    ],
)
def test_a_run_that_counts_again_adds_only_what_is_more(again: list[LostTag], total: int, names: list[int]) -> None:
    """The task ``changes`` of a run was cleared, alone or with mapped tasks, which then find less or more."""
    lost = LostEvents().plus("one", LOST[:3]).plus("two", LOST[3:5])
    repeated = lost.plus("one", again).plus("one", again)
    assert (repeated.total, repeated.tags) == (total, tuple(LOST[number] for number in names))


def test_the_numbers_of_the_last_runs_are_kept() -> None:
    lost = LostEvents()
    for number in range(MAX_LOST + 5):
        lost = lost.plus(f"run {number}", LOST[:1])
    assert (len(lost.runs), lost.runs[0].run_id, lost.total) == (MAX_LOST, f"run {MAX_LOST + 4}", MAX_LOST + 5)


@pytest.mark.parametrize(
    "document", [None, [], {"received_at": "noon"}, {"received_at": 1e99, "total": "many"}, "text"]
)
def test_what_cannot_be_read_is_unknown(document: Any) -> None:
    assert read_pushes({EVENTS_KEY: document, LOST_KEY: document}) == PushesState()


def test_the_command_status_names_them() -> None:
    pushes = {
        "b": PushesState(),
        "c": PushesState(events=LastEvents(chained_at=NOON)),
        "d": PushesState(events=LastEvents(received_at=NOON - timedelta(hours=1), chained_at=NOON)),
        "a": PushesState(events=LastEvents(received_at=NOON), lost=LostEvents(total=2, tags=tuple(LOST[:1]))),
    }
    assert list(event_lines(pushes, {}, NOON + timedelta(minutes=5))) == [
        "\nEvents:",
        "  a: last event 5 min ago; tags that no event named: 2, the last team/app:v0",
        "  b: last event none yet",
        "  c: last event from another mirror, 5 min ago",
        "  d: last event 1 h 5 min ago, from another mirror 5 min ago",
    ]
    assert list(event_lines({}, {}, NOON)) == []


PAUSED = PushRuns(dag_id="mirror_a_pushes", is_paused=True)
ENDED = PushRuns(dag_id="mirror_a_pushes", last=Run(run_id="r", state="success", ended_at=NOON))
RUNS = MirrorRuns(mirror="a", dag_id="mirror_a", pushes=ENDED)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (replace(RUNS, pushes=None), ""),
        (replace(RUNS, pushes=PAUSED), "; mirror_a_pushes is paused; mirror_a has no schedule"),
        (
            replace(RUNS, pushes=replace(ENDED, last=None), next_run_at=NOON + timedelta(minutes=25)),
            "; no run for pushes yet; next scheduled run in 20 min",
        ),
        (
            replace(RUNS, next_run_at=NOON),
            "; last run for pushes success, 5 min ago; next scheduled run due 5 min ago",
        ),
        (replace(RUNS, is_paused=True), "; last run for pushes success, 5 min ago; mirror_a is paused"),
        (
            replace(RUNS, disabled="disabled until 2036-12-24 06:00 UTC"),
            "; last run for pushes success, 5 min ago; mirror_a is disabled until 2036-12-24 06:00 UTC",
        ),
        (
            replace(RUNS, running=Run(run_id="r", state="running")),
            "; last run for pushes success, 5 min ago; mirror_a is running",
        ),
    ],
)
def test_the_command_status_names_the_runs(runs: MirrorRuns, expected: str) -> None:
    lines = event_lines({"a": PushesState()}, {"a": runs}, NOON + timedelta(minutes=5))
    assert " ".join(line.strip() for line in lines) == f"Events: a: last event none yet{expected}"
