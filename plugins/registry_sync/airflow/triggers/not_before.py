"""The trigger that waits for a time: until a rate limit ends, or until pushes have settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

MAX_SLEEP_SECONDS = 60
"""The clock is read at least this often, because clocks are adjusted and machines suspended."""


class NotBeforeTrigger(BaseTrigger):
    """A trigger that fires at ``resume_at``.

    :param resume_at: ISO 8601 with an offset, such as ``2026-11-24T12:00:00+00:00``.
    :param ends_task: end the task with success then, instead of starting it on a worker again.
    """

    def __init__(self, *, resume_at: str, ends_task: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.resume_at = resume_at
        self.ends_task = ends_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path of this class, and its arguments."""
        arguments = {"resume_at": self.resume_at, "ends_task": self.ends_task}
        return ("registry_sync.airflow.triggers.not_before.NotBeforeTrigger", arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until ``resume_at``, then fire once."""
        resume_at = datetime.fromisoformat(self.resume_at)
        while (left_seconds := (resume_at - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it is a clock
            await asyncio.sleep(min(left_seconds, MAX_SLEEP_SECONDS))
        yield TaskSuccessEvent() if self.ends_task else TriggerEvent({"resume_at": self.resume_at})
