"""The DAG of a mirror that copies pushed tags. Events of pushes start it."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from registry_sync.airflow.dags.mirror import add_tasks, dag_arguments, default_arguments
from registry_sync.airflow.dags.trigger_form import parameters
from registry_sync.airflow.ids import PUSHES_TASK, dag_id, pushes_dag_id
from registry_sync.airflow.pushes.assets import subscribed_asset
from registry_sync.airflow.pushes.list_pushed import ListPushedRoutesOperator
from registry_sync.airflow.pushes.wait import PushesOperator
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import DEFAULT_START_DATE, Mirror

PRIORITY = 1000
"""Weight of the tasks in their pool. An image that was just pushed does not wait behind a full check."""


def build_pushes_dag(mirror: Mirror, file: MirrorsFile, *, with_parameters: bool = True) -> DAG:
    """Build the DAG for pushes: read the events, wait until they have settled, then mirror as in every run.

    Airflow collects the events that come while a run is active, and starts one run for all of them afterwards.

    :param with_parameters: ``False`` leaves out the parameters of a run, which are always those of an empty form.
    """
    source = file.registries[mirror.source]
    rules = mirror.events_from(source)
    settle = rules.settle.length if rules else timedelta()
    dag = DAG(
        dag_id=pushes_dag_id(mirror.name),
        description=f"What was pushed to {source.name}: {mirror.description or mirror.name}",
        doc_md=_describe(mirror, source.host),
        schedule=[subscribed_asset(mirror, source)],
        allowed_run_types=["asset_triggered"],  # type: ignore[list-item]  # the enum has no public name
        start_date=DEFAULT_START_DATE,
        params=parameters(mirror) if with_parameters else None,
        default_args={**default_arguments(mirror), "priority_weight": PRIORITY},
        **dag_arguments(mirror),
    )
    with dag:
        pushes = PushesOperator(task_id=PUSHES_TASK, mirror=mirror, source=source, settle=settle)
        pushes >> add_tasks(mirror, file, ListPushedRoutesOperator)
    return dag


def _describe(mirror: Mirror, host: str) -> str:
    return (
        f"Copies what was pushed to `{host}`, as soon as an event of the registry names it, by the rules of "
        f"`{dag_id(mirror.name)}`.\n\n"
        f"Events start its runs. By hand, trigger `{dag_id(mirror.name)}` with *Repositories* and *Tags*. What an "
        "event missed, or a run here failed to copy, is copied by that DAG's next run."
    )
