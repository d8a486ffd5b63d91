"""Every route by its row in the index, with its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.destination import RouteFigures
from registry_sync.state.judging.freshness import SEVERITY, Status
from registry_sync.state.judging.judge_destination import judge_routes
from registry_sync.state.names import destination_of, source_of
from registry_sync.state.stored_destination import StoredDestination


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """One route.

    :ivar route: its name in the state.
    :ivar source: whole name of the source repository; ``repository``: whole name of the one at the destination.
    :ivar reason: why it has its status; empty when it is in sync.
    :ivar since: when that began, where it is known.
    """

    mirror: str
    destination: str
    route: str
    source: str
    repository: str
    status: Status
    reason: str = ""
    since: datetime | None = None
    figures: RouteFigures


def route_rows(stored: Iterable[StoredDestination], now: datetime) -> list[RouteRow]:
    """The rows of all routes, the worst first, then by name."""
    rows = [row for destination in stored for row in _rows_of(destination, now)]
    return sorted(rows, key=lambda row: (SEVERITY.index(row.status), row.source, row.mirror, row.destination))


def _rows_of(stored: StoredDestination, now: datetime) -> Iterator[RouteRow]:
    if stored.state is None:
        return
    for name, judgement in judge_routes(stored, now).items():
        yield RouteRow(
            mirror=stored.mirror,
            destination=stored.destination,
            route=name,
            source=f"{stored.state.source_host}/{source_of(name)}",
            repository=f"{stored.state.host}/{destination_of(name)}",
            status=judgement.status,
            reason=judgement.reason,
            since=judgement.since,
            figures=stored.figures[name],
        )
