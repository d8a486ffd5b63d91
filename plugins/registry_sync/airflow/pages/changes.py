"""Changes of runs at the destinations in the last day or week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import Offset
from registry_sync.airflow.pages.rendering import render
from registry_sync.state.lookup.history import changes_since

router = APIRouter()

RUNS = 50
"""Runs on one page."""


@router.get("/changes")
def changes(
    request: Request,
    _: Caller,
    states: States,
    hours: Literal["24", "168"] = "24",
    mirror: str = "",
    destination: str = "",
    offset: Offset = 0,
) -> HTMLResponse:
    """The page. Empty parameters select all."""
    since = datetime.now(UTC) - timedelta(hours=int(hours))
    changed = changes_since(states, since, mirror=mirror, destination=destination, offset=offset, limit=RUNS)
    values = {"hours": hours, "since": since, "mirror": mirror, "destination": destination}
    return render(request, "changes.html", {"changed": changed, **values})
