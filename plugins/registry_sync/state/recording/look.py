"""A run's look at a route, the record that it is merged into, and the time up to which pushes were looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry_sync.state.route import RouteState, TagTable
from registry_sync.sync.view import RouteView


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A run's look at a route: its names, and the task. The fields are those of ``RouteState``."""

    route: str
    source: str
    destination: str
    run_id: str
    task_id: str
    map_index: int
    looked_at: datetime
    fresh_within: float | None = None


NO_TAGS = TagTable(tags=(), total=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord:
    """The state of a route and its tags."""

    state: RouteState
    tags: TagTable = NO_TAGS


def looked_until(look: Look, view: RouteView, earlier: RouteRecord | None) -> datetime:
    """The time up to which pushes were looked at. A look at a part, or at the past, does not move it."""
    reached = whole_seconds(min(look.looked_at, view.until or look.looked_at))
    if earlier is None:
        return whole_seconds(look.looked_at)
    return max(earlier.state.looked_at, reached) if closes_gap(view, earlier) else earlier.state.looked_at


def closes_gap(view: RouteView, earlier: RouteRecord | None) -> bool:
    """Return whether the run looked at all pushes since the last look, up to a later time.

    False for a run of some tags, for a window that begins after the last look, and for one that ends before it.
    """
    if view.is_narrowed or earlier is None:
        return not view.is_narrowed and view.since is None
    last = earlier.state.looked_at
    return (view.since is None or view.since <= last) and (view.until is None or view.until > last)


def whole_seconds(time: datetime) -> datetime:
    """The time in whole seconds, as tags are stored."""
    return time.replace(microsecond=0)
