"""Move content by skopeo: an index with all its images by one process, or in parts where skopeo cannot do that."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from registry_sync.errors import ManifestNotStored, MissingContent, NotCopyableWhole, RefusedError, RegistrySyncError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest, Reference
from registry_sync.oci.shapes import blobs_of, is_blob, skopeo_obstacle
from registry_sync.skopeo.image_copy import ImageCopy
from registry_sync.sync.content.blob_copies import BlobCopies
from registry_sync.sync.content.foreign_layers import explain_not_stored, has_foreign_layers
from registry_sync.sync.content.manifests import RouteManifests
from registry_sync.sync.content.pauses import send_between_pauses
from registry_sync.sync.content.transfer import Transferred

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoMover:
    """Moves content by skopeo, which alone can check a policy.

    :ivar blobs: copies the blobs of shapes that skopeo cannot copy.
    :ivar enforces_policy: content passes skopeo's policy, if the route has one. Content that the destination holds
        already is then sent through skopeo as well, which checks it and uploads nothing.
    """

    manifests: RouteManifests
    blobs: BlobCopies
    enforces_policy: bool

    @property
    def shares_blobs(self) -> bool:
        """Two skopeos send a blob twice."""
        return False

    def threads(self, images: int) -> int:
        """The number of skopeos at the same time, for ``images``."""
        return min(self.manifests.session.route.settings.parallel_copies, images)

    @property
    def sent_bytes(self) -> int:
        """Bytes sent so far, by skopeo with HTTP and TLS overhead."""
        return self.manifests.session.skopeo.sent_bytes + self.blobs.sent_bytes

    def without_policy(self) -> SkopeoMover:
        """A mover for signatures, which are not signed themselves."""
        return replace(self, manifests=self.manifests.without_indexes(), enforces_policy=False)

    def settle(self, _: Digest) -> None:
        """Do nothing: what was sent is there by its digest."""

    def send(self, manifest: Manifest) -> Transferred:
        """Send a manifest with its content, whether or not the destination has it.

        With a policy, every failure of skopeo is raised: its message does not prove that the policy was applied.
        """
        index = self.manifests.indexes.get(manifest.digest)
        if index is not None and index.source != manifest.digest:
            return self._send_parts(manifest if manifest.is_index else self.manifests.read_source(manifest.digest))
        if obstacle := skopeo_obstacle(manifest):
            return self._send_without_skopeo(manifest, obstacle)
        try:
            return Transferred(manifest=manifest, was_held=False, sent_bytes=self.copy(manifest))
        except NotCopyableWhole as error:
            return self._send_without_skopeo(manifest, str(error))
        except (MissingContent, ManifestNotStored) as error:
            raise self._explain_not_stored(manifest, error) from error
        except RefusedError as error:
            if manifest.is_index or self.enforces_policy or self.manifests.held.find_gaps(manifest):
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
            self.manifests.put_by_digest(manifest)
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
        return self.blobs.copy(blobs_of(manifest))

    def _explain_not_stored(self, manifest: Manifest, error: RegistrySyncError) -> RegistrySyncError:
        """The error for a manifest that the destination did not store. Foreign layers may be the reason."""
        manifests = walk_manifests(manifest, lambda digest: self.manifests.read(digest)[0])
        image = next(filter(has_foreign_layers, manifests), None)
        if image is None:
            return error
        return explain_not_stored(image, error, None if self.enforces_policy else self.manifests.put_by_digest)

    def copy(self, manifest: Manifest) -> int:
        """Copy by skopeo. Returns the bytes sent."""
        session, route = self.manifests.session, self.manifests.session.route
        image = ImageCopy(
            source=Reference(route.source_repository, manifest.digest),
            destination=Reference(route.destination_repository, manifest.digest),
            is_index=manifest.is_index,
            format=manifest.format,
            enforces_policy=self.enforces_policy,
        )
        pulls = 1 + len(manifest.children)
        with session.source.hold_pulls(route.source_repository, manifest.digest, pulls):
            return send_between_pauses(session, lambda: session.skopeo.copy(image)).sent_bytes

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

    def __init__(self, mover: SkopeoMover, root: Digest) -> None:
        self._mover = mover
        self._root = root
        self._images: dict[Digest, Manifest] = {}
        self._indexes = set[Digest]()

    def read(self, digest: Digest) -> Manifest | None:
        """Read a part; ``None`` when the destination holds it whole and no policy has to be enforced."""
        manifest, is_held = self._mover.manifests.read(digest)
        if is_held and not self._mover.enforces_policy and self._mover.manifests.is_whole(manifest):
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
                return self._mover.copy(part)
        sent_bytes = sum(map(self._send_image, images))
        if blobs_of(part):
            sent_bytes += self._mover.copy_blobs(part, obstacle)
        self._mover.manifests.put_by_digest(part)
        return sent_bytes

    def _send_image(self, manifest: Manifest) -> int:
        """:raises RefusedError: when the destination refuses the image's manifest by digest."""
        transferred = self._mover.send(manifest)
        if transferred.refusal:
            raise transferred.refusal
        return transferred.sent_bytes
