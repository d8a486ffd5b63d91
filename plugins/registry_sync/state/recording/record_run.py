"""Record a run at a destination: its summary, and the rows of its routes. Pure: no clock and no Airflow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.names import source_of
from registry_sync.state.recording.index import update_index
from registry_sync.state.route import Problem
from registry_sync.state.run_row import RunRow
from registry_sync.state.runs import is_push_run
from registry_sync.sync.view import Failure

MAX_UNREPORTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRoutes:
    """All routes of a mirror to a destination, of a run that listed them completely.

    :ivar names: of the routes in the state.
    :ivar kept_sources: source repositories that have no route in this run, but must not be forgotten: they fail, or are
        private and not listed any more.
    """

    names: frozenset[str]
    kept_sources: frozenset[str] = frozenset()

    def has(self, route: str) -> bool:
        """Return whether a route of the index still exists."""
        return route in self.names or source_of(route) in self.kept_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfDestination:
    """A run at one destination, not a dry run.

    :ivar listed: ``None`` when the run did not list all routes, because of its parameters or a failure.
    :ivar looks_at_all: routes that it skipped have no push since their last look. False for a window in the past, and
        for a run of some tags.
    :ivar rows: of the tasks that left one; ``unreported`` are the names of routes of which nothing was stored.
    :ivar disabled: routes that the run left out because they are disabled, and until when.
    :ivar failed: rows of repositories that have no route, by name.
    :ivar listed_again: rows of namespaces that could not be listed earlier, of a run that listed them, but not all.
    :ivar listing_failure: set when the routes could not be listed.
    :ivar is_of_pushes: events started it, so that it says nothing about the schedule or about all routes.
    """

    mirror: str
    destination: str
    host: str
    source_host: str
    run_id: str
    ended_at: datetime
    is_failed: bool
    summary: str
    listed: ListedRoutes | None = None
    looks_at_all: bool = False
    rows: Sequence[RunRow] = ()
    failed: Mapping[str, RouteFigures]
    listed_again: Collection[str] = ()
    unreported: Sequence[str] = ()
    disabled: Mapping[str, datetime | None] = field(default_factory=dict)
    listing_failure: Failure | None = None
    fresh_within: float | None = None
    is_of_pushes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRecord:
    """The state of a destination, its index, and the routes that no longer exist."""

    state: DestinationState
    parts: tuple[RouteIndex, ...]
    gone: tuple[str, ...] = ()


def record_run(
    run: RunOfDestination, earlier: DestinationState | None, parts: Sequence[RouteIndex]
) -> DestinationRecord:
    """The record after a run. Rows of routes that it did not look at stay as they are.

    :param earlier: ``None`` when nothing is known, or when the state is of another registry.
    """
    before = earlier or _nothing_known(run)
    gone = _gone(run, parts)
    unreported = _unreported(run, before)
    rows = {row.route: row.figures for row in run.rows if row.figures} | dict(run.failed)
    rows = dict(_switched(run, parts)) | rows
    updated = update_index(parts, rows, gone)
    is_changed = any(row.changes.total for row in run.rows)
    changed_at = run.ended_at if is_changed else before.changed_at
    if run.is_of_pushes and earlier:
        state = _after_pushes(run, earlier, unreported)
    else:
        state = _after_run(run, before, unreported)
    state = replace(
        state, index_parts=len(updated), unreported=tuple(unreported[:MAX_UNREPORTED]), changed_at=changed_at
    )
    return DestinationRecord(state=state, parts=tuple(updated), gone=gone)


def _after_pushes(run: RunOfDestination, before: DestinationState, unreported: Sequence[str]) -> DestinationState:
    """The summary after a run for pushes. The last run stays the last one that looked at all pushes.

    Otherwise nobody would notice that the schedule starts no runs. For the same reason, a failure of a scheduled run to
    list all routes is kept until such a run lists them. One of a run for pushes ends with the next of these.
    """
    known = before.problem
    problem = known if known and not is_push_run(known.run_id) else _problem(run, known)
    return replace(before, listed_at=_listed_at(run, before, unreported), problem=problem)


def _after_run(run: RunOfDestination, before: DestinationState, unreported: Sequence[str]) -> DestinationState:
    is_complete = _is_complete(run)
    return DestinationState(
        mirror=run.mirror,
        destination=run.destination,
        host=run.host,
        source_host=run.source_host,
        run_id=run.run_id,
        run_ended=run.ended_at,
        is_failed=run.is_failed,
        summary=run.summary,
        listed_at=_listed_at(run, before, unreported),
        complete_run_id=run.run_id if is_complete else before.complete_run_id,
        complete_at=run.ended_at if is_complete else before.complete_at,
        problem=_problem(run, before.problem),
        fresh_within=run.fresh_within,
    )


def _switched(run: RunOfDestination, parts: Sequence[RouteIndex]) -> Iterator[tuple[str, RouteFigures]]:
    """The rows of routes that are disabled, or that a run which listed all found to be enabled again."""
    earlier = {name: row for part in parts for name, row in part.routes.items()}
    for name, until in run.disabled.items():
        row = earlier.get(name, RouteFigures(looked_at=run.ended_at))
        yield name, replace(row, is_disabled=True, disabled_until=until)
    for name, row in earlier.items():
        if row.is_disabled and run.listed and name in run.listed.names and name not in run.disabled:
            yield name, replace(row, is_disabled=False, disabled_until=None)


def _nothing_known(run: RunOfDestination) -> DestinationState:
    return DestinationState(
        mirror=run.mirror,
        destination=run.destination,
        host=run.host,
        source_host=run.source_host,
        run_id=run.run_id,
        run_ended=run.ended_at,
    )


def _gone(run: RunOfDestination, parts: Sequence[RouteIndex]) -> tuple[str, ...]:
    """The routes of the index that no longer exist, by a run that listed all, and failures of namespaces that ended."""
    new: Collection[str] = run.failed
    return tuple(name for part in parts for name in part.routes if _has_ended(run, name) and name not in new)


def _has_ended(run: RunOfDestination, name: str) -> bool:
    return name in run.listed_again or (run.listed is not None and not run.listed.has(name))


def _unreported(run: RunOfDestination, before: DestinationState) -> list[str]:
    """The routes whose last task left nothing. A run of some routes or tags says nothing about the others."""
    if run.listed and run.looks_at_all:
        return list(run.unreported)
    told = {row.route for row in run.rows if row.figures} | set(run.unreported)
    earlier = [name for name in before.unreported if name not in told and (not run.listed or run.listed.has(name))]
    return [*run.unreported, *earlier]


def _listed_at(run: RunOfDestination, before: DestinationState, unreported: Sequence[str]) -> datetime | None:
    """Return the time of the last look at all routes but the unreported ones, which have to fit in the state."""
    fits = len(unreported) <= MAX_UNREPORTED
    if run.listed and run.looks_at_all and fits:
        return run.ended_at
    return before.listed_at if fits or not before.unreported else None


def _is_complete(run: RunOfDestination) -> bool:
    """Return whether the run compared all tags of all routes."""
    if run.listed is None or run.failed or run.unreported:
        return False
    return {row.route for row in run.rows if row.is_complete and row.figures} >= (
        run.listed.names - run.disabled.keys()
    )


def _problem(run: RunOfDestination, known: Problem | None) -> Problem | None:
    """The failure of the listing, with its history. Several tries of one run count once."""
    if run.listing_failure is None:
        return None
    return Problem(
        error_class=run.listing_failure.error_class,
        reason=run.listing_failure.reason,
        since=known.since if known else run.ended_at,
        tries=known.tries + (known.run_id != run.run_id) if known else 1,
        run_id=run.run_id,
    )
