"""Checks by Airflow's metadata database: pools, and the processes that runs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from airflow.jobs.job import most_recent_job
from airflow.models.pool import Pool
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import pushes_dag_id
from registry_sync.airflow.receiver.database import list_paused
from registry_sync.airflow.states.open_database import ADVICE, open_database, why_no_database
from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import ConfigurationError, TemporaryError

AIRFLOW = "Airflow"

PROCESSES: Mapping[str, tuple[str, str, str]] = {
    "SchedulerJob": ("scheduler", "no run starts", "airflow scheduler"),
    "DagProcessorJob": (
        "DAG processor",
        "changes of the mirrors file and new mirrors are not seen",
        "airflow dag-processor",
    ),
    "TriggererJob": ("triggerer", "a task that a registry rate-limits for long is never resumed", "airflow triggerer"),
}
"""Airflow's processes by the type of their job: name, effect of its absence, command."""

_NO_DATABASE = f"there is no database of Airflow here; {ADVICE}"

_SKIPPED = ("pools", "scheduler, DAG processor, triggerer")


def check_database(file: MirrorsFile) -> Sequence[Finding]:
    """Check pools and processes, which only the database shows. Without one, each check is skipped with the reason."""
    if why_no_database():  # its address is masked, as every address of a database is
        return [Finding(subject=AIRFLOW, check=check, verdict="skipped", text=_NO_DATABASE) for check in _SKIPPED]
    try:
        with open_database() as session:
            found = (_check_backend(session), _check_pools(file, session), _check_processes(session))
            return [*chain.from_iterable(found), *_check_paused(file, session)]
    except TemporaryError as error:
        return [Finding.of_error(AIRFLOW, "database", error)]
    except ConfigurationError as error:
        return [replace(Finding.of_error(AIRFLOW, "database", error), remedy="airflow db migrate")]


def _check_paused(file: MirrorsFile, session: Session) -> Iterator[Finding]:
    """Find paused DAGs, which collect events and start no run."""
    for mirror in list_paused(session, file.mirrors):
        dag = pushes_dag_id(mirror)
        text = "is paused, so pushes start nothing"
        yield Finding(subject=dag, check="runs", verdict="warning", text=text, remedy=f"airflow dags unpause {dag}")


def _check_backend(session: Session) -> Iterator[Finding]:
    backend = session.get_bind().dialect.name
    if backend == "sqlite":
        text = "SQLite: backfills, and several tasks at once, fail with 'database is locked'"
        remedy = "use PostgreSQL (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN) for more than a try"
        yield Finding(subject=AIRFLOW, check="database", verdict="warning", text=text, remedy=remedy)
    else:
        yield Finding(subject=AIRFLOW, check="database", text=backend)


def _check_pools(file: MirrorsFile, session: Session) -> Iterator[Finding]:
    """Find missing pools. Their tasks wait for ever, and only the scheduler's log shows it."""
    slots = {pool.pool: pool.slots for pool in session.scalars(select(Pool))}
    users: dict[str, list[str]] = {}
    for registry in file.registries.values():
        if any(registry.name in mirror.destinations for mirror in file.mirrors.values()):
            users.setdefault(registry.pool, []).append(registry.name)
    for pool, registries in users.items():
        yield _check_pool(pool, registries, slots.get(pool))


def _check_pool(pool: str, registries: Sequence[str], slots: int | None) -> Finding:
    subject, names = f"pool {pool}", ", ".join(registries)
    command = f"airflow pools set {pool} 4 {names!r}"
    if slots is None:
        text = f"does not exist, so tasks to {names} would wait for ever"
        return Finding(subject=subject, check="exists", verdict="missing", text=text, remedy=command)
    if slots == 0:
        text = f"has no slots, so tasks to {names} would wait for ever"
        return Finding(subject=subject, check="exists", verdict="missing", text=text, remedy=command)
    return Finding(subject=subject, check="exists", text="unlimited" if slots < 0 else f"{slots} slots")


def _check_processes(session: Session) -> Iterator[Finding]:
    for job_type, (name, effect, command) in PROCESSES.items():
        job = most_recent_job(job_type, session=session)
        if job is not None and job.is_alive():
            yield Finding(subject=AIRFLOW, check=name, text="runs")
            continue
        seen = f"last seen {job.latest_heartbeat:%Y-%m-%d %H:%M} UTC" if job is not None else "never seen"
        text, remedy = f"does not run ({seen}): {effect}", f"start it: {command}"
        yield Finding(subject=AIRFLOW, check=name, verdict="missing", text=text, remedy=remedy)
