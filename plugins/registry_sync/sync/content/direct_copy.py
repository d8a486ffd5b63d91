"""Copy the blobs of shapes that skopeo cannot copy, by our own client.

These are caches of BuildKit, models of ollama, Docker manifests with OCI layers, large configs, and digests by sha512.
Nothing here applies a policy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from registry_sync.errors import DamagedContent, DeniedError, NotFound, RefusedError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.registry.blobs import copy_blob
from registry_sync.registry.damaged_blobs import removal_advice
from registry_sync.sync.session import Session


class DirectCopy:
    """Copies blobs of one route without skopeo. Safe to use from several threads.

    :ivar sent_bytes: bytes sent so far.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timeout_seconds = session.route.settings.copy_timeout_minutes * 60
        self._counting = threading.Lock()
        self.sent_bytes = 0

    def copy_blobs(self, blobs: Iterable[Descriptor]) -> int:
        """Copy the blobs that the destination lacks. Returns the bytes sent.

        :raises NotFound: when the source lacks one.
        :raises DamagedContent: when the destination has one with another size.
        :raises TemporaryError: also when the task is being ended, or after the route's ``copy_timeout_minutes``.
        """
        missing = {blob.digest: blob for blob in blobs if not blob.urls and not self._is_present(blob)}
        ends = time.monotonic() + self._timeout_seconds
        sent_bytes = sum(self._copy(blob, ends) for blob in missing.values())
        with self._counting:
            self.sent_bytes += sent_bytes
        return sent_bytes

    def _is_present(self, blob: Descriptor) -> bool:
        """Return whether the destination has a blob. If it refuses to tell, the blob is sent."""
        destination, repository = self._session.route.destination, self._session.route.destination_repository
        try:
            size_bytes = self._session.destination.head_blob(repository, blob.digest)
        except (NotFound, DeniedError, RefusedError):
            return False
        if size_bytes and size_bytes != blob.size_bytes:  # some registries answer HEAD with the length 0
            raise DamagedContent(
                f"{blob.digest} is damaged in {repository}: it has {size_bytes} instead of {blob.size_bytes} bytes; "
                f"{removal_advice(destination.api_kind, blob.digest)}"
            )
        return True

    def _copy(self, blob: Descriptor, ends: float) -> int:
        session, route = self._session, self._session.route
        source = session.source, route.source_repository
        destination = session.destination, route.destination_repository
        return copy_blob(
            source, destination, blob, check=lambda: self._check(blob, ends), seconds=self._timeout_seconds
        )

    def _check(self, blob: Descriptor, ends: float) -> None:
        self._session.skopeo.check_stopping()
        if time.monotonic() > ends:
            limit = f"{self._timeout_seconds} s"
            raise TemporaryError(f"the copy of {blob.digest} was ended: with the image's other blobs it took {limit}")
