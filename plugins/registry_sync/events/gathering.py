"""Pushes that wait to become asset events. A storm becomes few events, and none of its pushes is lost.

The first push to a mirror is due at once. Those that follow within :data:`INTERVAL_SECONDS` are gathered, each
repository and tag once, and are due when that time is over. So a duplicate costs nothing, and a tag that is pushed
again is looked at after its last push.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from registry_sync.events.event_extra import MAX_PUSHES, MAX_TAGS, to_extra
from registry_sync.events.push import Push

INTERVAL_SECONDS = 2.0
"""Minimum time between two batches of one mirror."""

MAX_REPOSITORIES = 1_000
"""Maximum number of repositories that wait for one mirror. Senders of more get the answer to send them later."""


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
class _Waiting:
    """The waiting pushes of one mirror: the tags of each repository, or ``None`` for all of them."""

    registry: str
    received_at: datetime
    tags: dict[str, set[str] | None] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        self.registry, self.received_at = batch.registry, min(self.received_at, batch.received_at)
        for push in batch.pushes:
            known = self.tags.setdefault(push.repository, set())
            merged = None if known is None or push.tags is None else known.union(push.tags)
            self.tags[push.repository] = None if merged is None or len(merged) > MAX_TAGS else merged

    def batch(self, mirror: str) -> Batch:
        pushes = (
            Push(repository=name, tags=None if tags is None else tuple(sorted(tags)))
            for name, tags in self.tags.items()
        )
        return Batch(mirror=mirror, registry=self.registry, received_at=self.received_at, pushes=tuple(pushes))


@dataclass(slots=True)
class Gathering:
    """The waiting pushes of all mirrors, and when each mirror had its last batch. Times are monotonic seconds."""

    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def add(self, batch: Batch) -> bool:
        """Let pushes wait. ``False`` when the mirror has too many already.

        The first batch waits whatever its size, because its sender would repeat a request that is refused for ever.
        """
        waiting = self._waiting.get(batch.mirror)
        if waiting:
            new = {push.repository for push in batch.pushes} - waiting.tags.keys()
            if len(waiting.tags) + len(new) > MAX_REPOSITORIES:
                return False
        self.restore(batch)
        return True

    def restore(self, batch: Batch) -> None:
        """Let pushes wait that were accepted before, however many there are."""
        waiting = self._waiting.setdefault(
            batch.mirror, _Waiting(registry=batch.registry, received_at=batch.received_at)
        )
        waiting.add(batch)

    def take_due(self, now: float) -> Iterator[Batch]:
        """Take the batches whose time has come. Each waits until the one before it has been dealt with."""
        for mirror in [mirror for mirror in self._waiting if self._due_at(mirror) <= now]:
            self._last[mirror] = now
            yield self._waiting.pop(mirror).batch(mirror)

    def next_due(self) -> float | None:
        """The time at which the next batch is due; ``None`` when nothing waits."""
        return min(map(self._due_at, self._waiting), default=None)

    def postpone(self, mirrors: Iterable[str], until: float) -> None:
        """Let mirrors have no batch before a time, because the fault may have passed by then."""
        self._last |= dict.fromkeys(mirrors, until - INTERVAL_SECONDS)

    def _due_at(self, mirror: str) -> float:
        return self._last.get(mirror, float("-inf")) + INTERVAL_SECONDS
