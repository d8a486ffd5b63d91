"""The Airflow DAG that checks if nodes would start now, with each single registry down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from registry_sync.airflow.ids import CHECK_TASK, LIST_IMAGES_TASK, READINESS_DAG, REPORT_TASK, dag_id
from registry_sync.airflow.operators.readiness import (
    CheckEndpointOperator,
    ListImagesOperator,
    ReadinessReportOperator,
)
from registry_sync.airflow.runs.retries import MirrorRetryPolicy
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import DEFAULT_START_DATE
from registry_sync.config.node_pools import NodePool

SCHEDULE = "45 * * * *"
"""Not on the hour, when most mirrors start: the check would miss the images that they are about to copy."""

LABEL = "{{ (task.check.label)[:250] }}"


def build_readiness_dag(file: MirrorsFile) -> DAG:
    """The DAG over all pools of a mirrors file: list images, check each at each registry of its pool, report."""
    dag = DAG(
        dag_id=READINESS_DAG,
        description="Would nodes start now, with each single registry down?",
        doc_md=_describe(file),
        schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
        start_date=DEFAULT_START_DATE,
        catchup=False,
        max_active_runs=1,
        params=parameters(),
        tags=["registry_sync"],
        default_args={"retries": 1, "retry_delay": timedelta(minutes=1), "retry_policy": MirrorRetryPolicy()},
    )
    with dag:
        dag_ids = {name: dag_id(name) for name in file.mirrors}
        listed = ListImagesOperator(task_id=LIST_IMAGES_TASK, file=file, dag_ids=dag_ids)
        checked = CheckEndpointOperator.partial(task_id=CHECK_TASK, map_index_template=LABEL).expand_kwargs(
            listed.output
        )
        report = ReadinessReportOperator(
            task_id=REPORT_TASK, pools=list(file.node_pools.values()), dag_ids=dag_ids, retries=0
        )
        listed >> checked >> report
    return dag


def parameters() -> Mapping[str, Param]:
    """The fields of the trigger form."""
    return {
        "request_seconds": Param(
            6,
            type=["null", "number"],
            exclusiveMinimum=0,
            title="Seconds",
            description="Time limit for each response of a registry.",
        ),
        "read_megabytes": Param(
            50,
            type=["null", "number"],
            minimum=0,
            title="Megabytes to download",
            description="How much of each image to download and hash at each registry. Other parts each day.",
        ),
    }


def _describe(file: MirrorsFile) -> str:
    """The checks in Markdown. The same file gives the same text, because a change makes Airflow store a DAG version."""
    pools = "\n".join(_describe_pool(pool) for pool in file.node_pools.values())
    return (
        "Checks the bootstrap images of each pool of nodes at each registry that its nodes pull from: anonymously, "
        "every platform, every blob, the same digest as at the source. The table in the log of `report` says whether "
        "a node would start now, and with each single registry down. The run fails where a node would not start "
        f"although the pool's configuration promises it.\n\n{pools}"
    )


def _describe_pool(pool: NodePool) -> str:
    registries = ", then ".join(f"`{name}`" for name, _ in pool.pull_order)
    return f"- `{pool.name}`: {len(pool.images)} images from {registries}"
