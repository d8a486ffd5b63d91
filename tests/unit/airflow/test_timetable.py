"""The schedule of a mirror: its first run is that of the next tick."""

from __future__ import annotations

from datetime import UTC

import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime

from registry_sync.airflow.dags import timetable
from registry_sync.airflow.dags.timetable import CronFromNextTick, DisabledTimetable

ANY_TIME = TimeRestriction(earliest=DateTime(2026, 1, 1, tzinfo=UTC), latest=None, catchup=False)


def at(text: str) -> DateTime:
    return DateTime.fromisoformat(f"{text}+00:00")


def first_run(
    monkeypatch: pytest.MonkeyPatch, cron: str, now: str, restriction: TimeRestriction = ANY_TIME
) -> DagRunInfo | None:
    monkeypatch.setattr(timetable, "utcnow", lambda: at(now))
    schedule = CronFromNextTick(cron, timezone="UTC")
    return schedule.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)


@pytest.mark.parametrize(
    ("cron", "now", "start", "end"),
    [
        ("@hourly", "2026-11-29T10:30:00", "2026-11-29T10:00:00", "2026-11-29T11:00:00"),
        ("@hourly", "2026-11-29T10:59:59.9", "2026-11-29T10:00:00", "2026-11-29T11:00:00"),
        ("@hourly", "2026-11-29T10:02:00", "2026-11-29T10:00:00", "2026-11-29T11:00:00"),
        ("30 1 * * *", "2026-11-29T10:30:00", "2026-11-29T01:30:00", "2026-11-30T01:30:00"),
        ("@monthly", "2026-11-29T10:30:00", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("* * * * *", "2026-11-29T10:30:30", "2026-11-29T10:30:00", "2026-11-29T10:31:00"),
    ],
)
def test_a_new_mirror_waits_for_the_next_tick(
    monkeypatch: pytest.MonkeyPatch, cron: str, now: str, start: str, end: str
) -> None:
    assert first_run(monkeypatch, cron, now) == DagRunInfo.interval(start=at(start), end=at(end))


@pytest.mark.parametrize(
    ("cron", "now", "start", "end"),
    [
        ("@hourly", "2026-11-29T10:00:00", "2026-11-29T09:00:00", "2026-11-29T10:00:00"),
        ("@hourly", "2026-11-29T10:01:59.9", "2026-11-29T09:00:00", "2026-11-29T10:00:00"),
        ("* * * * *", "2026-11-29T10:30:29", "2026-11-29T10:29:00", "2026-11-29T10:30:00"),
    ],
)
def test_a_tick_is_not_lost_when_the_file_is_read_right_after_it(
    monkeypatch: pytest.MonkeyPatch, cron: str, now: str, start: str, end: str
) -> None:
    assert first_run(monkeypatch, cron, now) == DagRunInfo.interval(start=at(start), end=at(end))


def test_start_and_end_dates_count(monkeypatch: pytest.MonkeyPatch) -> None:
    later, past = at("2026-12-24T10:30:00"), at("2026-11-28T00:00:00")
    assert first_run(
        monkeypatch, "@daily", "2026-11-29T10:30:00", TimeRestriction(earliest=later, latest=None, catchup=False)
    ) == DagRunInfo.interval(start=at("2026-12-25T00:00:00"), end=at("2026-12-26T00:00:00"))
    ended = TimeRestriction(earliest=None, latest=past, catchup=False)
    assert first_run(monkeypatch, "@daily", "2026-11-29T10:30:00", ended) is None


@pytest.mark.parametrize(
    ("last", "catchup"),
    [
        (DataInterval(start=at("2026-11-20T00:00:00"), end=at("2026-11-21T00:00:00")), False),
        (DataInterval(start=at("2026-11-20T00:00:00"), end=at("2026-11-21T00:00:00")), True),
        (None, True),
    ],
)
def test_later_runs_catchup_and_backfills_are_as_in_airflow(last: DataInterval | None, catchup: bool) -> None:
    restriction = TimeRestriction(earliest=at("2026-01-01T00:00:00"), latest=None, catchup=catchup)
    ours, theirs = (kind("@daily", timezone="UTC") for kind in (CronFromNextTick, CronDataIntervalTimetable))
    assert ours.next_dagrun_info(last_automated_data_interval=last, restriction=restriction) == theirs.next_dagrun_info(
        last_automated_data_interval=last, restriction=restriction
    )


def test_it_comes_back_from_the_database() -> None:
    schedule = CronFromNextTick("30 1 * * *", timezone="UTC")
    assert schedule.serialize() == {"expression": "30 1 * * *", "timezone": "UTC"}
    restored = CronFromNextTick.deserialize(schedule.serialize())
    assert (type(restored), restored.summary) == (CronFromNextTick, "30 1 * * *")


def test_a_disabled_mirror_has_its_end_in_place_of_a_schedule() -> None:
    schedule = DisabledTimetable("disabled until 2026-12-24 06:00 UTC")
    assert schedule.next_dagrun_info(last_automated_data_interval=None, restriction=ANY_TIME) is None
    restored = DisabledTimetable.deserialize(schedule.serialize())
    assert (type(restored), restored.summary) == (DisabledTimetable, "disabled until 2026-12-24 06:00 UTC")
    assert not restored.can_be_scheduled
