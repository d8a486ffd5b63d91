"""Run the DAG ``mirrors_check``, wait for it, and read its findings from Airflow's database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.configuration import conf
from airflow.exceptions import DagNotFound, ParamValidationError
from airflow.models.dag import DagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.execution_time.xcom import XCom
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import CHECK_DAG, FINDINGS_KEY
from registry_sync.airflow.states.open_database import open_database
from registry_sync.checks.finding import Finding
from registry_sync.checks.places import Place, list_places, task_names
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import ConfigurationError

POLL_SECONDS = 1.0

NOT_IN_DAG = "not in the DAG"

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed", NOT_IN_DAG})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTask:
    """A check task of the run, as Airflow made it from the mirrors file that its DAG processor read."""

    state: str
    queue: str | None
    pool: str

    def is_of(self, place: Place) -> bool:
        """Return whether it runs in the queue and pool of a place."""
        queue = place.queue or conf.get_mandatory_value("operators", "default_queue")
        return (self.queue, self.pool) == (queue, place.pool)


def check_on_workers(file: MirrorsFile, *, wait_seconds: float, tell: Callable[[str], None]) -> Sequence[Finding]:
    """Run the checks on a worker of each queue and pool of the file, and return their findings.

    :param wait_seconds: how long a task may take, from the start of the run.
    :param tell: called with a line for each change of a task's state.
    :raises ConfigurationError: when Airflow has no such DAG, or it is paused, or this machine has no database.
    :raises TemporaryError: when the database does not respond.
    """
    places = list_places(file)
    tasks = dict(zip(task_names(places), places, strict=True))
    run_id = _start()
    tell(f"run {run_id} of {CHECK_DAG}, {len(tasks)} tasks")
    seen = _wait(run_id, tasks, wait_seconds, tell)
    with open_database() as session:
        results = _read_results(session, run_id)
    return [
        finding
        for task, place in tasks.items()
        for finding in findings_of_task(task, place, seen.get(task), results.get(task))
    ]


def _start() -> str:
    with open_database() as session:
        dag = session.get(DagModel, CHECK_DAG)
        if dag is None or dag.is_stale:
            raise ConfigurationError(
                f"Airflow has no DAG {CHECK_DAG}: the DAG processor has not read the DAG file of the mirrors yet, or "
                "met an error in it (airflow dags list-import-errors)"
            )
        if dag.is_paused:
            raise ConfigurationError(f"the DAG {CHECK_DAG} is paused; type: airflow dags unpause {CHECK_DAG}")
        try:
            run = trigger_dag(CHECK_DAG, triggered_by=DagRunTriggeredByType.CLI, session=session)
        except (DagNotFound, ParamValidationError) as error:
            raise ConfigurationError(f"the DAG {CHECK_DAG} cannot be started: {error}") from error
        if run is None:
            raise ConfigurationError(f"the DAG {CHECK_DAG} cannot be started")
        return str(run.run_id)


def _wait(
    run_id: str, tasks: Mapping[str, Place], wait_seconds: float, tell: Callable[[str], None]
) -> Mapping[str, SeenTask]:
    """Wait until each check task has ended, and return those that the run has."""
    states: dict[str, str] = {}
    deadline = time.monotonic() + wait_seconds
    while True:
        with open_database() as session:
            seen = _read_tasks(session, run_id)
        for task, place in tasks.items():
            state = seen[task].state if task in seen else NOT_IN_DAG
            if state != states.get(task):
                tell(f"{place.label}: {state}")
            states[task] = state
        if all(state in _ENDED for state in states.values()) or time.monotonic() >= deadline:
            return seen
        time.sleep(POLL_SECONDS)


def _read_tasks(session: Session, run_id: str) -> dict[str, SeenTask]:
    """The tasks of the run, which has all tasks of its DAG from the start."""
    rows = select(TaskInstance.task_id, TaskInstance.state, TaskInstance.queue, TaskInstance.pool).where(
        TaskInstance.dag_id == CHECK_DAG, TaskInstance.run_id == run_id
    )
    return {
        task: SeenTask(state=str(state) if state else "not yet scheduled", queue=queue, pool=pool)
        for task, state, queue, pool in session.execute(rows)
    }


def _read_results(session: Session, run_id: str) -> dict[str, Any]:
    rows = select(XComModel.task_id, XComModel.value).where(
        XComModel.dag_id == CHECK_DAG, XComModel.run_id == run_id, XComModel.key == FINDINGS_KEY
    )
    return {row.task_id: XCom.deserialize_value(row) for row in session.execute(rows)}


def findings_of_task(task: str, place: Place, seen: SeenTask | None, result: Any) -> Sequence[Finding]:
    """The findings of a task, or a finding with the reason for none.

    :param seen: ``None`` for a task that the run does not have.
    :param result: the XCom of the task; ``None`` before it has ended.
    """
    if seen is None or not seen.is_of(place):
        return [_of_another_file(task, place, seen)]
    if result is None:
        return [_without_result(task, place, seen.state)]
    shown = [Finding.from_json(finding) for finding in result["findings"]]
    return [Finding(subject=place.label, check="worker", text=result["host"]), *shown]


def _of_another_file(task: str, place: Place, seen: SeenTask | None) -> Finding:
    """The finding about a DAG that has another task for a place, or none."""
    has = f"runs {task} in queue {seen.queue}, pool {seen.pool}" if seen else f"has no task {task}"
    text = f"the DAG {CHECK_DAG} {has}: Airflow has not read this mirrors file yet, or reads another one"
    remedy = "wait a minute and check again, with the mirrors file that Airflow reads"
    return Finding(subject=place.label, check="worker", verdict="unknown", text=text, remedy=remedy)


def _without_result(task: str, place: Place, state: str) -> Finding:
    """The finding about a task without a result. Its state shows the reason."""
    match state:
        case "queued":
            text = "no worker took the task: nothing serves this queue, or all its workers are busy"
            remedy = f"airflow celery worker --queues {place.queue}" if place.queue else "start a worker"
        case "scheduled" | "not yet scheduled":
            text = "the scheduler did not queue the task: its pool does not exist or is full, or no scheduler runs"
            remedy = f"airflow pools get {place.pool}"
        case "running":
            text, remedy = "the task still runs", f"see the log of {task}, or wait longer with --wait SECONDS"
        case _:
            text, remedy = f"the task ended without a result ({state})", f"see the log of {task} in the DAG {CHECK_DAG}"
    return Finding(subject=place.label, check="worker", verdict="unknown", text=text, remedy=remedy)
