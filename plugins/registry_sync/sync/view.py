"""The view of a route that one run had: its selected tags after the run, and its changes. Values only.

``view_route.py`` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from registry_sync.oci.reference import Digest

TagStatus = Literal["in_sync", "missing", "changed", "failing", "locked", "kept"]
"""The status of a selected tag at the destination.

``missing``: not there yet. ``changed``: the destination has an older image. ``failing``: the last try to copy it
failed. ``locked``: the destination refuses to move it. ``kept``: the destination has another image, or one
that was never compared, and ``on_moved_tag`` says that it stays.
"""

ChangeKind = Literal["arrived", "moved", "backed_up", "repaired", "deleted"]
"""``arrived``: a tag that the destination had not. ``moved``: a tag that had another digest there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason that a tag, or the route as a whole (``tag`` is ``None``), failed."""

    tag: str | None
    error_class: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTag:
    """One selected tag at the end of a run.

    :ivar digest: the digest that it should have at the destination; ``None`` when it could not be read.
    :ivar entered_at: when it became eligible: its push, or the end of ``older_than`` after it.
    :ivar published_at: when this run published it; else the push time that the destination lists.
    :ivar is_published: this run published it. ``replaced`` is the digest that the destination's tag had before.
    :ivar is_deferred: a rate limit ended the work before it was tried.
    """

    tag: str
    status: TagStatus
    digest: Digest | None = None
    pushed_at: datetime | None = None
    entered_at: datetime | None = None
    published_at: datetime | None = None
    is_published: bool = False
    is_deferred: bool = False
    replaced: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """One change at the destination. ``digest`` is that of a deleted tag, too.

    ``accepted``: ``on_moved_tag`` protects the tag, and a person accepted the change.
    """

    tag: str
    kind: ChangeKind
    digest: Digest
    old_digest: Digest | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteView:
    """View that one run had of a route, and its changes to it.

    :ivar read_at: when it began to read, aware UTC.
    :ivar is_complete: all selected tags of the route were compared.
    :ivar has_artifacts: attached artifacts of all images in sync were looked at, too.
    :ivar retried_artifacts: names of attached artifacts that failed in an earlier run, and were looked at again.
    :ivar is_narrowed: the run looked only at tags that its parameters name.
    :ivar since: the earliest push time that it looked at, and ``until`` the latest; ``None`` without such a limit.
    :ivar listed: number of image tags that the source lists; ``None`` when only a part was listed.
    :ivar tags: selected tags, those of the window where there is one.
    :ivar uncompared: selected tags that the destination has, and that stay as they are by ``on_moved_tag``, so that
        their digests were not read.
    :ivar failures: tags that failed or are locked, with attached artifacts.
    """

    read_at: datetime
    window: str
    is_complete: bool
    has_artifacts: bool = False
    retried_artifacts: frozenset[str] = frozenset()
    is_narrowed: bool = False
    since: datetime | None = None
    until: datetime | None = None
    listed: int | None
    tags: tuple[SeenTag, ...]
    uncompared: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()
    changes: tuple[TagChange, ...] = ()
