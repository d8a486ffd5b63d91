"""The failing routes with their failing tags, start and advice, the oldest problem first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from registry_sync.state.document import StateError, read_document
from registry_sync.state.lookup.advice import advice
from registry_sync.state.lookup.page import Page, page_of
from registry_sync.state.names import destination_of, source_of
from registry_sync.state.route import Problem, RouteState
from registry_sync.state.store import StateReader
from registry_sync.state.stored_destination import StoredDestination, due_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingTag:
    """One problem with its advice. ``tag`` is ``None`` when the route as a whole fails."""

    problem: Problem
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingRoute:
    """A route that fails, or a destination whose routes cannot be listed.

    :ivar route: empty when the routes cannot be listed. ``source`` and ``repository`` are then the registries' hosts.
    :ivar since: when its oldest problem began.
    :ivar problems: the oldest first, as far as they are stored; ``problem_count``: number of all.
    :ivar run_id: the run of the last look, and its task: ``task_id``, ``map_index``; empty when unknown.
    """

    mirror: str
    destination: str
    route: str = ""
    source: str
    repository: str
    since: datetime
    problems: tuple[FailingTag, ...] = ()
    problem_count: int = 1
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1


def failing_routes(
    reader: StateReader, stored: Iterable[StoredDestination], now: datetime, *, offset: int, limit: int
) -> Page[FailingRoute]:
    """Read one page of failures."""
    routes = sorted(
        _all_failing(stored, now), key=lambda route: (route.since, route.source, route.mirror, route.destination)
    )
    page = page_of(routes, offset, limit)
    keys = [(route.mirror, route.destination, route.route) for route in page.items if route.route]
    documents = reader.read(keys)
    items = [
        _with_problems(route, documents.get((route.mirror, route.destination, route.route))) for route in page.items
    ]
    return replace(page, items=tuple(items))


def _all_failing(stored: Iterable[StoredDestination], now: datetime) -> Iterator[FailingRoute]:
    for destination in stored:
        state = destination.state
        if state is None or destination.disabled:
            continue
        if state.problem is not None:
            yield FailingRoute(
                mirror=destination.mirror,
                destination=destination.destination,
                source=state.source_host,
                repository=state.host,
                since=state.problem.since,
                problems=(_failing_tag(state.problem),),
                run_id=state.run_id,
            )
        for name, figures in due_figures(destination, now).items():
            is_lost = name in state.unreported
            if not (figures.failing or figures.failing_since or is_lost):
                continue
            lost = Problem(error_class="unreported", reason="its task left no result", since=state.run_ended)
            yield FailingRoute(
                mirror=destination.mirror,
                destination=destination.destination,
                route=name,
                source=f"{state.source_host}/{source_of(name)}",
                repository=f"{state.host}/{destination_of(name)}",
                since=figures.failing_since or (state.run_ended if is_lost else figures.looked_at),
                problems=(_failing_tag(lost),) if is_lost else (),
            )


def _with_problems(route: FailingRoute, document: Any) -> FailingRoute:
    """The route with the problems of its own document, which follow those of its destination."""
    if not route.route:
        return route
    try:
        state = read_document(RouteState, document)
    except StateError as error:
        reason = str(error) if document is not None else "the state of the route is missing"
        unread = _failing_tag(Problem(error_class="unknown", reason=reason, since=route.since))
        return replace(route, problems=(*route.problems, unread))
    problems = tuple(map(_failing_tag, sorted(state.problems, key=lambda problem: problem.since)))
    return replace(
        route,
        problems=(*route.problems, *problems),
        problem_count=len(route.problems) + max(state.problem_count, len(problems)),
        run_id=state.run_id,
        task_id=state.task_id,
        map_index=state.map_index,
    )


def _failing_tag(problem: Problem) -> FailingTag:
    return FailingTag(problem=problem, advice=advice(problem.error_class))
