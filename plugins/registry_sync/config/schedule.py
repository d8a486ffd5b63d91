"""Schedules of a mirrors file: cron expressions and Airflow's presets."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

if TYPE_CHECKING:
    from croniter import croniter

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/cron.html, those with an interval."""


def check_schedule(text: str) -> str:
    """Return ``text`` if it is a schedule.

    :raises ConfigurationError: when it is neither a cron expression nor a preset, or never occurs.
    """
    if text in PRESETS:
        return text
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415 - see _ticks

    if len(text.split()) != 5 or _RANDOM.search(text) or not croniter.is_valid(text):
        advice = f"write five cron fields such as '0 * * * *', or one of {', '.join(PRESETS)}"
        if time := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text):
            advice = f"for this time of each day, in UTC, write '{int(time[2])} {int(time[1])} * * *'"
        raise ConfigurationError(f"{quoted(text)} is not a schedule; {advice}")
    try:
        croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError as error:
        raise ConfigurationError(
            f"{quoted(text)} never occurs: no month has such a day; fix the day or the month"
        ) from error
    return text


def ticks_within(schedule: str, start: datetime, end: datetime) -> bool:
    """Return whether a tick of ``schedule`` (UTC) is in the interval from ``start`` to ``end``, exclusive.

    >>> ticks_within("@daily", datetime(2026, 11, 24, 23), datetime(2026, 11, 25, 1))
    True
    """
    upcoming = _ticks(schedule, start - timedelta(microseconds=1))
    return bool(upcoming.get_next(datetime) < end)


def last_ticks(schedule: str, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
    """The tick before the interval from ``start`` to ``end``, and the last tick in it; ``None`` without a tick in it.

    Consecutive intervals give consecutive spans, so that no time is left out. All times are aware UTC.

    >>> night, morning = datetime(2026, 11, 24, 23, tzinfo=UTC), datetime(2026, 11, 25, 1, tzinfo=UTC)
    >>> [f"{tick:%d %H:%M}" for tick in last_ticks("@daily", night, morning) or ()]
    ['24 00:00', '25 00:00']
    """
    if not ticks_within(schedule, start, end):
        return None
    return _ticks(schedule, start).get_prev(datetime), _ticks(schedule, end).get_prev(datetime)


def _ticks(schedule: str, start: datetime) -> croniter:
    from croniter import croniter  # noqa: PLC0415 - 35 ms of CPU, which most tasks do not need

    return croniter(_EXPRESSIONS.get(schedule, schedule), start)


def previous_tick(schedule: str, time: datetime) -> datetime:
    """The last tick of ``schedule`` at or before ``time``. Times are aware UTC.

    >>> f"{previous_tick('@hourly', datetime(2026, 11, 24, 12, tzinfo=UTC)):%H:%M}"
    '12:00'
    """
    tick: datetime = _ticks(schedule, time + timedelta(microseconds=1)).get_prev(datetime)
    return tick


_EXPRESSIONS = {"@quarterly": "0 0 1 */3 *"}
"""Airflow's presets that croniter does not know."""

_RANDOM = re.compile(r"(?:^|[\s,])r", re.IGNORECASE)
"""croniter's ``R`` is a random number, which changes whenever the DAG file is read."""
