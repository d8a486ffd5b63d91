"""The JSON twins of the pages below ``/api/``, with the same rights. docs/status.md describes each field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import Offset
from registry_sync.errors import ConfigurationError
from registry_sync.state.judging.freshness import Status
from registry_sync.state.lookup import queries
from registry_sync.state.lookup.answers import (
    change_answer,
    failing_answer,
    find_answer,
    overview_answer,
    page_answer,
    repository_answer,
    route_answer,
)
from registry_sync.state.lookup.history import changes_since
from registry_sync.state.lookup.page import page_of

router = APIRouter(prefix="/api")

Limit = Annotated[int, Query(ge=1, le=500)]
Name = Annotated[str, Query(max_length=300, pattern=r"^[^\x00-\x1f]*$")]
"""PostgreSQL takes no text with a zero byte, and no name has a control character."""

Hours = Annotated[float, Query(gt=0, le=90 * 24)]


@router.get("/overview")
def overview(
    _: Caller,
    states: States,
    mirror: Name = "",
    destination: Name = "",
    offset: Offset = 0,
    limit: Limit = 500,
) -> dict[str, Any]:
    """Every mirror and destination, the worst first."""
    rows = queries.get_overview(states, _now(), mirror=mirror, destination=destination)
    return {"notes": list(queries.overview_notes(states)), **page_answer(page_of(rows, offset, limit), overview_answer)}


@router.get("/routes")
def routes(
    _: Caller,
    states: States,
    mirror: Name = "",
    destination: Name = "",
    status: Status | Literal[""] = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Every repository and destination, the worst first."""
    page = queries.list_routes(
        states,
        _now(),
        mirror=mirror,
        destination=destination,
        status=status,
        offset=offset,
        limit=limit,
    )
    return {"notes": list(page.notes), **page_answer(page, route_answer)}


@router.get("/repositories/{source:path}")
def repository(
    source: str, _: Caller, states: States, tag: Name = "", offset: Offset = 0, limit: Limit = 100
) -> dict[str, Any]:
    """The tags of a source repository, and where each is."""
    view = queries.get_repository(states, _now(), source, tag=tag, offset=offset, limit=limit)
    if not view.columns:
        raise HTTPException(404, f"There is no state of {source!r}, or you may not read its mirror.")
    return repository_answer(view)


@router.get("/find")
def find(
    q: Annotated[str, Query(max_length=1000)],
    _: Caller,
    states: States,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """The places of an image, by part of a name, name and tag, or part of a digest."""
    try:
        found = queries.find(states, _now(), q, offset=offset, limit=limit)
    except ConfigurationError as error:
        raise HTTPException(422, str(error)) from error
    return find_answer(q, found)


@router.get("/changes")
def changes(
    _: Caller,
    states: States,
    hours: Hours = 24,
    mirror: Name = "",
    destination: Name = "",
    repository: Name = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Tags that arrived, moved, were backed up, repaired or deleted, the newest run first."""
    since = _now() - timedelta(hours=hours)
    found = changes_since(
        states,
        since,
        mirror=mirror,
        destination=destination,
        repository=repository,
        offset=offset,
        limit=limit,
    )
    return {"unreadable": found.unreadable, **page_answer(found.page, change_answer)}


@router.get("/failing")
def failing(
    _: Caller,
    states: States,
    mirror: Name = "",
    destination: Name = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Failing routes and tags, with start and advice, the oldest first."""
    page = queries.list_failing(states, _now(), mirror=mirror, destination=destination, offset=offset, limit=limit)
    return {"notes": list(page.notes), **page_answer(page, failing_answer)}


def _now() -> datetime:
    return datetime.now(UTC)
