"""Copy a blob from one registry to another as a stream. A broken upload is continued, or begun again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from registry_sync.errors import RateLimited, RefusedError, RegistrySyncError, ResponseTimeout, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.registry.blobs import BlobReader
from registry_sync.registry.uploads import CHUNK_BYTES, Upload, Uploads
from registry_sync.registry.wire.exchange import ATTEMPTS

log = logging.getLogger(__name__)

_TOO_LARGE = frozenset({411, 413, 501})
"""Statuses of registries and proxies that do not take a blob in one request, and perhaps in parts."""


@dataclass(kw_only=True)
class BlobCopy:
    """The copy of one blob. For one thread.

    :ivar check: called between chunks; what it raises ends the copy.
    :ivar is_present: asks whether the destination has the blob, before it is sent once more from its first byte.
    :ivar sent_bytes: bytes sent so far, also those that were sent again.
    """

    reader: BlobReader
    uploads: Uploads
    check: Callable[[], object]
    is_present: Callable[[], bool] = lambda: False
    sent_bytes: int = 0
    _offset: int = field(default=0, init=False)

    @property
    def blob(self) -> Descriptor:
        return self.reader.blob

    def run(self, upload: Upload) -> int:
        """Send the blob into an upload that was begun. Returns the bytes sent. A failed upload is cancelled.

        After :data:`CHUNK_BYTES` that the registry has kept, attempts are counted from the first again.

        :raises NotFound: when the source does not have the blob.
        :raises DamagedContent: when the source's bytes do not match the digest. The destination then has nothing new.
        """
        start, attempt = 0, 1
        while True:
            self._offset = start
            try:
                self.uploads.send(upload, self.blob, self._chunks(start), start=start)
                return self.sent_bytes
            except RegistrySyncError as error:
                upload = self._judge(upload, error, attempt)
                log.warning("%s; sending blob %s again", error, self.blob.digest.short)
                self.uploads.back_off(attempt)
            continued = self._continue(upload)
            if continued is None:
                return self.sent_bytes
            upload, offset = continued
            attempt = 1 if offset >= start + CHUNK_BYTES else attempt + 1
            start = offset

    def _chunks(self, start: int) -> Iterable[bytes]:
        """The bytes from ``start`` on. The source is asked before the upload begins to send."""
        if start == self.blob.size_bytes:
            return ()
        chunks = self.reader.chunks(start)
        return self._counted(chain((next(chunks, b""),), chunks))

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.check()
            self.sent_bytes += len(chunk)
            self._offset += len(chunk)
            yield chunk

    def _judge(self, upload: Upload, error: RegistrySyncError, attempt: int) -> Upload:
        """The upload to continue after an error. :raises RegistrySyncError: when there is none; it is cancelled."""
        is_whole = upload.chunk_bytes is None and self.blob.size_bytes > CHUNK_BYTES
        is_too_large = is_whole and isinstance(error, RefusedError) and error.status in _TOO_LARGE
        try:
            self.check()
            is_of_source = self.reader.error is not None
            is_passing = isinstance(error, TemporaryError) and not isinstance(error, ResponseTimeout)
            if is_of_source or attempt >= ATTEMPTS or not (is_too_large or is_passing):
                raise error
        except RateLimited:
            raise  # a request to cancel the upload would have to wait as well
        except RegistrySyncError:
            self.uploads.cancel(upload)
            raise
        return replace(upload, chunk_bytes=CHUNK_BYTES) if is_too_large else upload

    def _continue(self, upload: Upload) -> tuple[Upload, int] | None:
        """The upload where it broke off, or a new one from the first byte; ``None`` when only the response was lost.

        An upload that has more than was sent is not continued.
        """
        found = self.uploads.find(upload, self.blob)
        if found and found[1] <= self._offset:
            return found
        if self.is_present():
            return None
        self.uploads.cancel(upload)
        begun = self.uploads.begin(self.blob)
        return replace(begun, chunk_bytes=begun.chunk_bytes or upload.chunk_bytes), 0
