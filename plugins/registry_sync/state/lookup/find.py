"""Search repositories, tags and digests, and show the destinations that have or lack them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.lookup.columns import RoutePlace, read_columns, route_places
from registry_sync.state.lookup.page import Page
from registry_sync.state.lookup.search_text import Search
from registry_sync.state.lookup.tag_matrix import Column, TagRow, tag_rows
from registry_sync.state.names import tags_key
from registry_sync.state.packed_tags import text_of_tag, texts_of_digest
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.store import StateReader, StoredKey
from registry_sync.state.stored_destination import StoredDestination

MAX_TAGS = 50
"""Tags of each repository in the answer to a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRepository:
    """A source repository with its destinations.

    :ivar rows: the tags that the search matches, at most :data:`MAX_TAGS`; empty for a search by name alone.
    :ivar total: number of tags that the search matches.
    """

    source: str
    columns: tuple[Column, ...]
    rows: tuple[TagRow, ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to a search.

    :ivar notes: destinations whose states cannot be read, so that something may be missing in the answer.
    """

    page: Page[FoundRepository]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """Searches all states of a reader."""

    reader: StateReader
    stored: list[StoredDestination]
    runs: Mapping[str, MirrorRuns]
    now: datetime

    def find(self, search: Search, *, offset: int, limit: int, exact: bool = False) -> Found:
        """Search, and read the tags of one page of repositories.

        :param exact: names and tags must be the same: a name may only lack its first parts, such as the registry.
        """
        by_source = self._matching(search, exact=exact)
        sources = sorted(by_source, key=lambda source: (not _ends_with(source, search.name), source))
        chosen = frozenset(sources[offset : offset + limit])
        places = [place for place in route_places(self.stored) if place.source in chosen]
        columns = read_columns(self.reader, places, self.runs, self.now)
        items = [
            _found(source, [column for column in columns if column.source == source], search, exact=exact)
            for source in sources[offset : offset + limit]
        ]
        page = Page(items=tuple(items), total=len(sources), offset=offset, limit=limit)
        return Found(page=page, notes=tuple(unreadable(self.stored)))

    def _matching(self, search: Search, *, exact: bool) -> frozenset[str]:
        """The source repositories with a match."""
        matches = _exactly if exact else _contains
        named = [place for place in route_places(self.stored) if _is_named(place, search.name, matches)]
        if search.tag is None and search.digest is None:
            return frozenset(place.source for place in named)
        hits = self._tag_hits(search, exact=exact)
        if search.is_digest_or_name:
            all_hits = (place.source for place in route_places(self.stored) if _key(place) in hits)
            return frozenset([*(place.source for place in named), *all_hits])
        holding = frozenset(place.source for place in named if _key(place) in hits)
        return holding or (frozenset(place.source for place in named) if search.name else holding)

    def _tag_hits(self, search: Search, *, exact: bool) -> frozenset[StoredKey]:
        """The keys of the tables of tags with the tag and the digest of a search."""
        found = []
        if search.tag is not None:
            found.append(self.reader.search_tags([text_of_tag(search.tag, exact=exact)]))
        if search.digest is not None:
            found.append(self.reader.search_tags(texts_of_digest(search.digest)))
        return frozenset.intersection(*found)


def unreadable(stored: Iterable[StoredDestination]) -> Iterable[str]:
    """A sentence for each destination with unreadable documents."""
    for destination in stored:
        for fault in destination.faults:
            yield f"{destination.mirror} to {destination.destination}: {fault}"


def _found(source: str, columns: list[Column], search: Search, *, exact: bool) -> FoundRepository:
    if search.tag is None and search.digest is None:
        return FoundRepository(source=source, columns=tuple(columns))
    rows = tag_rows(columns, name=search.tag or "", digest=search.digest or "", exact=exact and search.tag is not None)
    return FoundRepository(source=source, columns=tuple(columns), rows=tuple(rows[:MAX_TAGS]), total=len(rows))


def _key(place: RoutePlace) -> StoredKey:
    return place.stored.mirror, place.stored.destination, tags_key(place.route)


def _is_named(place: RoutePlace, name: str, matches: Callable[[str, str], bool]) -> bool:
    return not name or matches(place.source, name) or matches(place.repository, name)


def _contains(whole: str, name: str) -> bool:
    return name in whole


def _exactly(whole: str, name: str) -> bool:
    return _ends_with(whole, name)


def _ends_with(whole: str, name: str) -> bool:
    """Return whether ``name`` is the whole name, or its last parts."""
    return whole == name or whole.endswith(f"/{name}")
