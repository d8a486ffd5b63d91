"""Every route by its row in the index, with its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.destination import RouteFigures
from registry_sync.state.judging.freshness import SEVERITY, Status, worst
from registry_sync.state.judging.judge_destination import as_disabled, judge_around, judge_routes
from registry_sync.state.names import destination_of, source_of
from registry_sync.state.runs import MirrorRuns
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


def route_rows(stored: Iterable[StoredDestination], runs: Mapping[str, MirrorRuns], now: datetime) -> list[RouteRow]:
    """The rows of all routes, the worst first, then by name. No route is better than its destination as a whole."""
    rows = [row for destination in stored for row in _rows_of(destination, runs.get(destination.mirror), now)]
    return sorted(rows, key=lambda row: (SEVERITY.index(row.status), row.source, row.mirror, row.destination))


def _rows_of(stored: StoredDestination, runs: MirrorRuns | None, now: datetime) -> Iterator[RouteRow]:
    stored = as_disabled(stored, runs)
    if stored.state is None:
        return
    around = worst(judge_around(stored, runs, now))
    for name, own in judge_routes(stored, now).items():
        judgement = worst((own, around))
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
