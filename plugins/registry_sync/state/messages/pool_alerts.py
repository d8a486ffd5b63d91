"""The alerts of a pool of nodes: its nodes would not start, or the checks cannot show that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from registry_sync.state.messages.alerts import Alert, in_order, minute
from registry_sync.state.readiness import PoolStart, ReadinessState
from registry_sync.text_table import human_duration

MAX_AGE = timedelta(hours=3)
"""Age at which a result is reported as old. The checks run every hour."""


def pool_alerts(state: ReadinessState, pool: str, now: datetime) -> list[Alert]:
    """The alerts of a pool by the last readiness check. A changed answer is a new alert."""
    starts = [start for start in state.starts if start.pool == pool]
    return in_order([*_of_answers(starts, state.read_at), *(_of_age(state, now) if starts else ())])


def _of_answers(starts: list[PoolStart], read_at: datetime) -> Iterator[Alert]:
    for start in starts:
        match start.answer:
            case "does_not_start":
                seen = "nodes would not start"
            case "unknown":
                seen = "it is unknown if nodes would start"
            case _:
                continue
        when = f"with {start.down} down" if start.down else "now"
        yield Alert(
            kind="failed",
            key=f"{start.answer} {start.down or ''}",
            place=f"{start.pool} {when}",
            reason=": ".join([seen, *(["; ".join(start.reasons)] if start.reasons else [])]),
            since=start.since or read_at,
        )


def _of_age(state: ReadinessState, now: datetime) -> Iterator[Alert]:
    age = now - state.read_at
    if age > MAX_AGE:
        yield Alert(
            kind="failed",
            key="age",
            place="last check",
            reason=f"the checks of nodes are {human_duration(age.total_seconds())} old, of {minute(state.read_at)}: "
            "what is known may be wrong; find out why the DAG mirror_readiness does not run",
            since=state.read_at + MAX_AGE,
        )


def unchecked_alerts(since: datetime, now: datetime) -> list[Alert]:
    """The alert of every pool while no readiness check has stored a result.

    :param since: when that was noticed first.
    """
    if now - since <= MAX_AGE:
        return []
    return [
        Alert(
            kind="failed",
            key="unchecked",
            place="first check",
            reason="no check of nodes has stored a result yet; find out why the DAG mirror_readiness does not run, or "
            "trigger it",
            since=since,
        )
    ]


def unchecked_since(stored: Any, now: datetime) -> datetime:
    """The stored time at which no result was found first; now without a usable one."""
    try:
        since = datetime.fromisoformat(stored)
    except (TypeError, ValueError):
        return now
    return since if since.tzinfo else now
