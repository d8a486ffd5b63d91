"""The recent runs of a DAG, by the times in their ids."""

from __future__ import annotations

import re
from datetime import datetime
from operator import itemgetter
from typing import Any

from registry_sync.airflow.ids import REPORT_TASK

MAX_MIRROR_RUNS = 24
"""The number of recent runs of each mirror whose reports are read."""


def list_recent_runs(ti: Any, dag: str) -> list[tuple[str, datetime]]:
    """Ids of the last runs and the times in them, oldest first. Runs without a time in their id have no order."""
    run_ids = ti.get_task_states(dag_id=dag, task_ids=[REPORT_TASK])
    timed = [(run_id, match[1]) for run_id in run_ids if (match := _RUN_TIME.search(run_id))]
    runs = sorted(((run_id, datetime.fromisoformat(time)) for run_id, time in timed), key=itemgetter(1))
    return runs[-MAX_MIRROR_RUNS:]


_RUN_TIME = re.compile(r"__(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+\d\d:\d\d)")
