"""The overview: every mirror and destination that the caller may read, those that need attention first."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.nodes import WORDS, nodes_table
from registry_sync.airflow.pages.rendering import render
from registry_sync.airflow.receiver.problems import event_problems
from registry_sync.airflow.receiver.secrets import KEPT
from registry_sync.state.lookup.queries import get_overview, overview_notes

router = APIRouter()


@router.get("/")
def overview(request: Request, caller: Caller, states: States, session: SessionDep, mirror: str = "") -> HTMLResponse:
    """The default page.

    :param mirror: show only this one.
    """
    rows = get_overview(states, datetime.now(UTC), mirror=mirror)
    broken = sum(row.is_broken for row in rows)
    notes = [*overview_notes(states), *event_problems(session, caller.mirrors, KEPT)]
    values = {"notes": notes, "rows": rows, "broken": broken, "mirror": mirror, "nodes": nodes_table(caller, session)}
    return render(request, "overview.html", {**values, "start_words": WORDS})
