"""Count the tags that a run found by polling, and that no event had named."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.metrics import send_metrics
from registry_sync.airflow.pushes.assets import pushes_asset
from registry_sync.airflow.pushes.received import read_event
from registry_sync.airflow.states.state_store import losing, open_named_store, read_state
from registry_sync.config.registry import Registry
from registry_sync.oci.reference import Repository
from registry_sync.state.document import as_document
from registry_sync.state.metrics import lost_events_metrics
from registry_sync.state.names import pushes_asset_name, source_of
from registry_sync.state.pushes import LOST_KEY, LostEvents, LostTag
from registry_sync.state.run_row import FoundTag, RunRow
from registry_sync.sync.window import CLOCK_SKEW

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=5)
"""Time limit for an event to arrive after a push. A younger tag is not counted."""

MAX_EVENTS = 5_000
"""Maximum number of events that are read. With more, nothing is counted."""


def count_lost(context: Context, mirror: str, source: Registry, rows: Iterable[RunRow]) -> None:
    """Store and send the number of tags that a run found, and that no event had named since they came.

    The task runs again when it is cleared. What the run has counted before is then not counted again.
    """
    now, count = datetime.now(UTC), 0
    found = {(source_of(row.route), tag.tag): tag for row in rows for tag in row.found if _is_due(tag, now)}
    with losing("Lost events of this run are not counted"):
        since = min((tag.since for tag in found.values()), default=now) - CLOCK_SKEW
        named = _named_tags(context, mirror, source, since) if found else []
        lost = [
            LostTag(repository=repository, tag=tag, found_at=now.replace(microsecond=0))
            for (repository, tag), found_tag in sorted(found.items())
            if not _is_named(repository, tag, found_tag.since - CLOCK_SKEW, named)
        ]
        if lost:
            count = _add(mirror, context["ti"].run_id, lost)
    send_metrics(lost_events_metrics(mirror, count))


def _is_due(tag: FoundTag, now: datetime) -> bool:
    return tag.since <= now - GRACE


Named = tuple[datetime, str, frozenset[str] | None]
"""The time of an event, and a repository that it names, with the tags."""


def _named_tags(context: Context, mirror: str, source: Registry, since: datetime) -> list[Named]:
    """The names in the events since a time.

    :raises LookupError: when there are too many events to read them.
    """
    events: Any = context["inlet_events"][pushes_asset(mirror)]
    read = list(islice(events.after(since.isoformat()).limit(MAX_EVENTS), MAX_EVENTS))
    if len(read) == MAX_EVENTS:
        raise LookupError(f"there are more than {MAX_EVENTS} events")
    return list(names_of(read, source))


def names_of(events: Iterable[Any], source: Registry) -> Iterator[Named]:
    """The names in some events, as the source has them: ``library/alpine`` for ``alpine`` of Docker Hub."""
    for entry in events:
        event = read_event(entry, source)
        for push in event.pushes if event else ():
            name = Repository.at(source.host, push.repository).name
            yield entry.timestamp, name, None if push.tags is None else frozenset(push.tags)


def _is_named(repository: str, tag: str, since: datetime, named: Sequence[Named]) -> bool:
    return any(at >= since and name == repository and (tags is None or tag in tags) for at, name, tags in named)


def _add(mirror: str, run_id: str, lost: Sequence[LostTag]) -> int:
    """Add lost tags to those that are stored, log them, and return the number of those that are new."""
    shown = ", ".join(f"{tag.repository}:{tag.tag}" for tag in lost[:10])
    log.warning("No event named %d tags that this run found: %s%s", len(lost), shown, ", …" if len(lost) > 10 else "")
    store = open_named_store(pushes_asset_name(mirror))
    earlier = read_state(store, LOST_KEY, LostEvents) or LostEvents()
    together = earlier.plus(run_id, lost)
    store.set(LOST_KEY, as_document(together))
    return together.total - earlier.total
