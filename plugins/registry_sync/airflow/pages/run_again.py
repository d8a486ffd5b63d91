"""Start a run of one repository, for those who may trigger the DAG of its mirror."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.models.dag import DagModel
from airflow.sdk.exceptions import AirflowException
from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from registry_sync.airflow.ids import dag_id
from registry_sync.airflow.pages.access import Caller, Reader, read_caller
from registry_sync.airflow.pages.headers import require_own_script
from registry_sync.airflow.pages.rendering import Urls
from registry_sync.airflow.states.stored_states import StoredStates
from registry_sync.routes.disabled import until_text
from registry_sync.state.destination import RouteFigures, disabled_at
from registry_sync.state.names import source_of
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.stored_destination import read_destinations

router = APIRouter()


MAX_BODY_BYTES = 10_000


class RunAgain(BaseModel):
    """The body of the request. ``repository``: name of a source repository, without its registry."""

    model_config = ConfigDict(extra="forbid")

    mirror: str
    repository: str


async def read_body(request: Request) -> RunAgain:
    """Read the body after the checks of the caller; FastAPI would answer for a malformed one before them.

    :raises HTTPException: 413 or 422.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        return RunAgain.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise HTTPException(422, ": ".join([*map(str, wrong["loc"]), wrong["msg"]])) from None


@router.post("/api/run-again", dependencies=[Depends(read_caller), Depends(require_own_script)])
def run_again(
    request: Request, caller: Caller, body: Annotated[RunAgain, Depends(read_body)], session: SessionDep
) -> dict[str, str]:
    """Trigger the DAG of a mirror for one repository, to all its destinations.

    :raises HTTPException: 404 for what the caller may not read, 403 without the right to trigger, 409 when the DAG
        cannot run.
    """
    caller.require(body.mirror)
    _require_right(caller, body.mirror)
    states = StoredStates(session, {body.mirror})
    rows = _require_repository(states, body)
    dag = _require_dag(session, body.mirror)
    _require_enabled(states.runs().get(body.mirror), rows, body)
    run_id = _trigger(dag, body.repository, caller, session)
    return {"run_id": run_id, "url": Urls(request).airflow("dags", dag, "runs", run_id)}


def _trigger(dag: str, repository: str, caller: Reader, session: Any) -> str:
    try:
        run = trigger_dag(
            dag,
            triggered_by=DagRunTriggeredByType.UI,
            triggering_user_name=caller.name,
            conf={"repositories": [repository]},
            session=session,
        )
    except (AirflowException, ValueError) as error:
        raise HTTPException(409, f"Airflow started no run of {dag}: {error}") from None
    return str(run.run_id) if run else ""


def _require_right(caller: Reader, mirror: str) -> None:
    if not caller.may_run(mirror):
        raise HTTPException(403, f"You may not trigger the DAG {dag_id(mirror)}.")


def _require_repository(states: StoredStates, body: RunAgain) -> list[RouteFigures]:
    """The rows of the repository's routes in the state of the mirror's last runs.

    A repository that these runs did not have is refused: a run for such a name would fail.
    """
    rows = [
        row
        for stored in read_destinations(states)
        for route, row in stored.figures.items()
        if source_of(route) == body.repository
    ]
    if not rows:
        raise HTTPException(
            404, f"The runs of the mirror {body.mirror!r} have found no repository {body.repository!r}."
        )
    return rows


def _require_enabled(runs: MirrorRuns | None, rows: Sequence[RouteFigures], body: RunAgain) -> None:
    """Refuse a run that would copy nothing, because all of the mirror or of the repository is disabled."""
    now, what, text = datetime.now(UTC), f"mirror {body.mirror}", runs.disabled if runs else ""
    if not text and all(disabled_at(row, now) for row in rows):
        what, text = f"repository {body.repository}", until_text(rows[0].disabled_until)
    if text:
        raise HTTPException(
            409, f"The {what} is {text}. Remove enabled: false from the mirrors file, or the run would copy nothing."
        )


def _require_dag(session: Any, mirror: str) -> str:
    """The id of a DAG that can run now. Runs of a paused DAG would wait silently."""
    dag = session.get(DagModel, dag_id(mirror))
    if dag is None or dag.is_stale or dag.has_import_errors:
        raise HTTPException(409, f"Airflow cannot run the DAG {dag_id(mirror)}: see its import errors.")
    if dag.is_paused:
        raise HTTPException(409, f"The DAG {dag.dag_id} is paused. Unpause it, or the run would wait.")
    return str(dag.dag_id)
