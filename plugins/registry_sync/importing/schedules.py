"""Intervals and cron expressions of other tools as schedules of a mirrors file."""

from __future__ import annotations

import re
from datetime import timedelta

from registry_sync.config.schedule import check_schedule
from registry_sync.errors import ConfigurationError

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def parse_go_duration(text: str) -> timedelta | None:
    """A duration as Go writes it; ``None`` when it is not one.

    https://pkg.go.dev/time#ParseDuration

    >>> parse_go_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    parts = _PART.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text or len(text) > 40:
        return None
    return timedelta(seconds=min(sum(float(number) * _UNITS[unit] for number, unit in parts), 1e9))


def schedule_of_interval(interval: timedelta) -> tuple[str, bool]:
    """The schedule nearest to an interval, where possible not longer than it, and whether both are equal.

    >>> schedule_of_interval(timedelta(minutes=60)), schedule_of_interval(timedelta(minutes=45))
    (('@hourly', True), ('*/30 * * * *', False))
    """
    minutes = interval.total_seconds() / 60
    schedule, length = next(
        ((schedule, length) for length, schedule in reversed(_SCHEDULES.items()) if length <= minutes),
        (_SCHEDULES[1], 1),
    )
    return schedule, length == minutes


_SCHEDULES = {
    **{minutes: f"*/{minutes} * * * *" for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    1: "* * * * *",
    60: "@hourly",
    **{60 * hours: f"0 */{hours} * * *" for hours in (2, 3, 4, 6, 8, 12)},
    24 * 60: "@daily",
    7 * 24 * 60: "@weekly",
}
"""Schedules with equal distances between ticks, by that distance in minutes."""

_DESCRIPTORS = {"@midnight": "@daily", "@annually": "@yearly"}


def parse_cron(text: str) -> tuple[str, str]:
    """The schedule of an expression of Go's cron library, and the difference; an empty schedule when there is none.

    https://pkg.go.dev/github.com/robfig/cron/v3

    >>> parse_cron("15 01 * * *"), parse_cron("@every 1h")
    (('15 01 * * *', ''), ('@hourly', ''))
    """
    zone, _, fields = text.partition(" ") if text.startswith(("CRON_TZ=", "TZ=")) else ("", "", text)
    differs = f"{zone} has no counterpart: schedules are in UTC; shift the hours" if zone else ""
    if every := re.fullmatch(r"@every\s+(\S+)", fields):
        schedule, nearest = _every(every[1])
        return schedule, differs or nearest
    fields = _DESCRIPTORS.get(fields, fields)
    try:
        return check_schedule(fields), differs
    except ConfigurationError:
        return "", ""


def _every(text: str) -> tuple[str, str]:
    """The schedule nearest to a duration, and the difference."""
    interval = parse_go_duration(text)
    if interval is None:
        return "", ""
    schedule, is_same = schedule_of_interval(interval)
    return schedule, "" if is_same else f"every {text} is not a schedule; {schedule!r} is the nearest"
