"""Pushes that wait to become asset events. A storm becomes few events, and none of its pushes is lost.

The first push to a mirror is due at once. Those that follow within :data:`INTERVAL_SECONDS` are gathered, each
repository and tag once, and are due when that time is over. So a duplicate costs nothing, and a tag that is pushed
again is looked at after its last push.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registry_sync.events.event_extra import MAX_PUSHES, to_extra
from registry_sync.events.push import Push, merge_pushes

INTERVAL_SECONDS = 2.0
"""Least time between two batches of one mirror."""

MAX_REPOSITORIES = 1_000
"""Repositories that wait for one mirror. The sender of further ones is asked to send them later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pushes to the source of one mirror that become asset events together.

    :ivar received_at: time of the first of them, aware and in UTC.
    """

    mirror: str
    registry: str
    received_at: datetime
    pushes: tuple[Push, ...]

    def extras(self) -> list[dict[str, Any]]:
        """The ``extra`` of each asset event: one, unless a storm names very many repositories."""
        parts = (self.pushes[start : start + MAX_PUSHES] for start in range(0, len(self.pushes), MAX_PUSHES))
        return [to_extra(self.registry, part, self.received_at) for part in parts]


@dataclass(slots=True)
class Gathering:
    """The waiting pushes of all mirrors, and when each mirror had its last batch. Times are monotonic seconds."""

    _waiting: dict[str, Batch] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def add(self, batch: Batch) -> bool:
        """Let pushes wait. ``False`` when the mirror has too many already."""
        earlier = self._waiting.get(batch.mirror)
        if earlier is None:
            self._waiting[batch.mirror] = batch
            return True
        merged = merge_pushes((*earlier.pushes, *batch.pushes))
        if len(merged) > MAX_REPOSITORIES:
            return False
        self._waiting[batch.mirror] = Batch(
            mirror=batch.mirror,
            registry=batch.registry,
            received_at=min(earlier.received_at, batch.received_at),
            pushes=merged,
        )
        return True

    def take_due(self, now: float) -> list[Batch]:
        """Take the batches whose time has come."""
        due = [mirror for mirror in self._waiting if self._due_at(mirror) <= now]
        self._last |= dict.fromkeys(due, now)
        return [self._waiting.pop(mirror) for mirror in due]

    def next_due(self) -> float | None:
        """The time at which the next batch is due; ``None`` when nothing waits."""
        return min(map(self._due_at, self._waiting), default=None)

    def postpone(self, mirrors: Iterable[str], until: float) -> None:
        """Let mirrors have no batch before a time: what went wrong may be well again then."""
        self._last |= dict.fromkeys(mirrors, until - INTERVAL_SECONDS)

    def _due_at(self, mirror: str) -> float:
        return self._last.get(mirror, float("-inf")) + INTERVAL_SECONDS
