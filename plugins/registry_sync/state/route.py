"""The state of one route by the last looks at both registries. Values for showing, never for deciding.

All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

from registry_sync.state.times import Seconds, UtcTime
from registry_sync.sync.view import TagStatus

STATUSES: tuple[TagStatus, ...] = get_args(TagStatus)

LACKING: frozenset[TagStatus] = frozenset({"missing", "changed", "failing", "locked"})
"""Statuses of a tag that the destination should have, and has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """One selected tag of a route.

    :ivar digest: the digest that it should have at the destination; ``None`` when it could not be read.
    :ivar pushed_at: push time by the source registry; ``None`` where it tells none.
    :ivar first_seen: when a run first saw this digest under this tag at the source.
    :ivar selected_at: when the rules began to select it, where that was after its push; :func:`due_since` uses it.
    :ivar published_at: when the destination got it; ``None`` when it has it not, or had it before the first look.
    :ivar failing_since: when it failed first without a success since, and ``tries`` the number of runs since then.
    """

    tag: str
    status: TagStatus
    digest: str | None = None
    pushed_at: UtcTime | None = None
    first_seen: UtcTime
    selected_at: UtcTime | None = None
    published_at: UtcTime | None = None
    failing_since: UtcTime | None = None
    tries: int = 0


def due_since(tag: KnownTag) -> UtcTime:
    """The time from which the destination should have a tag: its push, or a later time at which it was selected.

    Where the source lists no push times, the first sight of it.
    """
    return tag.selected_at or tag.pushed_at or tag.first_seen


def lag(tag: KnownTag) -> timedelta | None:
    """The time that a tag took to the destination; ``None`` when it is not there, or was before the first look."""
    if tag.published_at is None:
        return None
    return max(tag.published_at - due_since(tag), timedelta())


def oldest_lacking(tags: Sequence[KnownTag]) -> UtcTime | None:
    """The time since which the destination is behind; ``None`` when it lacks none of the tags."""
    return min((due_since(tag) for tag in tags if tag.status in LACKING), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A lasting failure.

    :ivar tag: ``None`` when the route as a whole fails.
    :ivar error_class: of :mod:`registry_sync.errors`.
    :ivar since: when it failed first without a success since.
    :ivar tries: number of runs that it failed in since then.
    :ivar run_id: the last of these runs.
    """

    tag: str | None = None
    error_class: str
    reason: str
    since: UtcTime
    tries: int = 1
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A tag that a run published. ``replaced``: the digest that the destination's tag had before."""

    tag: str
    digest: str
    replaced: str | None = None
    pushed_at: UtcTime | None = None
    published_at: UtcTime


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """The summary of a route, overwritten by each of its runs.

    :ivar route: its name in the state, :func:`~registry_sync.state.names.route_name`.
    :ivar source: whole name of the repository, such as ``quay.io/team/app``; ``destination`` likewise.
    :ivar run_id: the run of the last look, and its task: ``task_id``, ``map_index``.
    :ivar looked_at: the time up to which runs looked at all pushes to the source. A run that fails, or that looks at
        some tags or at a window in the past only, does not move it.
    :ivar complete_at: when a run last compared all of its selected tags; ``None`` before the first time.
    :ivar window: description of the push times that the last run looked at.
    :ivar listed: number of tags that the source lists; ``selected``: of those that the rules select.
    :ivar oldest_lacking: the time since which the destination is behind, :func:`due_since` of its oldest lacking tag.
    :ivar lag_seconds: of the last arrival, by :func:`lag`.
    :ivar arrivals: the last ten, newest first.
    :ivar problems: at most 20, the oldest first; ``problem_count`` is the number of all.
    :ivar fresh_within: the promise in seconds; ``None`` without one.
    :ivar view: the fingerprint of the last look, if it found all tags in sync; else empty.
    """

    route: str
    source: str
    destination: str
    run_id: str
    task_id: str
    map_index: int
    looked_at: UtcTime
    complete_at: UtcTime | None = None
    window: str = ""
    listed: int = 0
    selected: int = 0
    in_sync: int = 0
    missing: int = 0
    changed: int = 0
    failing: int = 0
    locked: int = 0
    kept: int = 0
    oldest_lacking: UtcTime | None = None
    lag_seconds: Seconds | None = None
    arrivals: tuple[Arrival, ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    fresh_within: Seconds | None = None
    view: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagTable:
    """The selected tags of a route, as far as they fit into one value: lacking ones first, then the newest.

    :ivar total: number of all, where some did not fit.
    """

    tags: tuple[KnownTag, ...]
    total: int
