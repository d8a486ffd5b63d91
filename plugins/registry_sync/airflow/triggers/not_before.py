"""Waiting until a registry wants to be asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class NotBeforeTrigger(BaseTrigger):
    """Fires at a moment; quiet meanwhile.

    :param moment: ISO 8601 with an offset, such as ``2026-11-24T12:00:00+00:00``.
    """

    def __init__(self, *, moment: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds this class, and its arguments."""
        return ("registry_sync.airflow.triggers.not_before.NotBeforeTrigger", {"moment": self.moment})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep in steps of a minute at most, since clocks are set and machines suspended."""
        until = datetime.fromisoformat(self.moment)
        while (left_seconds := (until - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it is a clock
            await asyncio.sleep(min(left_seconds, 60))
        yield TriggerEvent({"moment": self.moment})
