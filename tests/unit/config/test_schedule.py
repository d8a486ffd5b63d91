"""Schedules: valid and invalid ones, and ticks within an interval."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.config.schedule import PRESETS, check_schedule, ticks_within
from registry_sync.errors import ConfigurationError

MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
MOMENTS = st.integers(0, 3 * 365 * 24 * 60 * 60).map(lambda seconds: MIDNIGHT - timedelta(seconds=seconds))
ADVICE = "write five cron fields such as '0 * * * *', or one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly"


@pytest.mark.parametrize("text", [*PRESETS, "0 * * * *", "*/15 2-4 1,15 * mon-fri", "0 0 29 2 *", "0 0 L * *"])
def test_valid_schedules_are_accepted(text: str) -> None:
    assert check_schedule(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "@minutely",
        "@reboot",
        "@midnight",
        "* * * *",
        "0 * * * * *",
        "60 * * * *",
        "*/0 * * * *",
        "H * * * *",
        "R * * * *",
        "0 r(1-5) * * *",
        "every hour",
    ],
)
def test_invalid_schedules_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_schedule(text)
    assert str(caught.value) == f"{text!r} is not a schedule; {ADVICE}"


@pytest.mark.parametrize(("text", "written"), [("1:30", "30 1 * * *"), ("00:00", "0 0 * * *"), ("23:05", "5 23 * * *")])
def test_a_time_of_day_is_answered_with_its_cron_expression(text: str, written: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_schedule(text)
    assert str(caught.value) == f"{text!r} is not a schedule; for this time of each day, in UTC, write '{written}'"


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6 *"])
def test_a_day_that_never_comes_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_schedule(text)
    assert str(caught.value) == f"{text!r} never occurs: no month has such a day; fix the day or the month"


@pytest.mark.parametrize(
    ("schedule", "start", "end", "holds"),
    [
        ("@daily", MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(hours=1), True),
        ("@daily", MIDNIGHT, MIDNIGHT + timedelta(hours=1), True),
        ("@daily", MIDNIGHT - timedelta(hours=1), MIDNIGHT, False),
        ("@daily", MIDNIGHT + timedelta(microseconds=1), MIDNIGHT + timedelta(hours=23), False),
        ("@daily", MIDNIGHT, MIDNIGHT, False),
        ("@weekly", MIDNIGHT, MIDNIGHT + timedelta(days=3), False),
        ("@weekly", MIDNIGHT, MIDNIGHT + timedelta(days=5), True),
        ("@quarterly", datetime(2026, 9, 30, 23, tzinfo=UTC), datetime(2026, 10, 1, 1, tzinfo=UTC), True),
        ("@quarterly", datetime(2026, 8, 31, 23, tzinfo=UTC), datetime(2026, 9, 1, 1, tzinfo=UTC), False),
        ("@yearly", datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, 1, tzinfo=UTC), True),
        ("30 2 * * *", MIDNIGHT, MIDNIGHT + timedelta(hours=2, minutes=30), False),
        ("30 2 * * *", MIDNIGHT, MIDNIGHT + timedelta(hours=2, minutes=31), True),
    ],
)
def test_ticks_within_an_interval_are_found(schedule: str, start: datetime, end: datetime, holds: bool) -> None:
    assert ticks_within(schedule, start, end) is holds


@given(st.sampled_from(PRESETS), MOMENTS, MOMENTS, MOMENTS)
def test_intervals_that_tile_time_hold_each_tick_once(
    schedule: str, one: datetime, two: datetime, three: datetime
) -> None:
    first, middle, last = sorted((one, two, three))
    halves = ticks_within(schedule, first, middle) or ticks_within(schedule, middle, last)
    assert halves is ticks_within(schedule, first, last)
