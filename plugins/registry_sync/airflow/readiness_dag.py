"""The Airflow DAG that looks whether nodes would start now, with each single registry down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from registry_sync.airflow.ids import dag_id
from registry_sync.airflow.mirror_dag import LONG_AGO
from registry_sync.airflow.operators.readiness import (
    CHECK,
    PLAN,
    REPORT,
    CheckEndpointOperator,
    ListImagesOperator,
    ReadinessReportOperator,
)
from registry_sync.airflow.retries import MirrorRetryPolicy
from registry_sync.config.model import MirrorsFile

DAG_ID = "mirror_readiness"
"""No mirror may be called readiness: mirrors_file.py refuses it."""

SCHEDULE = "45 * * * *"
"""Not on the hour, when most mirrors begin: what they are about to bring would be missed each time."""

LABEL = "{{ (task.check.label)[:250] }}"


def build_readiness_dag(file: MirrorsFile) -> DAG:
    """The DAG over all pools of a mirrors file: list images, check each at each registry that nodes ask, report."""
    dag = DAG(
        dag_id=DAG_ID,
        description="Would nodes start now, with each single registry down?",
        doc_md=_describe(file),
        schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
        start_date=LONG_AGO,
        catchup=False,
        max_active_runs=1,
        params=parameters(),
        tags=["registry_sync"],
        default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "retry_policy": MirrorRetryPolicy()},
    )
    with dag:
        planned = ListImagesOperator(task_id=PLAN, file=file, dag_ids={each: dag_id(each) for each in file.mirrors})
        checked = CheckEndpointOperator.partial(task_id=CHECK, map_index_template=LABEL).expand_kwargs(planned.output)
        report = ReadinessReportOperator(task_id=REPORT, pools=list(file.node_pools.values()), retries=0)
        planned >> checked >> report
    return dag


def parameters() -> Mapping[str, Param]:
    """The fields of the trigger form."""
    return {
        "request_seconds": Param(
            6,
            type="number",
            exclusiveMinimum=0,
            title="Seconds",
            description="How long a registry may take to answer.",
        ),
        "read_megabytes": Param(
            50,
            type="number",
            minimum=0,
            title="Megabytes to read",
            description="How much of each image to read whole at each registry. Which parts these are changes daily.",
        ),
    }


def _describe(file: MirrorsFile) -> str:
    """What is checked, in Markdown; the same file gives the same text, so that Airflow sees no new DAG version."""
    pools = "\n".join(
        f"- `{pool.name}`: {len(pool.images)} images from " + ", then ".join(f"`{each}`" for each, _ in pool.pull_order)
        for pool in file.node_pools.values()
    )
    return (
        "Looks at the bootstrap images of each pool of nodes in each registry that its nodes pull from: anonymously, "
        "every platform, every blob, the same digest as at the source. The table in the log of `report` says whether "
        "a node would start now, and with each single registry down; the run fails where it would not although the "
        f"pool's configuration promises it.\n\n{pools}"
    )
