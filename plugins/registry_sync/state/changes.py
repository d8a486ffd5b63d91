"""Changes of a run at a destination: the ``extra`` of its asset event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from registry_sync.state.times import UtcTime
from registry_sync.sync.view import ChangeKind, RouteView

MAX_CHANGES = 200
"""Maximum number of changes in one event. ``total`` counts all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. ``repository`` is the whole name at the destination, such as ``example.azurecr.io/team/app``.

    ``accepted``: a tag that ``on_moved_tag`` protects was moved, because a person accepted that.
    """

    repository: str
    tag: str
    kind: ChangeKind
    digest: str
    old_digest: str | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The first :data:`MAX_CHANGES` of some changes, and their total."""

    total: int = 0
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, changes: Iterable[Change]) -> Self:
        """The first of ``changes``, as many as fit."""
        found = tuple(changes)
        return cls(total=len(found), changes=found[:MAX_CHANGES])

    def plus(self, others: Self) -> Self:
        """These changes and others after them."""
        changes = (*self.changes, *others.changes)[:MAX_CHANGES]
        return type(self)(total=self.total + others.total, changes=changes)


NO_CHANGES = Changes()


def changes_of_view(repository: str, view: RouteView) -> Changes:
    """The changes that a run made at a destination repository, by its whole name."""
    return Changes.of(
        Change(
            repository=repository,
            tag=change.tag,
            kind=change.kind,
            digest=str(change.digest),
            old_digest=str(change.old_digest) if change.old_digest else None,
            accepted=change.accepted,
        )
        for change in view.changes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """The changes of one run at one destination, at most :data:`MAX_CHANGES`."""

    mirror: str
    destination: str
    host: str
    run_id: str
    at: UtcTime
    total: int
    changes: tuple[Change, ...]
