"""Copy the blobs of shapes that skopeo cannot copy, by our own client.

These are caches of BuildKit, models of ollama, Docker manifests with OCI layers, large configs, and digests by sha512.
Nothing here applies a policy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from registry_sync.errors import DeniedError, NotFound, RefusedError
from registry_sync.oci.manifest import Descriptor
from registry_sync.registry.blobs import copy_blob
from registry_sync.sync.session import Session


class DirectCopy:
    """Copies blobs of one route without skopeo. Safe to use from several threads.

    :ivar sent_bytes: bytes sent so far.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counting = threading.Lock()
        self.sent_bytes = 0

    def copy_blobs(self, blobs: Iterable[Descriptor]) -> int:
        """Copy the blobs that the destination lacks. Returns the bytes sent.

        :raises NotFound: when the source lacks one.
        :raises TemporaryError: also when the task is being ended.
        """
        missing = {blob.digest: blob for blob in blobs if not blob.urls and not self._is_present(blob)}
        sent_bytes = sum(map(self._copy, missing.values()))
        with self._counting:
            self.sent_bytes += sent_bytes
        return sent_bytes

    def _is_present(self, blob: Descriptor) -> bool:
        """Return whether the destination has a blob. If it refuses to tell, the blob is sent."""
        try:
            self._session.destination.head_blob(self._session.route.destination_repository, blob.digest)
        except (NotFound, DeniedError, RefusedError):
            return False
        return True

    def _copy(self, blob: Descriptor) -> int:
        session, route = self._session, self._session.route
        source = session.source, route.source_repository
        destination = session.destination, route.destination_repository
        return copy_blob(source, destination, blob, check=session.skopeo.check_stopping)
