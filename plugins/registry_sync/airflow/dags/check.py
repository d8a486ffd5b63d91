"""The Airflow DAG that checks the needs of mirrors' tasks on the workers."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from registry_sync.airflow.ids import CHECK_DAG, REPORT_TASK
from registry_sync.airflow.operators.check import CheckOperator, CheckReportOperator
from registry_sync.checks.places import list_places, part_of_file, task_names
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import DEFAULT_START_DATE


def build_check_dag(file: MirrorsFile) -> DAG:
    """The DAG with one task for each queue and pool of a destination. It runs when it is triggered.

    Several runs may be active, because a task without a worker keeps a run active for an hour.
    """
    places = list_places(file)
    dag = DAG(
        dag_id=CHECK_DAG,
        description="Do the workers of each queue have what mirrors need?",
        doc_md=(
            "Checks on a worker of each queue and pool that the mirrors file names: skopeo, policies, CA files, "
            "Connections, logins, rights, notifiers. The table in the log of `report` says what to type where "
            "something is missing. A task that stays queued has no worker, and one that stays scheduled has no pool. "
            "It copies nothing."
        ),
        schedule=None,
        start_date=DEFAULT_START_DATE,
        catchup=False,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(hours=1),
        tags=["registry_sync"],
        default_args={"retries": 0, "execution_timeout": timedelta(minutes=30)},
    )
    with dag:
        names = task_names(places)
        report = CheckReportOperator(
            task_id=REPORT_TASK, places={name: place.label for name, place in zip(names, places, strict=True)}
        )
        for name, place in zip(names, places, strict=True):
            queue = {"queue": place.queue} if place.queue else {}
            CheckOperator(task_id=name, pool=place.pool, file=part_of_file(file, place), **queue) >> report
    return dag
