"""States of routes with given tags, as their runs at noon would leave them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from registry_sync.state.destination import DestinationState, RouteIndex, figures_of
from registry_sync.state.document import as_document
from registry_sync.state.names import DESTINATION_KEY, destination_of, index_key, source_of, tags_key
from registry_sync.state.route import STATUSES, KnownTag, Problem, RouteState, TagTable, oldest_lacking
from registry_sync.sync.view import TagStatus
from testkit.states import SyntheticDestination, digest_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tag(
    name: str,
    status: TagStatus = "in_sync",
    digest: str | None = None,
    *,
    pushed: datetime = NOON - timedelta(hours=9),
) -> KnownTag:
    """A tag, by default with a digest that depends on its name. In sync, it arrived 15 minutes after its push."""
    return KnownTag(
        tag=name,
        status=status,
        digest=digest or digest_of(name),
        pushed_at=pushed,
        first_seen=pushed + timedelta(hours=1),
        published_at=pushed + timedelta(minutes=15) if status == "in_sync" else None,
    )


def destination(
    name: str,
    routes: Mapping[str, tuple[KnownTag, ...]],
    *,
    mirror: str = "team",
    host: str = "",
    source_host: str = "quay.io",
    problems: Mapping[str, tuple[Problem, ...]] | None = None,
    now: datetime = NOON,
    **fields: Any,
) -> SyntheticDestination:
    """A destination whose routes have these tags, and these problems."""
    host = host or f"{name}.example"
    summary = DestinationState(
        mirror=mirror,
        destination=name,
        host=host,
        source_host=source_host,
        run_id="scheduled__2026-03-01T11:00:00+00:00",
        run_ended=now,
        listed_at=now,
        index_parts=1,
        **fields,
    )
    states = {
        route: _route_state(summary, route, tags, (problems or {}).get(route, ()), now)
        for route, tags in routes.items()
    }
    index = RouteIndex(routes={route: figures_of(state) for route, state in states.items()})
    documents = {
        DESTINATION_KEY: as_document(summary),
        index_key(0): as_document(index),
        **{route: as_document(state) for route, state in states.items()},
        **{tags_key(route): as_document(TagTable(tags=tags, total=len(tags))) for route, tags in routes.items()},
    }
    return SyntheticDestination(mirror=mirror, destination=name, host=host, documents=documents)


def _route_state(
    summary: DestinationState,
    route: str,
    tags: tuple[KnownTag, ...],
    problems: tuple[Problem, ...],
    now: datetime,
) -> RouteState:
    counts: dict[str, Any] = {status: sum(known.status == status for known in tags) for status in STATUSES}
    return RouteState(
        route=route,
        source=f"{summary.source_host}/{source_of(route)}",
        destination=f"{summary.host}/{destination_of(route)}",
        run_id=summary.run_id,
        task_id=f"to_{summary.destination}",
        map_index=3,
        looked_at=now,
        complete_at=now,
        selected=len(tags),
        oldest_lacking=oldest_lacking(tags),
        problems=problems,
        problem_count=len(problems),
        **counts,
    )
