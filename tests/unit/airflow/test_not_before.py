"""The trigger that waits: it survives its serialisation, holds nothing but a moment, and fires when that has come."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.triggers.base import TriggerEvent

from registry_sync.airflow.triggers.not_before import NotBeforeTrigger

MOMENT = "2026-11-24T12:00:00+00:00"


def fire(moment: datetime) -> list[TriggerEvent]:
    async def collect() -> list[TriggerEvent]:
        return [event async for event in NotBeforeTrigger(moment=moment.isoformat()).run()]

    return asyncio.run(collect())


def test_serialising_and_loading_returns_the_same_trigger() -> None:
    path, arguments = json.loads(json.dumps(NotBeforeTrigger(moment=MOMENT).serialize()))
    assert arguments == {"moment": MOMENT}
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert type(again) is NotBeforeTrigger
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=1)])
def test_a_passed_moment_fires_at_once(ago: timedelta) -> None:
    moment = datetime.now(UTC) - ago
    assert fire(moment) == [TriggerEvent({"moment": moment.isoformat()})]


def test_it_does_not_fire_before() -> None:
    started = time.monotonic()
    moment = datetime.now(UTC) + timedelta(seconds=0.3)
    assert fire(moment) == [TriggerEvent({"moment": moment.isoformat()})]
    assert datetime.now(UTC) >= moment
    assert time.monotonic() - started < 5


def test_it_looks_at_the_clock_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks are set and machines suspended: one long sleep would then end at the wrong time."""
    pauses: list[float] = []
    moment = datetime.now(UTC) + timedelta(hours=1)

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise TimeoutError

    monkeypatch.setattr(asyncio, "sleep", note)
    with pytest.raises(TimeoutError):
        fire(moment)
    assert pauses == [60, 60, 60]
