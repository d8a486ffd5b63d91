"""Move content by our own client: blobs over kept connections, then the manifests, children before their index."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from registry_sync.errors import ManifestRefused, RefusedError, RegistrySyncError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import blobs_of, is_blob
from registry_sync.sync.content.blob_copies import BlobCopies
from registry_sync.sync.content.foreign_layers import explain_refusal
from registry_sync.sync.content.manifests import RouteManifests
from registry_sync.sync.content.transfer import Transferred

_QUICK_THREADS = 2

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
    def threads(self) -> int:
        """The number of digests at the same time: few while each is quick, because every thread opens connections."""
        route = self.manifests.session.route
        most = min(route.settings.parallel_copies, route.source.max_connections, route.destination.max_connections)
        return most if self.blobs.is_slow else min(most, _QUICK_THREADS)

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
        parts = list(walk_manifests(manifest, self.manifests.read_source, enters=lambda child: not is_blob(child)))
        sent_bytes = self.blobs.copy(blob for part in parts for blob in blobs_of(part))
        for part in parts[:-1]:
            self._put(part)
        with self._lock:
            self._pending[manifest.digest] = manifest
        if manifest.digest.algorithm != "sha256":
            self.settle(manifest.digest)
        return Transferred(manifest=manifest, was_held=False, sent_bytes=sent_bytes)

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
