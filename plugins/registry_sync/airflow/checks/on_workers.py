"""Run the DAG ``mirrors_check``, wait for it, and read its findings from Airflow's database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import DagNotFound, ParamValidationError
from airflow.models.dag import DagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import CHECK_DAG, FINDINGS_KEY
from registry_sync.airflow.states.open_states import open_database
from registry_sync.checks.finding import Finding
from registry_sync.checks.places import Place, list_places, task_names
from registry_sync.config.model import MirrorsFile
from registry_sync.errors import ConfigurationError

POLL_SECONDS = 1.0

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


def check_on_workers(file: MirrorsFile, *, wait_seconds: float, tell: Callable[[str], None]) -> Sequence[Finding]:
    """Run the checks on a worker of each queue and pool of the file, and return their findings.

    :param wait_seconds: how long a task may take, from the start of the run.
    :param tell: gets a line for each change of a task's state.
    :raises ConfigurationError: when Airflow has no such DAG, or it is paused, or there is no database here.
    :raises TemporaryError: when the database does not respond.
    """
    places = list_places(file)
    tasks = dict(zip(task_names(places), places, strict=True))
    run_id = _start()
    tell(f"run {run_id} of {CHECK_DAG}, {len(tasks)} tasks")
    states = _wait(run_id, tasks, wait_seconds, tell)
    with open_database() as session:
        results = _read_results(session, run_id)
    return [finding for task, place in tasks.items() for finding in _of_task(task, place, states, results)]


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
) -> Mapping[str, str]:
    """Wait until each check task has ended, and return their states."""
    states: dict[str, str] = {}
    deadline = time.monotonic() + wait_seconds
    while True:
        with open_database() as session:
            now = _read_states(session, run_id)
        for task, place in tasks.items():
            state = now.get(task, "not yet scheduled")
            if state != states.get(task):
                tell(f"{place.label}: {state}")
            states[task] = state
        if all(state in _ENDED for state in states.values()) or time.monotonic() >= deadline:
            return states
        time.sleep(POLL_SECONDS)


def _read_states(session: Session, run_id: str) -> dict[str, str]:
    rows = select(TaskInstance.task_id, TaskInstance.state).where(
        TaskInstance.dag_id == CHECK_DAG, TaskInstance.run_id == run_id
    )
    return {task: str(state) for task, state in session.execute(rows) if state}


def _read_results(session: Session, run_id: str) -> dict[str, Any]:
    rows = select(XComModel.task_id, XComModel.value).where(
        XComModel.dag_id == CHECK_DAG, XComModel.run_id == run_id, XComModel.key == FINDINGS_KEY
    )
    return dict(session.execute(rows).tuples().all())


def _of_task(task: str, place: Place, states: Mapping[str, str], results: Mapping[str, Any]) -> Sequence[Finding]:
    """The findings of a task, or one that says why there are none."""
    if task in results:
        host, found = results[task]["host"], results[task]["findings"]
        shown = [Finding.from_json(finding) for finding in found]
        return [Finding(subject=place.label, check="worker", text=host), *shown]
    return [_without_result(task, place, states[task])]


def _without_result(task: str, place: Place, state: str) -> Finding:
    """The finding about a task that left no result: its state says what it waits for."""
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
