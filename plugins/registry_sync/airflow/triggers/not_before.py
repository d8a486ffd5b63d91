"""The trigger that resumes a rate-limited task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

MAX_SLEEP_SECONDS = 60
"""The clock is read at least this often, because clocks are adjusted and machines suspended."""


class NotBeforeTrigger(BaseTrigger):
    """Fires at ``resume_at``.

    :param resume_at: ISO 8601 with an offset, such as ``2026-11-24T12:00:00+00:00``.
    """

    def __init__(self, *, resume_at: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.resume_at = resume_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path of this class, and its arguments."""
        return ("registry_sync.airflow.triggers.not_before.NotBeforeTrigger", {"resume_at": self.resume_at})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until ``resume_at``, then fire once."""
        resume_at = datetime.fromisoformat(self.resume_at)
        while (left_seconds := (resume_at - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it is a clock
            await asyncio.sleep(min(left_seconds, MAX_SLEEP_SECONDS))
        yield TriggerEvent({"resume_at": self.resume_at})
