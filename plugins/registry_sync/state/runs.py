"""Facts of Airflow about the DAG of a mirror: its last run, its next one, and whether it is paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


def is_push_run(run_id: str) -> bool:
    """Return whether events started a run. Airflow starts the ids of runs with their type.

    >>> is_push_run("asset_triggered__2026-11-29T10:00:00+00:00_x7Kq"), is_push_run("manual__2026-11-29T10:00:00+00:00")
    (True, False)
    """
    return run_id.startswith("asset_triggered__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One DAG run.

    :ivar state: by Airflow: ``queued``, ``running``, ``success`` or ``failed``.
    """

    run_id: str
    state: str
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRuns:
    """The runs for pushes of a mirror that events start. Their DAG has no schedule.

    :ivar last: the last run that ended.
    """

    dag_id: str
    is_paused: bool = False
    last: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRuns:
    """The runs of a mirror.

    :ivar is_gone: Airflow no longer has the DAG, such as of a mirror with a mistake in the mirrors file.
    :ivar next_run_at: when Airflow starts the next run; in the past while the scheduler does not start it; ``None``
        without a schedule.
    :ivar disabled: set while all of the mirror is disabled, such as ``disabled until 2026-12-24 06:00 UTC``.
    :ivar last: the last run that ended.
    :ivar running: a run that is queued or running now.
    :ivar pushes: ``None`` without ``events:``.
    """

    mirror: str
    dag_id: str
    is_paused: bool = False
    is_gone: bool = False
    disabled: str = ""
    next_run_at: datetime | None = None
    last: Run | None = None
    running: Run | None = None
    pushes: PushRuns | None = None
