"""Changes of the last hours or days: the asset events of runs, the newest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from registry_sync.state.changes import ChangeEvent
from registry_sync.state.document import StateError, read_document
from registry_sync.state.lookup.page import Page
from registry_sync.state.store import StateReader

LONGEST_PAST = timedelta(days=90)
"""Longest past in which changes are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The runs that changed something.

    :ivar page: one item per run and destination.
    :ivar unreadable: number of events of this page that are not of this version, or of somebody else.
    """

    page: Page[ChangeEvent]
    unreadable: int = 0


def changes_since(
    reader: StateReader,
    since: datetime,
    *,
    mirror: str = "",
    destination: str = "",
    repository: str = "",
    offset: int,
    limit: int,
) -> Changes:
    """List the tags that arrived, moved, were backed up, repaired or deleted since a time.

    :param mirror: only of this mirror; empty for all. ``destination`` likewise.
    :param repository: only of this repository at the destination, with or without its registry.
    """
    total, documents = reader.events(
        since, mirror=mirror, destination=destination, text=_json_end(repository), offset=offset, limit=limit
    )
    events = [event for document in documents if (event := _read(document))]
    items = tuple(_only(event, repository) for event in events) if repository else tuple(events)
    page = Page(items=items, total=total, offset=offset, limit=limit)
    return Changes(page=page, unreadable=len(documents) - len(events))


def _json_end(repository: str) -> str:
    """The end of the JSON of a repository's name: ``/app"`` is in the events of ``example.azurecr.io/app``."""
    return f'{repository}"' if repository else ""


def _only(event: ChangeEvent, repository: str) -> ChangeEvent:
    kept = tuple(
        change
        for change in event.changes
        if change.repository == repository or change.repository.endswith(f"/{repository}")
    )
    return replace(event, changes=kept)


def _read(document: Any) -> ChangeEvent | None:
    try:
        return read_document(ChangeEvent, document)
    except StateError:
        return None
