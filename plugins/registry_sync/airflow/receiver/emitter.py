"""Make asset events of pushes in the background, so that senders do not wait for the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic

from registry_sync.events.gathering import Batch, Gathering

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""Time after which a batch is stored again after a failure of the database."""


class Emitter:
    """Gathers pushes, and stores each batch when it is due.

    :param store: stores a batch in Airflow's database. It runs in a thread.
    """

    def __init__(self, store: Callable[[Batch], None], clock: Callable[[], float] = monotonic) -> None:
        self._store, self._clock = store, clock
        self._gathering = Gathering()
        self._task: asyncio.Task[None] | None = None

    def add(self, batches: Iterable[Batch]) -> bool:
        """Add pushes to the waiting ones, and start to store them. ``False`` when a mirror has too many already."""
        taken = [self._gathering.add(batch) for batch in batches]
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._store_all())
        return all(taken)

    async def end(self) -> None:
        """Store all waiting pushes when the server ends. A batch that is just being stored may be stored twice."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._store_waiting)

    def _store_waiting(self) -> None:
        for batch in self._gathering.take_due(float("inf")):
            try:
                self._store(batch)
            except Exception:
                log.exception("Pushes to mirror %s were not stored before the end", batch.mirror)

    async def _store_all(self) -> None:
        """Store batches until none waits."""
        while (due := self._gathering.next_due()) is not None:
            await asyncio.sleep(max(0.0, due - self._clock()))
            for batch in self._gathering.take_due(self._clock()):
                await self._store_one(batch)

    async def _store_one(self, batch: Batch) -> None:
        """Store a batch. Keep it after any failure, because the sender got the answer that it is accepted."""
        try:
            await asyncio.to_thread(self._store, batch)
        except asyncio.CancelledError:  # the server ends while the thread works: stored twice is better than not at all
            self._gathering.restore(batch)
            raise
        except Exception as error:
            reason = type(error).__name__
            log.warning("Pushes to mirror %s are not stored (%s), and wait for another try", batch.mirror, reason)
            self._gathering.restore(batch)
            self._gathering.postpone([batch.mirror], self._clock() + RETRY_SECONDS)
