"""The schedule of a mirror: a new one waits for the next tick, instead of running for the interval before.

Airflow runs a DAG for the last complete interval as soon as it is unpaused, and its trigger form unpauses it. A dry run
of a new mirror would then start a real run first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk.timezone import coerce_datetime, utcnow
from airflow.timetables.base import DagRunInfo
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.simple import NullTimetable

if TYPE_CHECKING:
    from airflow.timetables.base import DataInterval, TimeRestriction

GRACE = timedelta(minutes=2)
"""Time that the scheduler has after a tick to make the first run.

The next interval is computed again each time that the DAG file is read. Without this time, a file that is read right
after the tick would move the first run on to the next tick.
"""


class CronFromNextTick(CronDataIntervalTimetable):
    """Data intervals of a cron expression. Without any run so far, the first one is that of the next tick.

    The rest is as in Airflow: after the first run, with ``catchup``, and in a backfill.
    """

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The interval of the next run, scheduled or of a backfill."""
        if last_automated_data_interval is not None or restriction.catchup:
            return super().next_dagrun_info(
                last_automated_data_interval=last_automated_data_interval, restriction=restriction
            )
        now = coerce_datetime(utcnow())
        tick = self._align_to_prev(now)
        before = self._get_prev(tick)
        start = before if now - tick < min(GRACE, (tick - before) / 2) else tick
        if restriction.earliest is not None:
            start = max(start, self._align_to_next(restriction.earliest))
        if restriction.latest is not None and start > restriction.latest:
            return None
        return DagRunInfo.interval(start=start, end=self._get_next(start))


class DisabledTimetable(NullTimetable):
    """The timetable of a disabled mirror, without runs. Airflow shows its text as the schedule, and our pages read it.

    :param text: such as ``disabled until 2026-12-24 06:00 UTC``.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.description = text

    @property
    def summary(self) -> str:
        """The schedule in Airflow's list of DAGs."""
        return self._text

    def serialize(self) -> dict[str, Any]:
        """The arguments of the timetable."""
        return {"text": self._text}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Read the result of :meth:`serialize`."""
        return cls(data["text"])
