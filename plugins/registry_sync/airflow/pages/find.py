"""Find an image: the search box of every page."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import Offset
from registry_sync.airflow.pages.rendering import render
from registry_sync.errors import ConfigurationError
from registry_sync.state.lookup import queries

router = APIRouter()

REPOSITORIES = 20
"""Repositories on one page."""


@router.get("/find")
def find(request: Request, _: Caller, states: States, q: str = "", offset: Offset = 0) -> HTMLResponse:
    """The page.

    :param q: what the person wrote.
    """
    found, fault = None, ""
    try:
        found = queries.find(states, datetime.now(UTC), q, offset=offset, limit=REPOSITORIES) if q.strip() else None
    except ConfigurationError as error:
        fault = str(error)
    return render(request, "find.html", {"query": q, "found": found, "fault": fault})
