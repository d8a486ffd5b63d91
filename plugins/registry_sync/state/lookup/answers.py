"""Answers to queries as JSON-simple data: the JSON twins of pages, and ``--json`` of commands.

Every field is always there. Times are ISO 8601 in UTC, durations are seconds, and unknown values are ``null``.
docs/status.md describes each field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from registry_sync.registry.web_pages import web_page
from registry_sync.state.changes import ChangeEvent
from registry_sync.state.destination import RouteFigures
from registry_sync.state.lookup.failing import FailingRoute, FailingTag
from registry_sync.state.lookup.find import Found, FoundRepository
from registry_sync.state.lookup.overview import OverviewRow
from registry_sync.state.lookup.page import Page
from registry_sync.state.lookup.queries import RepositoryView
from registry_sync.state.lookup.route_list import RouteRow
from registry_sync.state.lookup.tag_matrix import Cell, Column, TagRow
from registry_sync.state.pushes import PushesState
from registry_sync.state.route import Problem
from registry_sync.state.runs import MirrorRuns, PushRuns, Run

Item = TypeVar("Item")
Json = dict[str, Any]


def page_answer(page: Page[Item], item: Callable[[Item], Json]) -> Json:
    """A page of items."""
    return {"total": page.total, "offset": page.offset, "limit": page.limit, "items": list(map(item, page.items))}


def overview_answer(row: OverviewRow) -> Json:
    """One row of the overview."""
    oldest = row.oldest_lacking
    return {
        "mirror": row.mirror,
        "destination": row.destination,
        "host": row.host,
        "source_host": row.source_host,
        "status": row.status,
        "is_broken": row.is_broken,
        "reasons": list(row.reasons),
        "routes": row.routes,
        "routes_by_status": dict(row.routes_by_status),
        "tags": asdict(row.tags),
        "oldest_lacking": oldest
        and {
            "source": oldest.source,
            "route": oldest.route,
            "tag": oldest.tag,
            "since": _time(oldest.since),
            "age_seconds": oldest.age_seconds,
        },
        "fresh_within_seconds": row.fresh_within,
        "failing_since": _time(row.failing_since),
        "arrival_seconds": row.arrival_seconds,
        "looked_at": _time(row.looked_at),
        "complete_at": _time(row.complete_at),
        "changed_at": _time(row.changed_at),
        "summary": row.summary,
        "problem": row.problem and _problem(row.problem),
        "unreported": list(row.unreported),
        "dag": row.runs and _dag(row.runs),
        "events": row.pushes and _pushes(row.pushes),
    }


def _pushes(pushes: PushesState) -> Json:
    return {
        "received_at": _time(pushes.events.received_at if pushes.events else None),
        "chained_at": _time(pushes.events.chained_at if pushes.events else None),
        "lost_total": pushes.lost.total,
        "lost": [{**asdict(tag), "found_at": _time(tag.found_at)} for tag in pushes.lost.tags],
    }


def route_answer(row: RouteRow) -> Json:
    """One route."""
    return {
        "mirror": row.mirror,
        "destination": row.destination,
        "route": row.route,
        "source": row.source,
        "repository": row.repository,
        "status": row.status,
        "reason": row.reason,
        "since": _time(row.since),
        **_figures(row.figures),
    }


def repository_answer(view: RepositoryView) -> Json:
    """A source repository with its tags and destinations."""
    page = view.page
    return {
        "source": view.source,
        "page_url": _page_url(view.source),
        "destinations": list(map(_column, view.columns)),
        "total": page.total,
        "offset": page.offset,
        "limit": page.limit,
        "items": [_tag_row(row, view.columns) for row in page.items],
    }


def find_answer(query: str, found: Found) -> Json:
    """The answer to a search."""
    return {"query": query, "notes": list(found.notes), **page_answer(found.page, _found_repository)}


def change_answer(event: ChangeEvent) -> Json:
    """The changes of one run at one destination."""
    return {
        "mirror": event.mirror,
        "destination": event.destination,
        "host": event.host,
        "run_id": event.run_id,
        "at": _time(event.at),
        "total": event.total,
        "changes": [asdict(change) for change in event.changes],
    }


def failing_answer(route: FailingRoute) -> Json:
    """A failing route with its problems."""
    return {
        "mirror": route.mirror,
        "destination": route.destination,
        "route": route.route,
        "source": route.source,
        "repository": route.repository,
        "since": _time(route.since),
        "problem_count": route.problem_count,
        "problems": list(map(_failing_tag, route.problems)),
        "run_id": route.run_id,
        "task_id": route.task_id,
        "map_index": route.map_index,
    }


def _failing_tag(tag: FailingTag) -> Json:
    return {**_problem(tag.problem), "advice": tag.advice}


def _found_repository(found: FoundRepository) -> Json:
    return {
        "source": found.source,
        "page_url": _page_url(found.source),
        "destinations": list(map(_column, found.columns)),
        "tag_total": found.total,
        "tags": [_tag_row(row, found.columns) for row in found.rows],
    }


def _column(column: Column) -> Json:
    state = column.state
    return {
        "mirror": column.mirror,
        "destination": column.destination,
        "route": column.route,
        "repository": column.repository,
        "page_url": _page_url(column.repository),
        "status": column.judgement.status,
        "reason": column.judgement.reason,
        "since": _time(column.judgement.since),
        **_figures(column.figures),
        "looked_at": _time(column.looked_at),
        "problem_count": state.problem_count if state else None,
        "problems": [_problem(problem) for problem in state.problems] if state else [],
        "run_id": state.run_id if state else "",
        "task_id": state.task_id if state else "",
        "map_index": state.map_index if state else -1,
        "faults": list(column.faults),
    }


def _tag_row(row: TagRow, columns: Iterable[Column]) -> Json:
    return {
        "tag": row.tag,
        "is_lacking": row.is_lacking,
        "destinations": [
            {"mirror": column.mirror, "destination": column.destination, "repository": column.repository, **_cell(cell)}
            for column, cell in zip(columns, row.cells, strict=True)
        ],
    }


def _cell(cell: Cell) -> Json:
    return {
        "status": cell.status,
        "digest": cell.digest,
        "pushed_at": _time(cell.pushed_at),
        "first_seen": _time(cell.first_seen),
        "published_at": _time(cell.published_at),
        "lag_seconds": cell.lag_seconds,
        "problem": cell.problem and _problem(cell.problem),
    }


def _figures(figures: RouteFigures) -> Json:
    counts = ("selected", "in_sync", "missing", "changed", "failing", "locked", "kept")
    return {
        "tags": {name: getattr(figures, name) for name in counts},
        "looked_at": _time(figures.looked_at),
        "complete_at": _time(figures.complete_at),
        "oldest_lacking": _time(figures.oldest_lacking),
        "failing_since": _time(figures.failing_since),
        "lag_seconds": figures.lag_seconds,
        "fresh_within_seconds": figures.fresh_within,
        "is_disabled": figures.is_disabled,
        "disabled_until": _time(figures.disabled_until),
    }


def _problem(problem: Problem) -> Json:
    return {
        "tag": problem.tag,
        "error_class": problem.error_class,
        "reason": problem.reason,
        "since": _time(problem.since),
        "tries": problem.tries,
    }


def _dag(runs: MirrorRuns) -> Json:
    return {
        "dag_id": runs.dag_id,
        "is_paused": runs.is_paused,
        "is_gone": runs.is_gone,
        "disabled": runs.disabled or None,
        "next_run_at": _time(runs.next_run_at),
        "last_run": runs.last and _run(runs.last),
        "running": runs.running and _run(runs.running),
        "pushes": runs.pushes and _push_runs(runs.pushes),
    }


def _push_runs(runs: PushRuns) -> Json:
    return {"dag_id": runs.dag_id, "is_paused": runs.is_paused, "last_run": runs.last and _run(runs.last)}


def _run(run: Run) -> Json:
    return {
        "run_id": run.run_id,
        "state": run.state,
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
    }


def _page_url(repository: str) -> str | None:
    host, _, name = repository.partition("/")
    return web_page(host, name)


def _time(time: datetime | None) -> str | None:
    """A time in UTC with whole seconds, such as ``2026-11-29T02:45:00Z``."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if time else None
