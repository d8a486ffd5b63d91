"""All routes, or those of one mirror, destination or status: the worst first."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import ROWS, Offset
from registry_sync.airflow.pages.rendering import render
from registry_sync.state.judging.freshness import SEVERITY
from registry_sync.state.lookup.queries import list_routes

router = APIRouter()


@router.get("/routes")
def routes(
    request: Request,
    _: Caller,
    states: States,
    mirror: str = "",
    destination: str = "",
    status: str = "",
    offset: Offset = 0,
) -> HTMLResponse:
    """The page. Empty parameters select all."""
    page = list_routes(
        states,
        datetime.now(UTC),
        mirror=mirror,
        destination=destination,
        status=status,
        offset=offset,
        limit=ROWS,
    )
    values = {"mirror": mirror, "destination": destination, "status": status}
    return render(request, "route_list.html", {"page": page, "statuses": SEVERITY, **values})
