"""The observation of a route: both registries as one run saw them. A value; ``observe.py`` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from registry_sync.oci.artifact_tags import ArtifactTag
from registry_sync.sync.plan import TagState
from registry_sync.sync.pruning.plan_deletions import BothSides, NotPrunable
from registry_sync.sync.reading.platform_indexes import FilteredTags
from registry_sync.sync.scope import RouteScope
from registry_sync.tags.select import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Source and destination of a route, as one run saw them.

    :ivar scope: the tags and window that the run covers.
    :ivar selection: the source's tags by the rules of the route, narrowed to the scope.
    :ivar source: selected tags with the digests that they should have at the destination.
    :ivar destination: digests of these tags at the destination.
    :ivar locked: tags that the destination lists as locked.
    :ivar kept: selected tags that the destination has, and that were not compared, because ``on_moved_tag`` keeps them.
        They are in neither ``source`` nor ``destination``.
    :ivar artifacts: tags of signatures and other attached artifacts that the source lists; ``None`` when only the tags
        in ``names`` were read, without a listing.
    :ivar is_complete: the source's listing was read to its end, so that no tag and no artifact tag is missing here.
    :ivar listed: number of image tags that the source listed, perhaps only those of the window.
    :ivar pushed_at: push times of the selected tags at the source, where it lists them.
    :ivar published_at: push times of these tags at the destination, where it was listed and has them.
    :ivar outside_window: number of listed tags that were not pushed in the window.
    :ivar in_sync: selected tags that have the right digest at the destination.
    :ivar stale_tags: tags that a vendor's listing has wrong, of those that were compared with the tags themselves.
    :ivar deletions: both sides as pruning needs them; ``None`` when this run does not prune.
    :ivar observed_at: ``time.monotonic()`` before the destination was read.
    :ivar read_at: the time from which the ages of tags are counted, aware UTC.
    """

    scope: RouteScope
    selection: Selection
    source: FilteredTags
    destination: Mapping[str, TagState]
    locked: frozenset[str]
    kept: frozenset[str]
    in_sync: frozenset[str]
    stale_tags: frozenset[str]
    artifacts: tuple[ArtifactTag, ...] | None
    is_complete: bool
    listed: int
    pushed_at: Mapping[str, datetime]
    published_at: Mapping[str, datetime]
    outside_window: int
    deletions: BothSides | NotPrunable | None
    observed_at: float
    read_at: datetime
