"""Find the destinations of source repositories, as the columns of their matrices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.judging.freshness import last_look, worst
from registry_sync.state.judging.judge_destination import as_disabled, judge_around, judgements_of, listed_at
from registry_sync.state.lookup.tag_matrix import Column, with_documents
from registry_sync.state.names import destination_of, source_of, tags_key
from registry_sync.state.runs import MirrorRuns
from registry_sync.state.store import StateReader
from registry_sync.state.stored_destination import StoredDestination


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlace:
    """A route by its names.

    :ivar source: whole name of the source repository; ``repository``: of the one at the destination.
    """

    stored: StoredDestination
    route: str
    source: str
    repository: str


def route_places(stored: Iterable[StoredDestination]) -> Iterator[RoutePlace]:
    """All routes of the indexes that can be read."""
    for destination in stored:
        if destination.state is None:
            continue
        source_host, host = destination.state.source_host, destination.state.host
        for route in destination.figures:
            source, repository = f"{source_host}/{source_of(route)}", f"{host}/{destination_of(route)}"
            yield RoutePlace(stored=destination, route=route, source=source, repository=repository)


def read_columns(
    reader: StateReader, places: Collection[RoutePlace], runs: Mapping[str, MirrorRuns], now: datetime
) -> list[Column]:
    """The columns of some routes, with their tags, in one read."""
    keys = {
        (place.stored.mirror, place.stored.destination, key)
        for place in places
        for key in (place.route, tags_key(place.route))
    }
    documents = reader.read(keys)
    columns = []
    for place in places:
        mirror, destination = place.stored.mirror, place.stored.destination
        state = documents.get((mirror, destination, place.route))
        table = documents.get((mirror, destination, tags_key(place.route)))
        columns.append(with_documents(_column(place, runs.get(mirror), now), state, table))
    return sorted(columns, key=lambda column: (column.source, column.mirror, column.destination, column.route))


def _column(place: RoutePlace, runs: MirrorRuns | None, now: datetime) -> Column:
    stored = as_disabled(place.stored, runs)
    figures = stored.figures[place.route]
    judgements = (*judgements_of(stored, place.route, now), *judge_around(stored, runs, now))
    return Column(
        mirror=stored.mirror,
        destination=stored.destination,
        route=place.route,
        source=place.source,
        repository=place.repository,
        judgement=worst(judgements),
        is_unknown=any(judgement.status == "unknown" for judgement in judgements),
        figures=figures,
        looked_at=last_look(figures, listed_at(stored, place.route)),
    )
