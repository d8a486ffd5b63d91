"""The manifests of one route: read at either side, and published by digest."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from registry_sync.errors import DamagedContent, DeniedError, LoginRejected, NotFound, RefusedError
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import PlatformIndex, filter_index
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.registry.content.damaged_blobs import removal_advice
from registry_sync.sync.content.held_content import HeldContent
from registry_sync.sync.reading.tag_states import head_if_visible
from registry_sync.sync.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteManifests:
    """Manifests of the source and the destination of a session.

    :ivar held: checks content that the destination reports as present.
    :ivar indexes: platform indexes, which the source does not have, by their digests.
    :ivar expected: digests that the destination probably has, and is asked for first; ``None`` for every digest.
    """

    session: Session
    held: HeldContent
    indexes: Mapping[Digest, PlatformIndex]
    expected: Collection[Digest] | None = None

    def without_indexes(self) -> RouteManifests:
        """The same for attached artifacts, none of which is a platform index."""
        return replace(self, indexes={})

    def read(self, digest: Digest) -> tuple[Manifest, bool]:
        """A manifest, and whether the destination has it. It is read there first, where no pull counts.

        A destination that refuses to show it, as some do for what they do not have or let nobody pull, is not needed.
        """
        if self.expected is not None and digest not in self.expected:
            return self.read_source(digest), False
        try:
            return self.session.destination.get_manifest(self.session.route.destination_repository, digest), True
        except LoginRejected:
            raise
        except (NotFound, DeniedError, RefusedError) as error:
            if not isinstance(error, NotFound):
                log.debug("%s is read at the source: %s", digest.short, error)
            return self.read_source(digest), False

    def read_source(self, digest: Digest) -> Manifest:
        """A manifest of the source, or a platform index that is made of it. :raises NotFound: when it lacks that."""
        source, route = self.session.source, self.session.route
        index = self.indexes.get(digest)
        if index is None:
            return source.get_manifest(route.source_repository, digest)
        if index.manifest is not None:
            return index.manifest
        made = filter_index(
            source.get_manifest(route.source_repository, index.source), route.settings.platforms
        ).manifest
        if made.digest != digest:
            raise RefusedError(
                f"the platform index of {index.source.short} is {made.digest.short}, but the platform cache has "
                f"{digest.short}; delete the tag {platform_cache_tag(route.mirror)!r} at the destination to rebuild "
                "the cache"
            )
        return made

    def is_held(self, digest: Digest) -> bool:
        """Return whether the destination has a digest. Another task may have transferred it meanwhile."""
        return head_if_visible(self.session.destination, self.session.route.destination_repository, digest) == digest

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether the destination has all content of a manifest that it reports as present.

        Content of which it does not tell counts as missing: skopeo decides what to send.

        :raises DamagedContent: when a part is damaged. skopeo would find it there and send nothing.
        """
        gaps = self.held.find_gaps(manifest)
        repository = self.session.route.destination_repository
        if damaged := next((gap for gap in gaps if gap.kind == "damaged"), None):
            raise DamagedContent(
                f"{repository} has {manifest.digest.short}, but {damaged.digest} in it is damaged there: "
                f"{damaged.reason}; {removal_advice(self.session.route.destination.api_kind, damaged.digest)}"
            )
        if gaps:
            text = "%s reports %s as present, but %s of it is %s; sending it again (%s)"
            log.warning(text, repository, manifest.digest.short, gaps[0].digest.short, gaps[0].kind, gaps[0].reason)
        return not gaps

    def put_by_digest(self, manifest: Manifest) -> None:
        """PUT the bytes of a manifest whose content the destination holds."""
        self.session.destination.put_manifest(self.session.route.destination_repository, manifest.digest, manifest)
