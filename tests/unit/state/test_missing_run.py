"""Runs that did not come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.config.mirror import Mirror
from registry_sync.state.document import as_document
from registry_sync.state.messages.missing_run import DagFacts, WatchedSchedule, due_run, missing_run, read_watched


def at(text: str) -> datetime:
    """A time of the 29th, or of another day as in ``28 23:00``."""
    day, _, time = text.rpartition(" ")
    return datetime.fromisoformat(f"2026-11-{day or '29'}T{time}+00:00")


LONG_AGO = WatchedSchedule(schedule="@hourly", since=datetime(2026, 1, 1, tzinfo=UTC))


def a_mirror(schedule: str | None = "@hourly", start: datetime | None = None) -> Mirror:
    return Mirror(name="m", source="a", destinations=("b",), rules=(), schedule=schedule, start_date=start)


@pytest.mark.parametrize(
    ("schedule", "ended", "now", "due"),
    [
        (None, None, "12:00", None),
        ("@hourly", "11:04", "12:00", None),
        ("@hourly", "11:04", "12:14", None),  # it has 15 minutes
        ("@hourly", "11:04", "12:15", "12:00"),
        ("@hourly", "12:01", "12:15", None),
        ("@hourly", "08:04", "12:14", "11:00"),
        ("@hourly", None, "12:20", "12:00"),
        ("@daily", "28 00:40", "29 00:14", None),
        ("@daily", "28 00:40", "29 00:15", "29 00:00"),
        ("@daily", "29 00:15", "29 23:59", None),
        ("30 3 * * 1-5", "27 03:40", "29 12:00", None),  # the 28th and 29th are a weekend
        ("30 3 * * 1-5", "27 03:20", "29 12:00", "27 03:30"),
        ("@monthly", "01 00:05", "29 12:00", None),
    ],
)
def test_a_run_is_due_15_minutes_after_it_should_have_started(
    schedule: str | None, ended: str | None, now: str, due: str | None
) -> None:
    found = due_run(a_mirror(schedule), at(ended) if ended else None, LONG_AGO, at(now))
    assert found == (at(due) if due else None)


def test_runs_before_the_mirror_was_seen_are_not_missed() -> None:
    watched = WatchedSchedule(schedule="@hourly", since=at("12:05"))
    assert due_run(a_mirror(), None, watched, at("13:14")) is None
    assert due_run(a_mirror(), None, watched, at("13:15")) == at("13:00")


def test_a_mirror_that_starts_later_misses_nothing() -> None:
    later = a_mirror("@daily", start=at("29 00:00"))
    assert due_run(later, None, LONG_AGO, at("29 12:00")) is None
    assert due_run(later, None, LONG_AGO, at("30 00:20")) == at("30 00:00")


def test_another_schedule_counts_from_when_it_was_seen() -> None:
    stored = as_document(LONG_AGO)
    assert read_watched(stored, "@hourly", at("12:00")) == LONG_AGO
    assert read_watched(stored, "@daily", at("12:00")) == WatchedSchedule(schedule="@daily", since=at("12:00"))
    assert read_watched(None, "@daily", at("12:00")) == WatchedSchedule(schedule="@daily", since=at("12:00"))
    assert read_watched({"x": 1}, None, at("12:00")) == WatchedSchedule(schedule=None, since=at("12:00"))


UNKNOWN_CAUSE = "is the scheduler running, and does the task report store its results?"


@pytest.mark.parametrize(
    ("dag", "ended", "reason"),
    [
        (
            DagFacts(),
            "02:04",
            f"the last one ended at 2026-11-29 02:04 UTC; {UNKNOWN_CAUSE}",
        ),
        (
            DagFacts(is_paused=True, queued=1),
            None,
            "none has ended yet; its DAG is paused",
        ),
        (
            DagFacts(exists=False),
            None,
            "none has ended yet; Airflow does not know its DAG: see the import errors, or the DAG mirror_watch",
        ),
        (
            DagFacts(queued=2),
            None,
            "none has ended yet; 2 queued runs do not start: is the scheduler running?",
        ),
    ],
)
def test_the_reason_names_the_probable_cause(dag: DagFacts, ended: str | None, reason: str) -> None:
    alert = missing_run("m", at("03:00"), at(ended) if ended else None, dag, at("03:15"))
    assert alert is not None
    assert (alert.place, alert.reason) == (
        "mirror m",
        f"no run came: one should have started at 2026-11-29 03:00 UTC, and {reason}",
    )


def test_a_running_run_is_not_missing_for_a_day() -> None:
    dag = DagFacts(running=1)
    assert missing_run("m", at("03:00"), None, dag, at("03:00") + timedelta(hours=23)) is None
    alert = missing_run("m", at("03:00"), None, dag, at("03:00") + timedelta(hours=24))
    assert alert is not None
    assert alert.reason.endswith("; a run is running for longer than a day: see its tasks")


def test_a_run_that_hangs_is_told_after_a_day_also_where_others_are_due_each_hour() -> None:
    """Others do not start while it runs, so the last one that is due is always new."""
    dag, ended, now = DagFacts(running=1), at("27 23:04"), at("29 00:20")
    due = due_run(a_mirror(), ended, LONG_AGO, now)
    assert due == at("29 00:00")
    assert missing_run("m", due, ended, dag, now, at("28 00:35")) is None
    alert = missing_run("m", due, ended, dag, now, at("28 00:20"))
    assert alert is not None
    assert alert.reason.endswith("; a run is running for longer than a day: see its tasks")
