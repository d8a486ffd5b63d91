"""Notice a missing run of a mirror: compare its schedule with the time of its last report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from registry_sync.config.mirror import Mirror
from registry_sync.config.schedule import previous_tick
from registry_sync.state.document import StateError, read_document
from registry_sync.state.messages.alerts import Alert, minute
from registry_sync.state.times import UtcTime

GRACE = timedelta(minutes=15)
"""Time limit of a run to start and to report."""

RUNNING_GRACE = timedelta(hours=24)
"""Time limit of a run that Airflow shows as running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSchedule:
    """The schedule of a mirror, and when it was first seen. Runs before that time are not missed.

    :ivar running_since: when a run that is due was first seen to be running, if it has been since then.
    """

    schedule: str | None
    since: UtcTime
    running_since: UtcTime | None = None


def read_watched(document: Any, schedule: str | None, now: datetime) -> WatchedSchedule:
    """Read the stored schedule. A changed schedule, or an unreadable value, begins now."""
    try:
        watched = read_document(WatchedSchedule, document)
    except StateError:
        return WatchedSchedule(schedule=schedule, since=now)
    return watched if watched.schedule == schedule else WatchedSchedule(schedule=schedule, since=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFacts:
    """Facts that Airflow has about the DAG of a mirror.

    :ivar exists: Airflow has read it.
    """

    exists: bool = True
    is_paused: bool = False
    running: int = 0
    queued: int = 0


def due_run(mirror: Mirror, last_ended: datetime | None, watched: WatchedSchedule, now: datetime) -> datetime | None:
    """Return the time at which a missing run should have started; ``None`` when none is missing.

    :param last_ended: when the last run of the mirror ended; ``None`` without one.
    """
    if mirror.schedule is None:
        return None
    tick = previous_tick(mirror.schedule, now - GRACE)
    began = previous_tick(mirror.schedule, tick - timedelta(microseconds=1))
    if tick <= watched.since or (mirror.start_date and began < mirror.start_date):
        return None
    return tick if last_ended is None or last_ended < tick else None


def missing_run(
    mirror: str,
    due: datetime,
    last_ended: datetime | None,
    dag: DagFacts,
    now: datetime,
    running_since: datetime | None = None,
) -> Alert | None:
    """The alert about a missing run; ``None`` while one is running, for at most :data:`RUNNING_GRACE`.

    :param running_since: a run that hangs keeps later ones from starting, so the last one that is due is always new.
    """
    if dag.running and now - min(due, running_since or due) < RUNNING_GRACE:
        return None
    last = f"the last one ended at {minute(last_ended)}" if last_ended else "none has ended yet"
    return Alert(
        kind="failed",
        key="run",
        place=f"mirror {mirror}",
        reason=f"no run came: one should have started at {minute(due)}, and {last}; {_cause(dag)}",
        since=due,
    )


def _cause(dag: DagFacts) -> str:
    if not dag.exists:
        return "Airflow does not know its DAG: see the import errors, or the DAG mirror_watch"
    if dag.is_paused:
        return "its DAG is paused"
    if dag.running:
        return "a run is running for longer than a day: see its tasks"
    if dag.queued:
        return f"{dag.queued} queued runs do not start: is the scheduler running?"
    return "is the scheduler running, and does the task report store its results?"
