"""The state of one route: what the last looks at both registries saw. Values for showing, never for deciding.

All times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

TagStatus = Literal["in_sync", "missing", "changed", "failing", "locked", "kept"]
"""The status of a selected tag at the destination.

``missing``: not there yet. ``changed``: the destination has an older image. ``failing``: the last try to copy it
failed. ``locked``: the destination refuses to move it. ``kept``: the destination has another image, and
``on_moved_tag`` says that it stays.
"""

LACKING: frozenset[TagStatus] = frozenset({"missing", "changed", "failing", "locked"})
"""Statuses of a tag that the destination should have, and has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """One selected tag of a route.

    :ivar digest: the digest that it should have at the destination; ``None`` when it could not be read.
    :ivar pushed_at: push time by the source registry; ``None`` where it tells none.
    :ivar first_seen: when a run first saw this digest under this tag at the source.
    :ivar published_at: when the destination got it; ``None`` when it has it not, or had it before the first look.
    """

    tag: str
    status: TagStatus
    digest: str | None = None
    pushed_at: datetime | None = None
    first_seen: datetime
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that fails since some time.

    :ivar tag: ``None`` when the route as a whole fails.
    :ivar error_class: of :mod:`registry_sync.errors`.
    :ivar since: when it failed first without a success since.
    :ivar tries: number of runs that it failed in since then.
    """

    tag: str | None = None
    error_class: str
    reason: str
    since: datetime
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A tag that a run published. ``replaced``: the digest that the destination's tag had before."""

    tag: str
    digest: str
    replaced: str | None = None
    pushed_at: datetime | None = None
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """The summary of a route, overwritten by each of its runs.

    :ivar route: its name in the state, :func:`~registry_sync.state.names.route_name`.
    :ivar source: whole name of the repository, such as ``quay.io/team/app``; ``destination`` likewise.
    :ivar run_id: the run of the last look, and its task: ``task_id``, ``map_index``.
    :ivar looked_at: when the last run looked at it, successful or not.
    :ivar complete_at: when a run last compared all of its selected tags; ``None`` before the first time.
    :ivar window: description of the push times that the last run looked at.
    :ivar listed: number of tags that the source lists; ``selected``: of those that the rules select.
    :ivar oldest_lacking: push time, or first sight, of the oldest selected tag that the destination lacks.
    :ivar lag_seconds: of the last arrival: from push (or first sight) to its publication.
    :ivar arrivals: the last ten, newest first.
    :ivar problems: at most 20, the oldest first; ``problem_count`` is the number of all.
    :ivar fresh_within: the promise in seconds; ``None`` without one.
    :ivar owner: of the mirror, if it names one.
    """

    route: str
    source: str
    destination: str
    run_id: str
    task_id: str
    map_index: int
    looked_at: datetime
    complete_at: datetime | None = None
    window: str = ""
    listed: int = 0
    selected: int = 0
    in_sync: int = 0
    missing: int = 0
    changed: int = 0
    failing: int = 0
    locked: int = 0
    kept: int = 0
    oldest_lacking: datetime | None = None
    lag_seconds: float | None = None
    arrivals: tuple[Arrival, ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    fresh_within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagTable:
    """The selected tags of a route, as far as they fit into one value: lacking ones first, then the newest.

    :ivar total: number of all, where some did not fit.
    """

    tags: tuple[KnownTag, ...]
    total: int
