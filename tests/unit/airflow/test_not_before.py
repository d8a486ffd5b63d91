"""The trigger of deferred tasks: its serialisation, and the time at which it fires."""

from __future__ import annotations

import asyncio
import importlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from registry_sync.airflow.triggers.not_before import NotBeforeTrigger

RESUME_AT = "2026-11-24T12:00:00+00:00"


def fire(resume_at: datetime, *, ends_task: bool = False) -> list[TriggerEvent]:
    async def collect() -> list[TriggerEvent]:
        trigger = NotBeforeTrigger(resume_at=resume_at.isoformat(), ends_task=ends_task)
        return [event async for event in trigger.run()]

    return asyncio.run(collect())


@pytest.mark.parametrize("ends_task", [False, True])
def test_serialising_and_loading_returns_the_same_trigger(*, ends_task: bool) -> None:
    trigger = NotBeforeTrigger(resume_at=RESUME_AT, ends_task=ends_task)
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    assert arguments == {"resume_at": RESUME_AT, "ends_task": ends_task}
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert type(again) is NotBeforeTrigger
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=1)])
def test_a_time_in_the_past_fires_at_once(ago: timedelta) -> None:
    resume_at = datetime.now(UTC) - ago
    assert fire(resume_at) == [TriggerEvent({"resume_at": resume_at.isoformat()})]


def test_it_ends_the_task_without_a_worker() -> None:
    assert fire(datetime.now(UTC), ends_task=True) == [TaskSuccessEvent()]


def test_it_fires_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, sleep = list[float](), asyncio.sleep

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    resume_at = datetime.now(UTC) + timedelta(seconds=0.3)
    assert fire(resume_at) == [TriggerEvent({"resume_at": resume_at.isoformat()})]
    assert datetime.now(UTC) >= resume_at
    assert max(pauses, default=0.0) <= 0.3


def test_it_reads_the_clock_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long sleep would end at the wrong time when the clock is adjusted or the machine suspended."""
    pauses: list[float] = []
    resume_at = datetime.now(UTC) + timedelta(hours=1)

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise TimeoutError

    monkeypatch.setattr(asyncio, "sleep", record)
    with pytest.raises(TimeoutError):
        fire(resume_at)
    assert pauses == [60, 60, 60]
