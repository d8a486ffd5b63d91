"""Move content by our own client: blobs over kept connections, then the manifests, children before their index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from registry_sync.errors import ManifestRefused, RefusedError, RegistrySyncError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import blobs_of, is_blob
from registry_sync.sync.content.blob_copies import BlobCopies
from registry_sync.sync.content.foreign_layers import explain_refusal
from registry_sync.sync.content.manifests import RouteManifests
from registry_sync.sync.content.transfer import Transferred
from registry_sync.sync.threads import each_at_once

_IMAGES_PER_THREAD = 2
"""Small images between near registries that each thread copies at least. Every thread opens connections."""

_MOST_READ_AHEAD = 100
"""Children that are read before the limits of an index are checked."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_REFUSALS_OF_A_MANIFEST = frozenset({400, 415, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectMover:
    """Moves content without skopeo. It checks no policy.

    The manifest itself is not published by its digest, because a tag publishes the same bytes. Who needs it without a
    tag calls :meth:`settle`.
    """

    manifests: RouteManifests
    blobs: BlobCopies
    _pending: dict[Digest, Manifest] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def enforces_policy(self) -> bool:
        """A policy is checked by skopeo only; the mirrors file allows no route to have both."""
        return False

    @property
    def shares_blobs(self) -> bool:
        """A blob of several images is copied by one of them while the others wait."""
        return True

    def threads(self, images: int) -> int:
        """The number of images to work on at the same time, of ``images``: fewer between near registries.

        Between far ones, manifests of more images than ``parallel_copies`` are read and published: their blobs wait.
        """
        route = self.manifests.session.route
        most = min(route.source.max_connections, route.destination.max_connections)
        if self.blobs.are_far:
            return min(most, images)
        return min(most, route.settings.parallel_copies, max(1, images // _IMAGES_PER_THREAD))

    @property
    def sent_bytes(self) -> int:
        """Bytes of blobs sent so far."""
        return self.blobs.sent_bytes

    def without_policy(self) -> DirectMover:
        """The same mover."""
        return self

    def send(self, manifest: Manifest) -> Transferred:
        """Send what the destination lacks of a manifest's content, and all manifests below it.

        :raises RefusedError: also when the index is nested too deeply.
        """
        parts = self._read_parts(manifest)
        sent_bytes = self.blobs.copy(blob for part in parts for blob in blobs_of(part))
        self._put_parts(parts[:-1])
        with self._lock:
            self._pending[manifest.digest] = manifest
        if manifest.digest.algorithm != "sha256":
            self.settle(manifest.digest)
        return Transferred(manifest=manifest, was_held=False, sent_bytes=sent_bytes)

    def _read_parts(self, manifest: Manifest) -> list[Manifest]:
        """All manifests below a manifest, children before the index that lists them, and itself last."""
        children = {child.digest for child in manifest.children if not is_blob(child)}
        early = dict[Digest, Manifest]()
        if len(children) <= _MOST_READ_AHEAD:
            early = {part.digest: part for part in self._for_each(self.manifests.read_source, list(children))}

        def read(digest: Digest) -> Manifest:
            return early.get(digest) or self.manifests.read_source(digest)

        return list(walk_manifests(manifest, read, enters=lambda child: not is_blob(child)))

    def _put_parts(self, parts: Sequence[Manifest]) -> None:
        """PUT what is below a manifest: images first, then the indexes in their order."""
        self._for_each(self._put, [part for part in parts if not part.is_index])
        for part in parts:
            if part.is_index:
                self._put(part)

    def _for_each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        return each_at_once(function, items, threads=self.manifests.session.threads(len(items)))

    def settle(self, digest: Digest) -> None:
        """Publish by its digest a manifest that was sent."""
        with self._lock:
            manifest = self._pending.get(digest)
        if manifest:
            self._put(manifest)
            with self._lock:
                self._pending.pop(digest, None)

    def _put(self, manifest: Manifest) -> None:
        """:raises ManifestRefused: when the destination does not accept such manifests."""
        try:
            self.manifests.put_by_digest(manifest)
        except RefusedError as error:
            if manifest.digest.algorithm != "sha256":
                raise RefusedError(f"the destination stores no manifest under a digest by sha512 ({error})") from error
            if error.status in _REFUSALS_OF_A_MANIFEST:
                raise ManifestRefused(str(explain_refusal(manifest, error))) from error
            raise explain_refusal(manifest, error) from error
        except RegistrySyncError as error:
            raise explain_refusal(manifest, error) from error
