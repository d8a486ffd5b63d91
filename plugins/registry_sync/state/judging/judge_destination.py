"""Judge one destination of a mirror at the time of reading: its routes, its documents, and its runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from registry_sync.state.destination import DestinationState
from registry_sync.state.judging.freshness import CLOCK_SKEW, Judgement, age_seconds, judge_route, worst
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.stored_destination import StoredDestination
from registry_sync.text_table import human_duration

START_GRACE = timedelta(minutes=5)
"""Delay of the scheduler's start of a run that is not yet reported."""


RUN_GRACE = timedelta(hours=24)
"""Longest time of an open run. A scheduler that stops leaves its runs open for ever."""


def judge_routes(stored: StoredDestination, now: datetime) -> dict[str, Judgement]:
    """Judge each route of a destination, by its name."""
    return {name: judge_one(stored, name, now) for name in stored.figures}


def judge_one(stored: StoredDestination, route: str, now: datetime) -> Judgement:
    """Judge one route of a destination that has a state."""
    return worst(judgements_of(stored, route, now))


def judgements_of(stored: StoredDestination, route: str, now: datetime) -> Iterator[Judgement]:
    """All faults of one route of a destination that has a state."""
    if stored.disabled:
        yield Judgement(status="disabled", reason=stored.disabled)
        return
    yield from judge_route(stored.figures[route], listed_at(stored, route), now)
    if stored.state and route in stored.state.unreported:
        yield _LOST


def listed_at(stored: StoredDestination, route: str) -> datetime | None:
    """Return the time of a listing that counts as a look at the route; ``None`` if its last task was lost."""
    state = stored.state
    return state.listed_at if state and route not in state.unreported else None


_LOST = Judgement(status="unknown", reason="its last task left no result")


def judge_whole(stored: StoredDestination, runs: MirrorRuns | None, now: datetime) -> Iterator[Judgement]:
    """Judge a destination as a whole: its documents, its last run, and the next one.

    A disabled destination is not due: neither missing tags nor a missing run count.
    """
    if disabled := stored.disabled or (runs.disabled if runs and not runs.is_gone else ""):
        yield Judgement(status="disabled", reason=disabled)
        return
    if runs is not None:
        yield from _judge_runs(runs, stored.state, now)
    for fault in stored.faults:
        yield Judgement(status="unknown", reason=fault)
    if stored.state is None and not stored.faults:
        yield Judgement(status="unknown", reason="no run has reported yet")
    if stored.state is not None:
        yield from _judge_state(stored.state, runs, now)


def as_disabled(stored: StoredDestination, runs: MirrorRuns | None) -> StoredDestination:
    """The destination as disabled, if Airflow has its mirror as such."""
    return replace(stored, disabled=runs.disabled) if runs and runs.disabled and not runs.is_gone else stored


def judge_around(stored: StoredDestination, runs: MirrorRuns | None, now: datetime) -> list[Judgement]:
    """Judge what concerns every route of a destination. Routes that the last run lost are judged one by one."""
    known = replace(stored, state=stored.state and replace(stored.state, unreported=()))
    return list(judge_whole(known, runs, now))


def _judge_state(state: DestinationState, runs: MirrorRuns | None, now: datetime) -> Iterator[Judgement]:
    if state.problem is not None:
        yield Judgement(
            status="failing", reason=f"the routes cannot be listed: {state.problem.reason}", since=state.problem.since
        )
    if state.unreported:
        count = len(state.unreported)
        which = f"the task of {state.unreported[0]}" if count == 1 else f"the tasks of {count} routes"
        yield Judgement(status="unknown", reason=f"{which} left no result")
    if state.listed_at is None:
        yield Judgement(status="unknown", reason=_not_listed(runs, now))
    elif state.listed_at > now + CLOCK_SKEW:
        ahead = human_duration((state.listed_at - now).total_seconds())
        yield Judgement(status="unknown", reason=f"the last listing is {ahead} in the future; compare the clocks")
    elif state.fresh_within is not None and (age := age_seconds(state.listed_at, now)) > state.fresh_within:
        promise = human_duration(state.fresh_within)
        reason = f"the routes were last listed {human_duration(age)} ago; the promise is {promise}"
        yield Judgement(status="unknown", reason=reason, since=state.listed_at)


def _not_listed(runs: MirrorRuns | None, now: datetime) -> str:
    """The reason why nothing is known about all routes, although runs for pushes may have copied some tags."""
    if runs is None or runs.pushes is None or runs.pushes.last is None:
        return "no run has listed the routes yet"
    return f"only runs for pushes have come yet, which look at what events name; {_first_full_run(runs, now)}"


def _first_full_run(runs: MirrorRuns, now: datetime) -> str:
    if runs.is_paused:
        return f"unpause {runs.dag_id} for the first full run"
    if runs.running:
        return f"the first full run is {runs.running.state}"
    if runs.next_run_at is None:
        return f"trigger {runs.dag_id} for the first full run"
    due = human_duration(abs((runs.next_run_at - now).total_seconds()))
    return f"the first full run {f'is due in {due}' if runs.next_run_at > now else f'was due {due} ago'}"


def _paused(runs: MirrorRuns) -> str:
    if runs.pushes is None or runs.pushes.is_paused:
        return "the DAG is paused: no run starts"
    return f"{runs.dag_id} is paused: only runs for pushes start, and nothing finds what events miss"


def _judge_runs(runs: MirrorRuns, state: DestinationState | None, now: datetime) -> Iterator[Judgement]:
    if runs.is_gone:
        yield Judgement(
            status="unknown",
            reason=(
                "Airflow no longer has its DAG; if you removed the mirror, delete its history and state "
                "(docs/state.md), else see Airflow's import errors"
            ),
        )
    last = runs.last
    if last and last.state == "failed" and state and last.run_id != state.run_id and _ended_later(last.ended_at, state):
        yield Judgement(
            status="unknown", reason=f"the run {last.run_id} failed before it reported", since=last.ended_at
        )
    if runs.running and (since := runs.running.started_at or runs.next_run_at) and now - since > RUN_GRACE:
        age = human_duration(age_seconds(since, now))
        reason = f"the run {runs.running.run_id} has been {runs.running.state} for {age}; is the scheduler running?"
        yield Judgement(status="unknown", reason=reason, since=since)
    if runs.is_paused:
        yield Judgement(status="paused", reason=_paused(runs))
    elif runs.next_run_at and runs.running is None and (late := now - runs.next_run_at) > START_GRACE:
        late_text = human_duration(late.total_seconds())
        reason = f"no run came: the next one was due {late_text} ago; is the scheduler running?"
        yield Judgement(status="unknown", reason=reason, since=runs.next_run_at)


def _ended_later(ended_at: datetime | None, state: DestinationState) -> bool:
    return ended_at is not None and ended_at > state.run_ended
