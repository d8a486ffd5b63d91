"""Transfer content to a destination by digest, without a tag, unless the destination has it already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from registry_sync.errors import (
    DamagedContent,
    DeniedError,
    LockedTag,
    LoginRejected,
    ManifestNotStored,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    RefusedError,
    RegistrySyncError,
)
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import PlatformIndex, filter_index
from registry_sync.oci.reference import Digest, Reference
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.oci.shapes import blobs_of, is_blob, skopeo_obstacle
from registry_sync.registry.damaged_blobs import removal_advice
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.sync.content.direct_copy import DirectCopy
from registry_sync.sync.content.foreign_layers import explain_not_stored, has_foreign_layers
from registry_sync.sync.content.held_content import HeldContent
from registry_sync.sync.content.pauses import send_between_pauses
from registry_sync.sync.reading.tag_states import head_if_visible
from registry_sync.sync.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Content that the destination has by digest, and that has no tag yet.

    :ivar was_held: the destination reported it as present, perhaps wrongly.
    :ivar refusal: error of a registry that accepted the content of a single image, but not its manifest by digest.
        Never set with a policy.
    """

    manifest: Manifest
    was_held: bool
    sent_bytes: int = 0
    refusal: RefusedError | None = None

    def explain(self, error: RegistrySyncError) -> RegistrySyncError:
        """The error to report when a tag could not be published: an earlier refusal explains its consequences.

        An outage or a lock is not a consequence of a refusal.
        """
        is_consequence = isinstance(error, MissingContent) or (error.is_permanent and not isinstance(error, LockedTag))
        return self.refusal if self.refusal and is_consequence else error


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Transfers manifests with all their content to the destination of a session.

    :ivar held: checks content that the destination reports as present.
    :ivar direct: copies blobs of shapes that skopeo cannot copy.
    :ivar indexes: platform indexes, which the source does not have, by their digests.
    :ivar enforces_policy: content passes skopeo's policy, if the route has one. Content that the destination holds
        already is then sent through skopeo as well, which checks it and uploads nothing: its origin is unknown.
    """

    session: Session
    held: HeldContent
    direct: DirectCopy
    indexes: Mapping[Digest, PlatformIndex]
    enforces_policy: bool

    def without_policy(self) -> Transfer:
        """A transfer for signatures, which are not signed themselves."""
        return replace(self, indexes={}, enforces_policy=False)

    def read(self, digest: Digest) -> tuple[Manifest, bool]:
        """A manifest, and whether the destination has it. It is read there first, where no pull counts.

        A destination that refuses to show it, as some do for what they do not have or let nobody pull, is not needed.
        """
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

    def lock(self, manifest: Manifest) -> AbstractContextManager[None]:
        """Acquire the write locks of a manifest and its children."""
        return self.session.locks.acquire({str(manifest.digest), *(str(child.digest) for child in manifest.children)})

    def is_held(self, digest: Digest) -> bool:
        """Return whether the destination has a digest. Another task may have transferred it meanwhile."""
        return head_if_visible(self.session.destination, self.session.route.destination_repository, digest) == digest

    def transfer(self, manifest: Manifest, *, is_held: bool) -> Transferred:
        """Transfer a manifest with its content, unless it is held with all of its content.

        :raises NotTrusted: when the policy does not accept it, or one of its children.
        :raises DamagedContent: when the destination holds other bytes under one of its digests.
        """
        if is_held and not self.enforces_policy and self.is_whole(manifest):
            return Transferred(manifest=manifest, was_held=True)
        return self.send(manifest)

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

    def send(self, manifest: Manifest) -> Transferred:
        """Send a manifest with its content, whether or not the destination has it.

        With a policy, every failure of skopeo is raised: its message does not prove that the policy was applied.
        """
        index = self.indexes.get(manifest.digest)
        if index is not None and index.source != manifest.digest:
            return self._send_parts(manifest if manifest.is_index else self.read_source(manifest.digest))
        if obstacle := skopeo_obstacle(manifest):
            return self._send_without_skopeo(manifest, obstacle)
        try:
            return Transferred(manifest=manifest, was_held=False, sent_bytes=self.copy(manifest))
        except NotCopyableWhole as error:
            return self._send_without_skopeo(manifest, str(error))
        except (MissingContent, ManifestNotStored) as error:
            raise self._explain_not_stored(manifest, error) from error
        except RefusedError as error:
            if manifest.is_index or self.enforces_policy or self.held.find_gaps(manifest):
                raise  # skopeo may have met the refusal before it had sent everything
            return Transferred(manifest=manifest, was_held=False, refusal=error)

    def _send_without_skopeo(self, manifest: Manifest, obstacle: str) -> Transferred:
        """Send the parts of a manifest that skopeo cannot copy whole: an index child by child, an image by us.

        :raises RefusedError: for an image with a policy.
        """
        log.info("%s: copying its parts (%s)", manifest.digest.short, obstacle)
        if manifest.is_index:
            return self._send_parts(manifest)
        sent_bytes = self.copy_blobs(manifest, obstacle)
        try:
            self.put_by_digest(manifest)
        except RefusedError as error:
            if manifest.digest.algorithm != "sha256":
                raise RefusedError(f"the destination stores no manifest under a digest by sha512 ({error})") from error
            return Transferred(manifest=manifest, was_held=False, sent_bytes=sent_bytes, refusal=error)
        return Transferred(manifest=manifest, was_held=False, sent_bytes=sent_bytes)

    def copy_blobs(self, manifest: Manifest, obstacle: str) -> int:
        """Copy the blobs that a manifest names, without skopeo. Returns the bytes sent.

        :raises RefusedError: with a policy.
        """
        if self.enforces_policy:
            raise RefusedError(
                f"skopeo cannot copy {manifest.digest.short}: {obstacle}; the policy allows nothing that skopeo has "
                "not checked"
            )
        return send_between_pauses(self.session, lambda: self.direct.copy_blobs(blobs_of(manifest)))

    def _explain_not_stored(self, manifest: Manifest, error: RegistrySyncError) -> RegistrySyncError:
        """The error for a manifest that the destination did not store. Foreign layers may be the reason."""
        manifests = walk_manifests(manifest, lambda digest: self.read(digest)[0])
        image = next(filter(has_foreign_layers, manifests), None)
        if image is None:
            return error
        return explain_not_stored(image, error, None if self.enforces_policy else self.put_by_digest)

    def put_by_digest(self, manifest: Manifest) -> None:
        """PUT the bytes of a manifest whose content the destination holds."""
        self.session.destination.put_manifest(self.session.route.destination_repository, manifest.digest, manifest)

    def copy(self, manifest: Manifest) -> int:
        """Copy by skopeo. Returns the bytes sent."""
        route = self.session.route
        image = ImageCopy(
            source=Reference(route.source_repository, manifest.digest),
            destination=Reference(route.destination_repository, manifest.digest),
            is_index=manifest.is_index,
            format=manifest.format,
            enforces_policy=self.enforces_policy,
        )
        return send_between_pauses(self.session, lambda: self.session.skopeo.copy(image)).sent_bytes

    def _send_parts(self, index: Manifest) -> Transferred:
        """Send an index in parts: children first, then the index's own bytes. Works for every shape of index.

        Manifests count by their content. The type that an index declares for a child may be wrong.

        :raises RefusedError: when the index is nested too deeply.
        """
        parts = _Parts(self, index.digest)
        manifests = walk_manifests(index, parts.read, enters=lambda child: not is_blob(child))
        sent_bytes = sum(map(parts.send, manifests))
        return Transferred(manifest=index, was_held=False, sent_bytes=sent_bytes)


class _Parts:
    """The parts of one index on their way to the destination."""

    def __init__(self, transfer: Transfer, root: Digest) -> None:
        self._transfer = transfer
        self._root = root
        self._images: dict[Digest, Manifest] = {}
        self._indexes = set[Digest]()

    def read(self, digest: Digest) -> Manifest | None:
        """Read a part; ``None`` when the destination holds it whole and no policy has to be enforced."""
        manifest, is_held = self._transfer.read(digest)
        if is_held and not self._transfer.enforces_policy and self._transfer.is_whole(manifest):
            return None
        if not manifest.is_index:
            self._images[digest] = manifest
        return manifest

    def send(self, part: Manifest) -> int:
        """Send an index with the images that it lists. Images wait for their index. Returns the bytes sent."""
        if not part.is_index:
            return 0
        self._indexes.add(part.digest)
        images = [self._images.pop(child.digest) for child in part.children if child.digest in self._images]
        is_flat = self._indexes.isdisjoint(child.digest for child in part.children)
        obstacle = skopeo_obstacle(part)
        if is_flat and part.digest != self._root and not obstacle:
            with suppress(NotCopyableWhole):
                return self._transfer.copy(part)
        sent_bytes = sum(map(self._send_image, images))
        if blobs_of(part):
            sent_bytes += self._transfer.copy_blobs(part, obstacle)
        self._transfer.put_by_digest(part)
        return sent_bytes

    def _send_image(self, manifest: Manifest) -> int:
        """:raises RefusedError: when the destination refuses the image's manifest by digest."""
        transferred = self._transfer.send(manifest)
        if transferred.refusal:
            raise transferred.refusal
        return transferred.sent_bytes
