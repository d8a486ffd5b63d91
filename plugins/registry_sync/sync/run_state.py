"""State that one run leaves for the next, in XCom: watermarks, planned deletions, and the results of the last look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from registry_sync.sync.artifacts.lacking import LackingArtifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """The end of the last data interval to which scheduled runs synced routes completely.

    :ivar until: all tags pushed before this time are synced, aware UTC.
    :ivar routes: keys of the routes for which that holds.
    :ivar unchecked: keys of the routes whose full check broke off, or that lack artifacts which are not in ``lacking``.
    :ivar lacking: attached artifacts that failed, by the keys of their routes.
    :ivar stale_tags: tags that a vendor's listing has wrong, by the keys of their routes.
    """

    until: datetime
    routes: frozenset[str]
    unchecked: frozenset[str] = frozenset()
    lacking: Mapping[str, LackingArtifacts] = field(default_factory=dict)
    stale_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The watermark as JSON-simple values."""
        return {
            "until": self.until.isoformat(),
            "routes": sorted(self.routes),
            "unchecked": sorted(self.unchecked),
            "lacking": {key: artifacts.to_json() for key, artifacts in self.lacking.items()},
            "stale_tags": {key: list(tags) for key, tags in self.stale_tags.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(
            until=datetime.fromisoformat(document["until"]),
            routes=frozenset(document["routes"]),
            unchecked=frozenset(document.get("unchecked", ())),
            lacking={
                key: LackingArtifacts.from_json(artifacts) for key, artifacts in document.get("lacking", {}).items()
            },
            stale_tags={key: tuple(tags) for key, tags in document.get("stale_tags", {}).items()},
        )


def advance_watermark(
    previous: Watermark | None,
    end: datetime,
    finished: Collection[str],
    unchecked: Collection[str] = (),
    lacking: Mapping[str, LackingArtifacts] | None = None,
    stale_tags: Mapping[str, tuple[str, ...]] | None = None,
) -> Watermark:
    """Move the watermark to the end of a run's data interval. A run of the past does not move it back.

    :param finished: keys of the routes whose tags are all copied, or whose source repository was not modified.
    :param unchecked: keys of the routes that need a full check by this run. One that an earlier run left stays until
        the route has finished, also while the route is disabled.
    :param lacking: failed artifacts by the keys of the run's routes. Those of any other route, such as a disabled one,
        are found again by a full check.
    :param stale_tags: tags that listings have wrong, by the keys of the run's routes.
    """
    if previous is not None and previous.until > end:
        return previous
    lacking = lacking or {}
    before = previous.unchecked | (previous.lacking.keys() - lacking.keys()) if previous else frozenset[str]()
    return Watermark(
        until=end,
        routes=frozenset(finished),
        unchecked=before.difference(finished).union(unchecked),
        lacking={key: artifacts for key, artifacts in lacking.items() if artifacts.artifacts},
        stale_tags={key: tags for key, tags in (stale_tags or {}).items() if tags},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDeletions:
    """Deletions that a run of a route planned for the next one.

    :ivar marks: :func:`~registry_sync.sync.pruning.plan_deletions.deletion_mark` of each deletion.
    :ivar listed: number of tags that the source listed.
    """

    marks: tuple[str, ...]
    listed: int

    def to_json(self) -> dict[str, Any]:
        """The deletions as JSON-simple values."""
        return {"marks": list(self.marks), "listed": self.listed}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(marks=tuple(document["marks"]), listed=document["listed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """The repositories that earlier runs found in namespaces, and those that they compared completely.

    :ivar repositories: number of tags that the last complete look selected in each; ``None`` before the first one. The
        keys are whole, such as ``quay.io/team/app``: a mirror may get another source.
    """

    repositories: Mapping[str, int | None]

    def names_at(self, host: str) -> frozenset[str]:
        """The names of the repositories of one registry, without the registry."""
        start = f"{host}/"
        return frozenset(name.removeprefix(start) for name in self.repositories if name.startswith(start))

    def after(self, found: Iterable[str], selected: Mapping[str, int]) -> Self:
        """The state after a run.

        :param found: all repositories that the run found in namespaces, or that must not be forgotten.
        :param selected: number of selected tags in the repositories that the run looked at completely.
        """
        names = sorted({*found, *selected})
        return type(self)(repositories={name: selected.get(name, self.repositories.get(name)) for name in names})

    def to_json(self) -> dict[str, Any]:
        """The state as JSON-simple values."""
        return dict(self.repositories)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        return cls(repositories=dict(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedDeletions:
    """Planned deletions of one route; ``at`` is the end of the data interval of the run that planned them."""

    planned: PlannedDeletions
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionPlans:
    """Planned deletions of all routes to one destination, by the keys of the routes."""

    routes: Mapping[str, DatedDeletions]

    def before(self, route: str, end: datetime) -> PlannedDeletions | None:
        """Deletions planned by runs before the one whose data interval ends at ``end``."""
        dated = self.routes.get(route)
        return dated.planned if dated and dated.at < end else None

    def after(self, planned: Mapping[str, PlannedDeletions], routes: Iterable[str], end: datetime) -> Self:
        """Add the deletions that a run planned. Those of other routes, and of later runs, stay as they are.

        :param planned: deletions by the keys of the routes that the run pruned.
        :param routes: keys of all routes that still exist.
        :param end: end of the run's data interval.
        """
        existing = set(routes)
        kept = {key: dated for key, dated in self.routes.items() if key in existing}
        later = {key for key, dated in kept.items() if dated.at > end}
        new = {key: DatedDeletions(planned=deletions, at=end) for key, deletions in planned.items() if key not in later}
        return type(self)(routes={**kept, **new})

    def to_json(self) -> dict[str, Any]:
        """The planned deletions as JSON-simple values."""
        return {key: {**dated.planned.to_json(), "at": dated.at.isoformat()} for key, dated in self.routes.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        routes = {
            key: DatedDeletions(planned=PlannedDeletions.from_json(plan), at=datetime.fromisoformat(plan["at"]))
            for key, plan in document.items()
        }
        return cls(routes=routes)
