"""The plan of a route: one decision and its reason for each tag. Values only; ``plan_route.py`` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from registry_sync.errors import DeniedError, RefusedError
from registry_sync.oci.reference import Digest
from registry_sync.sync.run_state import PlannedDeletions


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A listed tag whose digest could not be read: the class and text of the error."""

    error_class: str
    text: str

    @property
    def is_refusal(self) -> bool:
        """The registry denies or refuses to show this tag. At a destination it may not exist yet."""
        return self.error_class in _REFUSALS


_REFUSALS = frozenset({DeniedError.error_class, RefusedError.error_class})


TagState = Digest | Unreadable | None
"""The digest of a tag at one registry; ``None`` when the tag does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A tag that keeps the image which is about to be overwritten, and the digest of that image."""

    tag: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTag:
    """Copy the manifest ``digest`` with its content, make the ``backup`` if there is one, then publish ``tag``.

    :ivar replaces: digest that the destination's tag had when it was planned.
    :ivar source_digest: digest of the source's tag, where ``digest`` is a platform index made from it.
    :ivar accepted: ``on_moved_tag`` protects the tag, and a person accepted this digest for this run.
    """

    tag: str
    digest: Digest
    reason: str
    replaces: Digest | None = None
    backup: Backup | None = None
    source_digest: Digest | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The tag has the same digest at source and destination."""

    tag: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """The destination has the tag, and ``on_moved_tag`` keeps it there, so that its digest was not read."""

    tag: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The tag is not mirrored, by a rule or because it has no content.

    :ivar kept: digest of the destination's tag, which ``on_moved_tag`` keeps; ``None`` for any other reason.
    :ivar moved_to: the digest that the source has instead.
    """

    tag: str
    reason: str
    kept: Digest | None = None
    moved_to: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The tag cannot be mirrored, or its policy forbids it.

    :ivar moved_to: the digest that the source has, of a tag that must not be overwritten.
    """

    tag: str
    reason: str
    error_class: str
    moved_to: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The tag has another digest at the destination, which lists it as locked."""

    tag: str
    digest: Digest
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTag:
    """Delete the destination's tag, which has ``digest``: in this run if ``is_due``, otherwise in a later one."""

    tag: str
    digest: Digest
    reason: str
    is_due: bool = False


Decision = CopyTag | Unchanged | NotCompared | Skipped | Failed | Locked | DeleteTag


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions of one route, in the order of their tags.

    :ivar notes: remarks for people.
    :ivar planned_deletions: deletions that the next scheduled run may do; ``None`` when this run looked for none.
    """

    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    planned_deletions: PlannedDeletions | None = None

    @property
    def copies(self) -> tuple[CopyTag, ...]:
        return tuple(decision for decision in self.decisions if isinstance(decision, CopyTag))

    @property
    def deletions(self) -> tuple[DeleteTag, ...]:
        return tuple(decision for decision in self.decisions if isinstance(decision, DeleteTag))

    def without(self, tags: Iterable[str]) -> Plan:
        """The plan without the decisions about ``tags``."""
        excluded = set(tags)
        return replace(self, decisions=tuple(decision for decision in self.decisions if decision.tag not in excluded))


def group_by_digest(copies: Iterable[CopyTag]) -> Mapping[Digest, tuple[CopyTag, ...]]:
    """Copies by their digest. All tags of one digest cost one transfer."""
    groups: dict[Digest, list[CopyTag]] = {}
    for copy in copies:
        groups.setdefault(copy.digest, []).append(copy)
    return {digest: tuple(group) for digest, group in groups.items()}
