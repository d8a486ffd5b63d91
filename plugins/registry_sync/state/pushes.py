"""The state of pushes to a mirror's source: the last events, and the tags that no event named. Values for showing.

They are the values of the asset :func:`~registry_sync.state.names.pushes_asset_name`, under the keys below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry_sync.state.document import StateError, read_document
from registry_sync.state.times import UtcTime

EVENTS_KEY = "events"
"""The key of :class:`LastEvents`, which the DAG for pushes writes."""

LOST_KEY = "lost"
"""The key of :class:`LostEvents`, which the mirror's other DAG writes."""

MAX_LOST = 20
"""Lost tags that are kept by name, the newest first, and runs whose numbers are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEvents:
    """The events that came last.

    :ivar received_at: of the last event from the registry.
    :ivar chained_at: of the last event from our own tasks, which copied something to the source.
    """

    received_at: UtcTime | None = None
    chained_at: UtcTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTag:
    """A tag that polling found, and no event had named. ``repository`` is its name at the source."""

    repository: str
    tag: str
    found_at: UtcTime


@dataclass(frozen=True, slots=True, kw_only=True)
class LostOfRun:
    """The number of lost tags that a run has counted."""

    run_id: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEvents:
    """The tags that no event had named: the number of all so far, and the last :data:`MAX_LOST`.

    :ivar runs: the last runs that counted some, the newest first.
    """

    total: int = 0
    tags: tuple[LostTag, ...] = ()
    runs: tuple[LostOfRun, ...] = ()

    def plus(self, run_id: str, found: Sequence[LostTag]) -> LostEvents:
        """These tags, and all that a run has found. A run that counts again, after a clear, adds only what is more."""
        earlier = next((run.count for run in self.runs if run.run_id == run_id), 0)
        count = max(earlier, len(found))
        names = {(lost.repository, lost.tag) for lost in self.tags} if earlier else set()
        new = [lost for lost in found if (lost.repository, lost.tag) not in names]
        others = [run for run in self.runs if run.run_id != run_id]
        return LostEvents(
            total=self.total + count - earlier,
            tags=(*new, *self.tags)[:MAX_LOST],
            runs=(LostOfRun(run_id=run_id, count=count), *others)[:MAX_LOST],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushesState:
    """The stored values about pushes to the source of a mirror. ``events`` is ``None`` before the first event."""

    events: LastEvents | None = None
    lost: LostEvents = LostEvents()


def read_pushes(documents: Mapping[str, Any]) -> PushesState:
    """The state from the values under the keys of this module. An unreadable value counts as absent."""
    return PushesState(
        events=_read(LastEvents, documents.get(EVENTS_KEY)),
        lost=_read(LostEvents, documents.get(LOST_KEY)) or LostEvents(),
    )


def _read(kind: type[Any], document: Any) -> Any:
    try:
        return None if document is None else read_document(kind, document)
    except StateError:
        return None


def after_events(earlier: LastEvents | None, received: Iterable[datetime], chained: Iterable[datetime]) -> LastEvents:
    """The last events after some more. Airflow may give them in any order.

    :param received: when events came from the registry; ``chained`` likewise, from our own tasks.
    """
    before = earlier or LastEvents()
    return LastEvents(
        received_at=max(filter(None, [before.received_at, *received]), default=None),
        chained_at=max(filter(None, [before.chained_at, *chained]), default=None),
    )
