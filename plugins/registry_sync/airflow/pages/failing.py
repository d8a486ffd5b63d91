"""Everything that fails, the oldest first, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import ROWS, Offset
from registry_sync.airflow.pages.rendering import render
from registry_sync.state.lookup.queries import list_failing

router = APIRouter()


@router.get("/failing")
def failing(
    request: Request, _: Caller, states: States, mirror: str = "", destination: str = "", offset: Offset = 0
) -> HTMLResponse:
    """The page. Empty parameters select all."""
    page = list_failing(states, datetime.now(UTC), mirror=mirror, destination=destination, offset=offset, limit=ROWS)
    return render(request, "failing.html", {"page": page, "mirror": mirror, "destination": destination})
