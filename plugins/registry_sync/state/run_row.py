"""The row that a mapped task hands to the last tasks of its run, through XCom."""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.state.changes import NO_CHANGES, Changes
from registry_sync.state.destination import RouteFigures
from registry_sync.state.times import UtcTime

MAX_FOUND = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTag:
    """A tag that came to the source, and when: its push, or the last look at the route before it."""

    tag: str
    since: UtcTime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """The figures of a route after a run, and what the run changed.

    :ivar route: its name in the state.
    :ivar is_complete: the run compared all selected tags.
    :ivar found: tags that came to the source after an earlier complete look at the route, and that this run published;
        at most :data:`MAX_FOUND`.
    :ivar figures: ``None`` when the state could not be stored: the earlier figures stay.
    """

    route: str
    is_complete: bool = False
    figures: RouteFigures | None = None
    changes: Changes = NO_CHANGES
    found: tuple[FoundTag, ...] = ()
