"""One source repository: its tags by its destinations, what fails, and the button that runs it again."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from registry_sync.airflow.pages.access import Caller, States
from registry_sync.airflow.pages.paging import ROWS, Offset
from registry_sync.airflow.pages.rendering import render
from registry_sync.state.lookup.advice import advice
from registry_sync.state.lookup.queries import get_repository

router = APIRouter()


@router.get("/repository")
def repository(
    request: Request, caller: Caller, states: States, name: str, tag: str = "", offset: Offset = 0
) -> HTMLResponse:
    """The page.

    :param name: whole name of the source repository, such as ``quay.io/team/app``.
    :param tag: only tags that begin with this.
    :raises HTTPException: 404 when no route that the caller may read has this source.
    """
    view = get_repository(states, datetime.now(UTC), name, tag=tag, offset=offset, limit=ROWS)
    if not view.columns:
        raise HTTPException(404, f"No mirror that you may see has the repository {name!r}.")
    mirrors = sorted({column.mirror for column in view.columns})
    runnable = [mirror for mirror in mirrors if caller.may_run(mirror)]
    values = {"view": view, "tag": tag, "repository": name.partition("/")[2], "runnable": runnable, "advice": advice}
    return render(request, "repository.html", values)
