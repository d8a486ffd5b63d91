"""Read the stored documents of one destination of a mirror, and list the unreadable ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex, disabled_at
from registry_sync.state.document import StateError, read_document
from registry_sync.state.names import DESTINATION_KEY, index_key
from registry_sync.state.store import StateReader

MAX_PARTS = 10_000
"""Maximum number of parts of an index that are read, whatever a document says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDestination:
    """State of one destination of a mirror, as it is stored.

    :ivar state: ``None`` when no run has written it, or when it cannot be read.
    :ivar figures: by the name of the route.
    :ivar faults: the documents that cannot be read, for people.
    :ivar disabled: set while all of the mirror is disabled, for people.
    """

    mirror: str
    destination: str
    state: DestinationState | None = None
    figures: Mapping[str, RouteFigures]
    faults: tuple[str, ...] = ()
    disabled: str = ""


def due_figures(stored: StoredDestination, now: datetime) -> Mapping[str, RouteFigures]:
    """The rows of the routes that are not disabled at a time (aware UTC)."""
    rows = {} if stored.disabled else stored.figures
    return {name: row for name, row in rows.items() if not disabled_at(row, now)}


def enabled_since(stored: StoredDestination, time: datetime) -> StoredDestination:
    """The destination of a mirror that was disabled up to a time, until a run has listed its routes again."""
    if stored.state is None or (stored.state.listed_at and stored.state.listed_at >= time):
        return stored
    old = {name: row for name, row in stored.figures.items() if row.looked_at < time}
    ended = {name: replace(row, is_disabled=True, disabled_until=time) for name, row in old.items()}
    return replace(stored, figures={**stored.figures, **ended})


def read_destinations(reader: StateReader) -> list[StoredDestination]:
    """All destinations of a reader, by mirror and name."""
    return [
        read_destination(mirror, destination, documents)
        for (mirror, destination), documents in sorted(reader.destinations().items())
    ]


def read_destination(mirror: str, destination: str, documents: Mapping[str, Any]) -> StoredDestination:
    """Read the documents of one destination. Never raises for a document of others: it becomes a fault."""
    if DESTINATION_KEY not in documents:
        return StoredDestination(mirror=mirror, destination=destination, figures={})
    try:
        state = read_document(DestinationState, documents[DESTINATION_KEY])
    except StateError as error:
        return StoredDestination(mirror=mirror, destination=destination, figures={}, faults=(str(error),))
    figures: dict[str, RouteFigures] = {}
    faults = tuple(_read_parts(state, documents, figures))
    return StoredDestination(mirror=mirror, destination=destination, state=state, figures=figures, faults=faults)


def _read_parts(
    state: DestinationState, documents: Mapping[str, Any], figures: dict[str, RouteFigures]
) -> Iterator[str]:
    """Add the rows of all parts to ``figures``, and yield a fault for each part that is missing or unreadable."""
    for number in range(min(state.index_parts, MAX_PARTS)):
        key = index_key(number)
        if key not in documents:
            yield f"part {number + 1} of {state.index_parts} of the index of routes is missing"
            continue
        try:
            figures.update(read_document(RouteIndex, documents[key]).routes)
        except StateError as error:
            yield f"part {number + 1} of {state.index_parts} of the index of routes: {error}"
