"""Check that a registry has all content of the manifests that it reports as present: every child and every blob.

A registry answers for a manifest although a layer of it is lost, after a damaged disk or a garbage collection that went
wrong. A tag on such a manifest cannot be pulled, and no comparison of tags notices.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Literal

from registry_sync.errors import DamagedContent, DeniedError, LoginRejected, NotFound, RefusedError, RegistrySyncError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Descriptor, Manifest
from registry_sync.oci.reference import Digest, Repository
from registry_sync.oci.shapes import blobs_of, is_blob
from registry_sync.registry.client import RegistryClient

GapKind = Literal["missing", "damaged", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A child or blob that the registry does not have as its manifest says.

    :ivar kind: ``missing``; ``damaged``, with other bytes or another size; ``unknown``, when the registry refuses to
        tell.
    """

    digest: Digest
    kind: GapKind
    reason: str


class HeldContent:
    """Checks content of one repository by one request for each digest. Safe to use from several threads.

    What was found present is not asked for again. What was not is: it may have been sent meanwhile.

    :param pool: sends the requests for blobs. It bounds how many are sent at once.
    """

    def __init__(self, client: RegistryClient, repository: Repository, pool: Executor) -> None:
        self._client = client
        self._repository = repository
        self._pool = pool
        self._lock = threading.Lock()
        self._whole: set[Digest] = set()
        self._blobs: dict[Digest, Future[Gap | None]] = {}

    def find_gaps(self, root: Manifest) -> list[Gap]:
        """List what is missing or damaged below a manifest that the registry reports as present.

        Layers with ``urls`` are left out: machines download them from there.

        :raises RegistrySyncError: when the registry cannot be asked now, for example in an outage.
        """
        gaps: list[Gap] = []
        manifests = list(walk_manifests(root, lambda digest: self._read(digest, gaps), enters=self._is_unknown))
        blobs = {blob.digest: blob for manifest in manifests for blob in blobs_of(manifest) if not blob.urls}
        answers = [self._ask(blob) for blob in blobs.values()]
        gaps += [gap for answer in answers if (gap := answer.result())]
        if not gaps:
            self._whole |= {manifest.digest for manifest in manifests}
        return gaps

    def _is_unknown(self, child: Descriptor) -> bool:
        return child.digest not in self._whole and not is_blob(child)

    def _read(self, digest: Digest, gaps: list[Gap]) -> Manifest | None:
        """Read a child, or note why it cannot be read."""
        try:
            return self._client.get_manifest(self._repository, digest)
        except LoginRejected:
            raise
        except (NotFound, DamagedContent, DeniedError, RefusedError) as error:
            gaps.append(_gap(digest, error))
            return None

    def _ask(self, blob: Descriptor) -> Future[Gap | None]:
        with self._lock:
            if blob.digest not in self._blobs:
                self._blobs[blob.digest] = self._pool.submit(self._head, blob)
            return self._blobs[blob.digest]

    def _head(self, blob: Descriptor) -> Gap | None:
        gap: Gap | None = None
        is_present = False
        try:
            gap = self._gap_of(blob)
            is_present = gap is None
        finally:
            if not is_present:
                with self._lock:
                    del self._blobs[blob.digest]
        return gap

    def _gap_of(self, blob: Descriptor) -> Gap | None:
        """The gap at a blob. Some registries answer a HEAD with the length 0 of its body."""
        try:
            size_bytes = self._client.head_blob(self._repository, blob.digest)
        except LoginRejected:
            raise
        except (NotFound, DeniedError, RefusedError) as error:
            return _gap(blob.digest, error)
        if not size_bytes or size_bytes == blob.size_bytes:
            return None
        return Gap(digest=blob.digest, kind="damaged", reason=f"it has {size_bytes} instead of {blob.size_bytes} bytes")


def _gap(digest: Digest, error: RegistrySyncError) -> Gap:
    kind: GapKind = "missing" if isinstance(error, NotFound) else "unknown"
    return Gap(digest=digest, kind="damaged" if isinstance(error, DamagedContent) else kind, reason=str(error))
