"""The scope of a run: the tags of a route that it works on. It crosses XCom together with the route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from registry_sync.oci.artifact_tags import subject_of
from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifacts
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.verification.deep_check import DeepCheck
from registry_sync.sync.window import ALL_TAGS, PUSHED, Window
from registry_sync.tags.rules import TagRule, only_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteScope:
    """The part of a route that one run works on.

    :ivar tags: patterns from the run's parameters, or the tags that were pushed. They narrow the selection of the
        route's own rules. The tag of a signature stands for the image that it belongs to.
    :ivar window: push times of the tags to work on.
    :ivar due_deletions: deletions planned by earlier scheduled runs; ``None`` deletes nothing.
    :ivar dry_run: report what would be copied or deleted, and change nothing.
    :ivar deep_check: verify content at the destination after the copies; ``None`` does not.
    :ivar compares_names: tags that ``on_moved_tag`` keeps need no comparison of digests:
        :func:`~registry_sync.sync.window.compares_names`.
    :ivar accepted: digests that moved tags may get in this run, whatever ``on_moved_tag`` says.
    :ivar lacking: attached artifacts that failed in an earlier run, and that this one tries again.
    :ivar stale_tags: tags that a vendor's listing had wrong in the last run, so that they are read by themselves, too.
    :ivar last_selected: number of tags that the last complete look at this route selected; ``None``: unknown.
    """

    tags: TagRule = TagRule()
    window: Window = ALL_TAGS
    due_deletions: PlannedDeletions | None = None
    dry_run: bool = False
    deep_check: DeepCheck | None = None
    compares_names: bool = False
    accepted: Mapping[str, Digest] = field(default_factory=dict)
    last_selected: int | None = None
    lacking: LackingArtifacts = NONE_LACKING
    stale_tags: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        return self.window.is_everything and not self.tags.applies

    @property
    def subjects(self) -> frozenset[Digest]:
        """The images whose signatures or other artifacts ``tags`` name."""
        named = (subject_of(pattern.text) for pattern in self.tags.include or ())
        return frozenset(subject for subject in named if subject)

    @property
    def looks_for_artifacts(self) -> bool:
        """True if images in sync may have new artifacts: in a full check, and where an event names their tags.

        A signature is often pushed some time after its image, by digest, of which registries send no event that names
        a tag. A CI can then report the tag of the image once more.
        """
        return self.window.is_full_check or (self.window == PUSHED and self.tags.applies)

    def to_json(self) -> dict[str, Any]:
        """The scope as JSON-simple values."""
        return {
            "tags": [str(pattern) for pattern in self.tags.include or ()],
            "window": self.window.to_json(),
            "due_deletions": self.due_deletions.to_json() if self.due_deletions else None,
            "dry_run": self.dry_run,
            "deep_check": self.deep_check.to_json() if self.deep_check else None,
            "compares_names": self.compares_names,
            "accepted": {tag: str(digest) for tag, digest in self.accepted.items()},
            "last_selected": self.last_selected,
            "lacking": self.lacking.to_json() if self.lacking else None,
            "stale_tags": sorted(self.stale_tags),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`. :raises ConfigurationError: when a tag pattern is not valid."""
        due, deep_check, lacking = document["due_deletions"], document["deep_check"], document["lacking"]
        return cls(
            tags=only_tags(document["tags"]),
            window=Window.from_json(document["window"]),
            due_deletions=PlannedDeletions.from_json(due) if due else None,
            dry_run=document["dry_run"],
            deep_check=DeepCheck.from_json(deep_check) if deep_check else None,
            compares_names=document["compares_names"],
            accepted={tag: Digest.parse(digest) for tag, digest in document["accepted"].items()},
            last_selected=document["last_selected"],
            lacking=LackingArtifacts.from_json(lacking) if lacking else NONE_LACKING,
            stale_tags=frozenset(document["stale_tags"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTask:
    """The work of one mapped task: a route, the scope of the run, and the name of the route in the state."""

    route: Route
    scope: RouteScope
    name: str

    def to_json(self) -> dict[str, Any]:
        """The task as JSON-simple values, for XCom."""
        return {"route": self.route.to_json(), "scope": self.scope.to_json(), "route_name": self.name}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the result of :meth:`to_json`."""
        route, scope = Route.from_json(document["route"]), RouteScope.from_json(document["scope"])
        return cls(route=route, scope=scope, name=document["route_name"])
