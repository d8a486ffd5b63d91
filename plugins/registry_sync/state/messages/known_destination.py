"""Read the state of a destination, and the problems of its failing routes, from a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_sync.state.destination import RouteFigures
from registry_sync.state.document import StateError, read_document
from registry_sync.state.names import DESTINATION_KEY, index_key
from registry_sync.state.route import RouteState
from registry_sync.state.store import StateStore
from registry_sync.state.stored_destination import MAX_PARTS, StoredDestination, read_destination

MAX_DETAILED_ROUTES = 50
"""Maximum number of failing routes whose problems are read one by one. The others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDestination:
    """The stored state of a destination.

    :ivar details: states of routes that fail, at most :data:`MAX_DETAILED_ROUTES`, by name.
    :ivar faults: the documents that cannot be read, for people.
    """

    stored: StoredDestination
    details: Mapping[str, RouteState] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def fetch_destination(store: StateStore, mirror: str, destination: str) -> KnownDestination:
    """Read the summary and the index of a destination, and the states of routes that fail."""
    stored = fetch_stored(store, mirror, destination)
    details: dict[str, RouteState] = {}
    faults = list(stored.faults)
    for name in failing_routes(stored.figures)[:MAX_DETAILED_ROUTES]:
        if (document := store.get(name)) is None:
            continue
        try:
            details[name] = read_document(RouteState, document)
        except StateError as error:
            faults.append(f"{name}: {error}")
    return KnownDestination(stored=stored, details=details, faults=tuple(faults))


def fetch_stored(store: StateStore, mirror: str, destination: str) -> StoredDestination:
    """Read the summary and the index of a destination."""
    return read_destination(mirror, destination, _documents(store))


def _documents(store: StateStore) -> dict[str, Any]:
    """The stored summary of a destination, and the parts of its index that it names."""
    summary = store.get(DESTINATION_KEY)
    parts = summary.get("index_parts", 0) if isinstance(summary, Mapping) else 0
    keys = [index_key(number) for number in range(min(parts, MAX_PARTS))] if isinstance(parts, int) else []
    documents = {DESTINATION_KEY: summary, **{key: store.get(key) for key in keys}}
    return {key: document for key, document in documents.items() if document is not None}


def failing_routes(figures: Mapping[str, RouteFigures]) -> list[str]:
    """Names of the routes that make a run fail, the oldest failure first."""
    failing = {name: row for name, row in figures.items() if row.failing or row.locked or row.failing_since}
    return sorted(failing, key=lambda name: (failing[name].failing_since or failing[name].looked_at, name))
