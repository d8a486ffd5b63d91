"""Freshness of every destination against its promise: one row per mirror and destination, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.state.destination import DestinationState, RouteFigures
from registry_sync.state.judging.freshness import BROKEN, SEVERITY, Judgement, Status, age_seconds, last_look, worst
from registry_sync.state.judging.judge_destination import as_disabled, judge_routes, judge_whole, listed_at
from registry_sync.state.names import source_of
from registry_sync.state.pushes import PushesState
from registry_sync.state.route import Problem
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.stored_destination import StoredDestination, due_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestLacking:
    """The tag that a destination lacks for the longest time: the route that has it, and since when the source has it.

    :ivar tag: ``None`` where the table of tags was not read, or does not have it.
    """

    route: str
    source: str
    tag: str | None = None
    since: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TagCounts:
    """Numbers of tags of several routes."""

    selected: int = 0
    in_sync: int = 0
    missing: int = 0
    changed: int = 0
    failing: int = 0
    locked: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """One destination of one mirror.

    :ivar status: the worst of its routes, its runs and its documents; ``reasons``: why, the worst first.
    :ivar routes: number of routes, and by status in ``routes_by_status``.
    :ivar tags: numbers of tags.
    :ivar oldest_lacking: how far behind the destination is; ``None`` when it lacks nothing.
    :ivar fresh_within: the promise of the mirror and destination, in seconds. Rules may have others.
    :ivar failing_since: of its oldest problem.
    :ivar arrival_seconds: from push to arrival: 95 % of the routes needed at most this for their last arrival.
    :ivar looked_at: the oldest last look of its routes: all of them were looked at then or later.
    :ivar complete_at: end of the last run that compared all tags of all routes.
    :ivar problem: set when the last run could not list the routes.
    :ivar unreported: routes whose tasks ended without a report in the last run.
    :ivar pushes: the last events about the mirror's source, and the tags that none named; ``None`` without ``events:``.
    """

    mirror: str
    destination: str
    host: str = ""
    source_host: str = ""
    status: Status
    reasons: tuple[str, ...] = ()
    routes: int = 0
    routes_by_status: Mapping[Status, int]
    tags: TagCounts
    oldest_lacking: OldestLacking | None = None
    fresh_within: float | None = None
    failing_since: datetime | None = None
    arrival_seconds: float | None = None
    looked_at: datetime | None = None
    complete_at: datetime | None = None
    summary: str = ""
    changed_at: datetime | None = None
    problem: Problem | None = None
    unreported: tuple[str, ...] = ()
    runs: MirrorRuns | None = None
    pushes: PushesState | None = None

    @property
    def is_broken(self) -> bool:
        """True when it needs attention now."""
        return self.status in BROKEN


def overview(stored: Iterable[StoredDestination], runs: Mapping[str, MirrorRuns], now: datetime) -> list[OverviewRow]:
    """Judge every destination against its promise. The worst rows come first, then those furthest behind."""
    rows = [overview_row(destination, runs.get(destination.mirror), now) for destination in stored]
    return sorted(rows, key=_order)


def _order(row: OverviewRow) -> tuple[int, float, str, str]:
    behind = row.oldest_lacking.age_seconds if row.oldest_lacking else 0.0
    return Judgement(status=row.status).severity, -behind, row.mirror, row.destination


def overview_row(stored: StoredDestination, runs: MirrorRuns | None, now: datetime) -> OverviewRow:
    """The row of one destination."""
    stored = as_disabled(stored, runs)
    judged = judge_routes(stored, now)
    by_status = _count(judgement.status for judgement in judged.values())
    problems = [*judge_whole(stored, runs, now), *_judge_together(by_status)]
    problems.sort(key=lambda judgement: judgement.severity)
    figures, state = stored.figures, stored.state
    row = OverviewRow(
        mirror=stored.mirror,
        destination=stored.destination,
        status=worst(problems).status,
        reasons=tuple(judgement.reason for judgement in problems),
        routes=len(figures),
        routes_by_status=by_status,
        tags=_sum_tags(figures.values()),
        oldest_lacking=_oldest_lacking(stored, now),
        failing_since=min(
            (row.failing_since for row in due_figures(stored, now).values() if row.failing_since), default=None
        ),
        arrival_seconds=_percentile([row.lag_seconds for row in figures.values() if row.lag_seconds is not None]),
        runs=runs,
    )
    return _with_state(row, stored, state, now) if state else row


def _with_state(row: OverviewRow, stored: StoredDestination, state: DestinationState, now: datetime) -> OverviewRow:
    due = due_figures(stored, now)
    looks = (last_look(figures, listed_at(stored, name)) for name, figures in due.items())
    return replace(
        row,
        host=state.host,
        source_host=state.source_host,
        fresh_within=state.fresh_within,
        looked_at=min(looks, default=state.listed_at),
        complete_at=state.complete_at,
        summary=state.summary,
        changed_at=state.changed_at,
        problem=state.problem,
        unreported=state.unreported,
    )


def _judge_together(by_status: Mapping[Status, int]) -> Iterator[Judgement]:
    """One judgement for all routes of a status, without those in sync."""
    routes = sum(by_status.values())
    for status, count in by_status.items():
        is_part = status == "disabled" and count < routes  # it must not look as if all were disabled
        counted = f"{count} of {routes} routes" if is_part else f"{count} route{'' if count == 1 else 's'}"
        if status != "in_sync":
            yield Judgement(status=status, reason=f"{counted} {_WORDS[status]}")


_WORDS: Mapping[Status, str] = {
    "failing": "failing",
    "stale": "behind the promise",
    "unknown": "unknown",
    "paused": "paused",
    "locked": "with locked tags",
    "missing": "with missing or changed tags",
    "disabled": "disabled",
}


def _count(statuses: Iterable[Status]) -> dict[Status, int]:
    counted = Counter(statuses)
    return {status: counted[status] for status in SEVERITY if counted[status]}


def _sum_tags(figures: Iterable[RouteFigures]) -> TagCounts:
    rows = list(figures)
    return TagCounts(
        selected=sum(row.selected for row in rows),
        in_sync=sum(row.in_sync for row in rows),
        missing=sum(row.missing for row in rows),
        changed=sum(row.changed for row in rows),
        failing=sum(row.failing for row in rows),
        locked=sum(row.locked for row in rows),
        kept=sum(row.kept for row in rows),
    )


def _oldest_lacking(stored: StoredDestination, now: datetime) -> OldestLacking | None:
    times = [(row.oldest_lacking, name) for name, row in due_figures(stored, now).items() if row.oldest_lacking]
    if not times or stored.state is None:
        return None
    since, route = min(times)
    source = f"{stored.state.source_host}/{source_of(route)}"
    return OldestLacking(route=route, source=source, since=since, age_seconds=age_seconds(since, now))


def _percentile(values: list[float]) -> float | None:
    """The smallest value that 95 % of the values do not exceed."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)] if values else None
