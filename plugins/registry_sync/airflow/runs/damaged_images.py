"""The images that a mirror's deep checks found damaged: state in XCom, from run to run and for the readiness check.

The task ``report`` pushes it. XCom's search by prior dates is of no use, because runs by hand have no date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.ids import DAMAGED_KEY, REPORT_TASK
from registry_sync.airflow.runs.recent_runs import list_recent_runs
from registry_sync.sync.verification.damaged_images import DamagedImage, update_damaged

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.sync.report import RouteReport

DamagedImages = Mapping[str, Sequence[DamagedImage]]
"""Damaged images by the name of their registry in the mirrors file."""


def read_damaged(ti: Any, dag: str) -> DamagedImages:
    """The damaged images that the latest run of a mirror's DAG left; empty when none of its recent runs left any."""
    for run_id, _ in reversed(list_recent_runs(ti, dag)):
        document = ti.xcom_pull(dag_id=dag, run_id=run_id, task_ids=REPORT_TASK, key=DAMAGED_KEY)
        if document is not None:
            return {name: tuple(map(DamagedImage.from_json, images)) for name, images in document.items()}
    return {}


def push_damaged(context: Context, reports: Mapping[str, Sequence[RouteReport]], *, has_deep_checks: bool) -> None:
    """Push the damaged images for the next runs.

    Nothing is read or pushed for a mirror without deep checks.

    :param reports: reports of this run, by destination.
    :param has_deep_checks: the mirror has a schedule for them.
    """
    results = {
        name: [(report.destination, report.deep_check) for report in of_destination if report.deep_check]
        for name, of_destination in reports.items()
    }
    if not has_deep_checks and not any(results.values()):
        return
    ti, now = context["ti"], datetime.now(UTC)
    known = read_damaged(ti, ti.dag_id)
    damaged = {name: update_damaged(known.get(name, ()), results[name], now) for name in results}
    ti.xcom_push(
        DAMAGED_KEY,
        {name: [image.to_json() for image in images] for name, images in damaged.items() if images},
    )
