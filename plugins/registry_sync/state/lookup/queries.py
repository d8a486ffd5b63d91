"""The queries of pages and commands about states. Each reads what it needs, and returns values.

A reader holds only what its caller may read, so no answer counts or names anything else. ``now`` is the time at which
freshness is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.state.document import StateError, read_document
from registry_sync.state.judging.judge_destination import as_disabled
from registry_sync.state.lookup.columns import read_columns, route_places
from registry_sync.state.lookup.failing import FailingRoute, failing_routes
from registry_sync.state.lookup.find import Finder, Found, unreadable
from registry_sync.state.lookup.overview import OverviewRow, overview
from registry_sync.state.lookup.page import Page, page_of
from registry_sync.state.lookup.route_list import RouteRow, route_rows
from registry_sync.state.lookup.search_text import parse_search
from registry_sync.state.lookup.tag_matrix import Column, TagRow, tag_rows
from registry_sync.state.names import tags_key
from registry_sync.state.pushes import read_pushes
from registry_sync.state.route import LACKING, TagTable, due_since
from registry_sync.state.store import StateReader
from registry_sync.state.stored_destination import StoredDestination, read_destinations


def get_overview(reader: StateReader, now: datetime, *, mirror: str = "", destination: str = "") -> list[OverviewRow]:
    """Judge every destination against its promise, the worst first.

    :param mirror: only of this mirror; empty for all. ``destination`` likewise.
    """
    rows = overview(_stored(reader, mirror, destination), reader.runs(), now)
    pushes = {name: read_pushes(documents) for name, documents in reader.pushes().items()}
    return _with_oldest_tags(reader, [replace(row, pushes=pushes.get(row.mirror)) for row in rows])


def overview_notes(reader: StateReader) -> tuple[str, ...]:
    """Return remarks about rows that may be missing in the overview, and tasks that never start, for people."""
    mistakes = (
        "the mirrors file has a mistake: mirrors may be missing; see Airflow's import errors, or the DAG mirror_watch"
    )
    pools = (
        f"tasks of {', '.join(mirrors)} wait for the pool {pool}, which does not exist; create it: airflow pools set "
        f"{pool} 4 ''"
        for pool, mirrors in sorted(reader.missing_pools().items())
    )
    return (*([mistakes] if reader.has_file_errors() else []), *pools)


def list_routes(
    reader: StateReader,
    now: datetime,
    *,
    mirror: str = "",
    destination: str = "",
    status: str = "",
    offset: int = 0,
    limit: int = 100,
) -> Page[RouteRow]:
    """List the routes with their statuses, the worst first, then by name.

    :param mirror: only of this mirror; empty for all. ``destination`` and ``status`` likewise.
    """
    stored = _stored(reader, mirror, destination)
    rows = [row for row in route_rows(stored, reader.runs(), now) if not status or row.status == status]
    return replace(page_of(rows, offset, limit), notes=tuple(unreadable(stored)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryView:
    """A source repository with its tags and destinations.

    :ivar columns: its destinations; none when no route of the caller has this source.
    :ivar page: its tags, those that a destination lacks first, then the newest.
    """

    source: str
    columns: tuple[Column, ...]
    page: Page[TagRow]


def get_repository(
    reader: StateReader, now: datetime, source: str, *, tag: str = "", offset: int = 0, limit: int = 100
) -> RepositoryView:
    """List the tags of a source repository: the destinations that have each, its arrival, and those that lack it.

    :param source: whole name, such as ``quay.io/team/app``.
    :param tag: only tags that begin with this.
    """
    places = [place for place in route_places(read_destinations(reader)) if place.source == source]
    columns = read_columns(reader, places, reader.runs(), now) if places else []
    return RepositoryView(
        source=source, columns=tuple(columns), page=page_of(tag_rows(columns, name=tag), offset, limit)
    )


def find(
    reader: StateReader, now: datetime, text: str, *, exact: bool = False, offset: int = 0, limit: int = 20
) -> Found:
    """Find the places of an image: by part of its name, by name and tag, or by part of a digest.

    :param exact: names and tags must be the same: a name may only lack its first parts, such as the registry.
    :raises ConfigurationError: when nothing can be searched for.
    """
    search = parse_search(text)
    finder = Finder(reader=reader, stored=read_destinations(reader), runs=reader.runs(), now=now)
    return finder.find(search, offset=offset, limit=limit, exact=exact)


def list_failing(
    reader: StateReader, now: datetime, *, mirror: str = "", destination: str = "", offset: int = 0, limit: int = 100
) -> Page[FailingRoute]:
    """List the failures with start and advice, the oldest first. Disabled routes are left out.

    :param mirror: only of this mirror; empty for all. ``destination`` likewise.
    """
    stored = _stored(reader, mirror, destination)
    runs = reader.runs()
    due = [as_disabled(destination, runs.get(destination.mirror)) for destination in stored]
    return replace(failing_routes(reader, due, now, offset=offset, limit=limit), notes=tuple(unreadable(stored)))


def _stored(reader: StateReader, mirror: str, destination: str) -> list[StoredDestination]:
    return [
        stored
        for stored in read_destinations(reader)
        if (not mirror or stored.mirror == mirror) and (not destination or stored.destination == destination)
    ]


def _with_oldest_tags(reader: StateReader, rows: list[OverviewRow]) -> list[OverviewRow]:
    """Add the tag that each destination lacks for the longest time, from the tags of its route."""
    keys = [
        (row.mirror, row.destination, tags_key(row.oldest_lacking.route)) if row.oldest_lacking else None
        for row in rows
    ]
    tables = reader.read([key for key in keys if key])
    return [
        replace(row, oldest_lacking=replace(row.oldest_lacking, tag=_oldest_tag(tables.get(key))))
        if key and row.oldest_lacking
        else row
        for row, key in zip(rows, keys, strict=True)
    ]


def _oldest_tag(document: object) -> str | None:
    """The tag of a table that has been missing for the longest time; ``None`` when the table cannot be read."""
    try:
        table = read_document(TagTable, document)
    except StateError:
        return None
    return min(
        ((due_since(tag), tag.tag) for tag in table.tags if tag.status in LACKING),
        default=(None, None),
    )[1]
