"""Schedules as the mirrors file writes them: cron expressions and Airflow's presets."""

from __future__ import annotations

from datetime import datetime, timedelta

from croniter import croniter

from registry_sync.errors import ConfigurationError

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
"""https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/cron.html, those with an interval."""


def check_schedule(text: str) -> str:
    """``text`` itself, when it is a schedule.

    :raises ConfigurationError: when it is neither a cron expression nor a preset.
    """
    if text in PRESETS or (len(text.split()) == 5 and croniter.is_valid(text)):
        return text
    advice = f"write five cron fields such as '0 * * * *', or one of {', '.join(PRESETS)}"
    raise ConfigurationError(f"{text!r} is no schedule; {advice}")


def ticks_within(schedule: str, start: datetime, end: datetime) -> bool:
    """Whether a tick of ``schedule`` (UTC) is in the interval from ``start`` up to but without ``end``.

    >>> ticks_within("@daily", datetime(2026, 11, 24, 23), datetime(2026, 11, 25, 1))
    True
    """
    upcoming = croniter(_EXPRESSIONS.get(schedule, schedule), start - timedelta(microseconds=1))
    return bool(upcoming.get_next(datetime) < end)


_EXPRESSIONS = {"@quarterly": "0 0 1 */3 *"}
"""Presets of Airflow's that croniter does not know."""
