"""The state of one destination of a mirror: its last runs, and one row of figures per route.

All times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.route import Problem, RouteState
from registry_sync.state.times import Seconds, UtcTime


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFigures:
    """The row of a route in the index: :class:`~registry_sync.state.route.RouteState` in numbers.

    :ivar failing_since: of its oldest problem.
    :ivar is_disabled: the last run that listed the route left it out, because it was disabled.
    :ivar disabled_until: the time from which it is not; ``None`` while it has no end.
    """

    looked_at: UtcTime
    complete_at: UtcTime | None = None
    selected: int = 0
    in_sync: int = 0
    missing: int = 0
    changed: int = 0
    failing: int = 0
    locked: int = 0
    kept: int = 0
    oldest_lacking: UtcTime | None = None
    failing_since: UtcTime | None = None
    lag_seconds: Seconds | None = None
    fresh_within: Seconds | None = None
    is_disabled: bool = False
    disabled_until: UtcTime | None = None


def disabled_at(figures: RouteFigures, now: datetime) -> bool:
    """Return whether a route is disabled at a time (aware UTC)."""
    return figures.is_disabled and (figures.disabled_until is None or now < figures.disabled_until)


def enabled_again_at(figures: RouteFigures) -> datetime | None:
    """The end of the time in which a route was disabled, if no run has looked at it since; else ``None``."""
    return figures.disabled_until if figures.is_disabled else None


def figures_of(state: RouteState) -> RouteFigures:
    """The row of a route."""
    return RouteFigures(
        looked_at=state.looked_at,
        complete_at=state.complete_at,
        selected=state.selected,
        in_sync=state.in_sync,
        missing=state.missing,
        changed=state.changed,
        failing=state.failing,
        locked=state.locked,
        kept=state.kept,
        oldest_lacking=state.oldest_lacking,
        failing_since=min((problem.since for problem in state.problems), default=None),
        lag_seconds=state.lag_seconds,
        fresh_within=state.fresh_within,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteIndex:
    """One part of the index of a destination: rows by the name of the route."""

    routes: dict[str, RouteFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """The summary of a destination, written by the task ``report`` of each run.

    :ivar host: of the destination's registry; ``source_host``: of the mirror's source.
    :ivar run_id: the last run that was not a dry run; ``run_ended``: when its report was written.
    :ivar summary: the sentence that ``report`` printed.
    :ivar listed_at: when a run last listed all routes; routes without a push in its window count as looked at then.
    :ivar complete_run_id: the last run that compared all tags of all routes, and ``complete_at``: when it ended.
    :ivar index_parts: number of parts of the index.
    :ivar unreported: routes whose last task left nothing, at most 50: it was killed, rate-limited to the end, or could
        not store anything.
    :ivar problem: set when the routes could not be listed in the last run.
    :ivar changed_at: when a run last changed something here.
    """

    mirror: str
    destination: str
    host: str
    source_host: str
    run_id: str
    run_ended: UtcTime
    is_failed: bool = False
    summary: str = ""
    listed_at: UtcTime | None = None
    complete_run_id: str | None = None
    complete_at: UtcTime | None = None
    index_parts: int = 0
    unreported: tuple[str, ...] = ()
    problem: Problem | None = None
    changed_at: UtcTime | None = None
    fresh_within: Seconds | None = None
