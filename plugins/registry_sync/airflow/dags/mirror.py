"""One Airflow DAG per mirror of the mirrors file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset
from airflow.sdk.definitions.mappedoperator import MappedOperator

from registry_sync.airflow.dags.mirror_docs import describe
from registry_sync.airflow.dags.timetable import CronFromNextTick, DisabledTimetable
from registry_sync.airflow.dags.trigger_form import parameters
from registry_sync.airflow.ids import CHANGES_TASK, REPORT_TASK, copy_task, dag_id, routes_task
from registry_sync.airflow.operators.changes import ChangesOperator
from registry_sync.airflow.operators.list_routes import ListRoutesOperator
from registry_sync.airflow.operators.mirror_route import MirrorRouteOperator
from registry_sync.airflow.operators.report import ReportOperator
from registry_sync.airflow.pushes.assets import subscribed_asset
from registry_sync.airflow.pushes.chain import downstream_mirrors
from registry_sync.airflow.runs.retries import MirrorRetryPolicy
from registry_sync.airflow.runs.route_numbers import RouteNumbers
from registry_sync.airflow.states.destination_state import DestinationOfMirror
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import DEFAULT_START_DATE, Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.team_keys import OWN_TAG, access_for_airflow
from registry_sync.routes.disabled import until_text


def build_dag(mirror: Mirror, file: MirrorsFile, *, with_parameters: bool = True) -> DAG:
    """Build the DAG of one mirror: list the routes to each destination, mirror each route, emit the changes, report.

    The task ``report`` is the only last one, because Airflow takes a run's state from its last tasks.

    :param with_parameters: ``False`` leaves out the parameters of a run, in a task that reads none. Airflow checks the
        schema of each of them in every task, which takes 8 ms of CPU.
    """
    dag = DAG(
        dag_id=dag_id(mirror.name),
        description=mirror.description or None,
        doc_md=describe(mirror, file),
        schedule=_schedule(mirror),
        start_date=mirror.start_date or DEFAULT_START_DATE,
        catchup=mirror.catchup,
        params=parameters(mirror) if with_parameters else None,
        default_args=default_arguments(mirror),
        **dag_arguments(mirror),
    )
    with dag:
        source = file.registries[mirror.source]
        pushes = subscribed_asset(mirror, source) if mirror.events_from(source) else None
        add_tasks(mirror, file, ListRoutesOperator, pushes=pushes)
    return dag


def dag_arguments(mirror: Mirror) -> dict[str, Any]:
    """The arguments that all DAGs of a mirror have in common."""
    return {
        "max_active_runs": 1,
        "tags": [OWN_TAG, *(mirror.dag_tags or ())],
        "access_control": access_for_airflow(mirror.access_control) if mirror.access_control else None,
    }


def add_tasks(
    mirror: Mirror, file: MirrorsFile, listing: type[ListRoutesOperator], *, pushes: Asset | None = None
) -> list[ListRoutesOperator]:
    """Add the tasks of a mirror to the DAG of this context, and return the first of each destination.

    :param listing: the operator that lists the routes.
    :param pushes: the asset whose events should have named the tags that the DAG finds by itself.
    """
    report = ReportOperator(
        task_id=REPORT_TASK,
        mirror=mirror.name,
        destinations=[_destination(mirror, name, file) for name in mirror.destinations],
        has_deep_checks=mirror.deep_check.schedule is not None,
        note=file.note,
        notify=mirror.notify,
        team=mirror.owner,
        retries=0,
    )
    changes = ChangesOperator(
        task_id=CHANGES_TASK,
        mirror=mirror.name,
        source=file.registries[mirror.source],
        destinations=[file.registries[name] for name in mirror.destinations],
        downstream=downstream_mirrors(mirror, file),
        pushes=pushes,
        retries=1,
    )
    first = []
    for name in mirror.destinations:
        listed, copied = _copy_to(file.registries[name], mirror, file.registries[mirror.source], listing)
        copied >> [changes, report]
        first.append(listed)
    changes >> report
    return first


def _schedule(mirror: Mirror) -> CronFromNextTick | DisabledTimetable | None:
    """The timetable of a mirror; one without runs while all of it is disabled.

    Airflow reads the file again about every 30 seconds, so a mirror has its schedule again soon after its ``until``.
    """
    if mirror.is_disabled(datetime.now(UTC)):
        return DisabledTimetable(until_text(mirror.disabled_until))
    return CronFromNextTick(mirror.schedule, timezone="UTC") if mirror.schedule else None


def _destination(mirror: Mirror, name: str, file: MirrorsFile) -> DestinationOfMirror:
    destination = file.registries[name]
    promise = destination.fresh_within or mirror.fresh_within
    return DestinationOfMirror(
        mirror=mirror.name,
        source=file.registries[mirror.source],
        destination=destination,
        fresh_within=promise.length.total_seconds() if promise else None,
    )


def default_arguments(mirror: Mirror) -> dict[str, Any]:
    """The arguments of all tasks of a mirror."""
    return {
        **({"owner": mirror.owner} if mirror.owner else {}),
        "retries": mirror.retries,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": MirrorRetryPolicy(),
        "execution_timeout": timedelta(minutes=mirror.task_timeout_minutes),
    }


def _copy_to(
    destination: Registry, mirror: Mirror, source: Registry, listing: type[ListRoutesOperator]
) -> tuple[ListRoutesOperator, MappedOperator]:
    """The two tasks of a destination. Both run on its queue: the first logs in to the destination too."""
    queue = {"queue": destination.queue} if destination.queue else {}
    listed = listing(
        task_id=routes_task(destination.name), mirror=mirror, source=source, destination=destination, **queue
    )
    copied = MirrorRouteOperator.partial(
        task_id=copy_task(destination.name),
        pool=destination.pool,
        routes_task=listed.task_id,
        **queue,
    ).expand(number=RouteNumbers(listed))
    listed >> copied
    return listed, copied
