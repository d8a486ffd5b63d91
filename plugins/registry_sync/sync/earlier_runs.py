"""State that earlier runs left for the routes to one destination, and the part of it that each route gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from registry_sync.routes.route import Route, route_key
from registry_sync.sync.artifacts.lacking import NONE_LACKING
from registry_sync.sync.run_state import LastLook, PlannedDeletions, Watermark
from registry_sync.sync.scope import RouteScope


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRuns:
    """State that earlier runs left for the routes to one destination.

    :ivar watermark: ``None`` before the first scheduled run, and in runs that are not scheduled.
    :ivar due_deletions: by the keys of the routes; empty in runs that are not scheduled.
    """

    last_look: LastLook
    watermark: Watermark | None
    due_deletions: Mapping[str, PlannedDeletions]

    def add_to(self, scope: RouteScope, route: Route) -> RouteScope:
        """The scope of a route with its part of the state."""
        key, mark = route_key(route), self.watermark
        return replace(
            scope,
            due_deletions=self.due_deletions.get(key),
            stale_tags=frozenset(mark.stale_tags.get(key, ()) if mark else ()),
            lacking=mark.lacking.get(key, NONE_LACKING) if mark else NONE_LACKING,
            last_selected=self.last_look.repositories.get(str(route.source_repository)),
        )
