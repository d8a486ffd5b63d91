"""The Airflow DAG that notices what no run can report: missing runs, and promises that are broken meanwhile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from registry_sync.airflow.ids import MISTAKES_TAG, WATCH_DAG
from registry_sync.airflow.operators.watch import WatchOperator
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import DEFAULT_START_DATE

SCHEDULE = "*/15 * * * *"

WATCH_TASK = "watch"

MAX_PROBLEMS = 50
"""Mistakes in the mirrors file that the documentation of the DAG lists."""


def build_watch_dag(file: MirrorsFile, dag_file: Path) -> DAG:
    """The DAG over all mirrors of a file, with one task."""
    dag = DAG(
        dag_id=WATCH_DAG,
        description="Are all mirrors as fresh as promised, and did their runs come?",
        doc_md=_describe(file),
        schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC"),
        start_date=DEFAULT_START_DATE,
        catchup=False,
        max_active_runs=1,
        tags=["registry_sync", *([MISTAKES_TAG] if file.problems else [])],
        default_args={"retries": 0, "execution_timeout": timedelta(minutes=14)},
    )
    with dag:
        WatchOperator(task_id=WATCH_TASK, file=file, dag_file=dag_file)
    return dag


def _describe(file: MirrorsFile) -> str:
    """The purpose of the DAG in Markdown, and the mistakes in the file, because of which mirrors have no DAG."""
    purpose = (
        "Looks at the stored state of all mirrors, and sends the messages of `notify:` that are due. It fails when "
        "one could not be sent. No request to a registry is made. The log lists everything that is wrong. A run "
        "that does not start when the schedule says is reported after 15 minutes, also while its DAG is paused."
    )
    if not file.problems:
        return purpose
    shown = "\n".join(file.problems[:MAX_PROBLEMS])
    more = len(file.problems) - MAX_PROBLEMS
    others = f"\n… and {more} more" if more > 0 else ""
    return (
        f"**Mistakes in the mirrors file. Mirrors with one do not run:**\n\n~~~text\n{shown}{others}\n~~~\n\n{purpose}"
    )
