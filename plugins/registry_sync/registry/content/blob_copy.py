"""Copy a blob from one registry to another. A broken upload is continued, or begun again.

A large blob is sent as it arrives, in a slot of each registry. A smaller one is read first, so that it needs a slot of
one registry at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from registry_sync.errors import (
    DamagedContent,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    ResponseTimeout,
    TemporaryError,
)
from registry_sync.oci.manifest import Descriptor
from registry_sync.registry.content.blobs import BlobReader
from registry_sync.registry.content.uploads import CHUNK_BYTES, Upload, Uploads
from registry_sync.registry.wire.exchange import ATTEMPTS

log = logging.getLogger(__name__)

LARGE_BYTES = 1024 * 1024
"""Size of the blobs that are sent as they arrive. Each thread holds one smaller blob in memory at the most."""

_TOO_LARGE = frozenset({411, 413, 501})
"""Statuses of registries and proxies that do not take a blob in one request, and perhaps in parts."""


@dataclass(kw_only=True)
class BlobCopy:
    """The copy of one blob. For one thread.

    :ivar check: called between chunks; an exception ends the copy.
    :ivar is_present: returns whether the destination has the blob, before it is sent again from its first byte.
    :ivar sent_bytes: bytes sent so far, also those that were sent again.
    """

    reader: BlobReader
    uploads: Uploads
    check: Callable[[], object]
    is_present: Callable[[], bool] = lambda: False
    sent_bytes: int = 0
    _start: int = field(default=0, init=False)
    _offset: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _beginnings: int = field(default=1, init=False)

    @property
    def blob(self) -> Descriptor:
        return self.reader.blob

    def run(self, upload: Upload) -> int:
        """Send the blob into an upload that was begun. Returns the bytes sent. A failed upload is cancelled.

        After :data:`CHUNK_BYTES` that the registry has kept, failures are counted from the first again. The blob is
        begun at its first byte at most :data:`ATTEMPTS` times.

        :raises NotFound: when the source does not have the blob.
        :raises DamagedContent: when the source's bytes do not match the digest. The destination then has nothing new.
        """
        while True:
            try:
                self._send(upload)
                return self.sent_bytes
            except RegistrySyncError as error:
                is_useless = self._is_useless(error)
                upload = self._judge(upload, error, is_useless=is_useless)
                log.warning("%s; sending blob %s again", error, self.blob.digest.short)
                self.uploads.back_off(self._failures)
            found = None if is_useless else self._find(upload)
            if found is None and self.is_present():
                return self.sent_bytes
            upload = self._go_on(*found) if found else self._begin_again(upload)

    def _send(self, upload: Upload) -> None:
        """Send the rest of the blob. The source is read before the upload begins to send."""
        self._offset = self._start
        if self.blob.size_bytes < LARGE_BYTES:
            with closing(self._chunks()) as chunks:
                content = list(self._checked(chunks))
            self.uploads.send(upload, self.blob, self._counted(content), start=self._start)
            return
        with self.reader.slots, self.uploads.slots, closing(self._chunks()) as chunks:
            first = next(chunks, b"")
            self.uploads.send(
                upload, self.blob, self._counted(self._checked(chain((first,), chunks))), start=self._start
            )

    def _chunks(self) -> Generator[bytes, None, None]:
        """The rest of the bytes. Nothing is read where the registry has them all."""
        if self._start < self.blob.size_bytes:
            yield from self.reader.chunks(self._start)

    def _checked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.check()
            yield chunk

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.sent_bytes += len(chunk)
            self._offset += len(chunk)
            yield chunk

    def _is_useless(self, error: RegistrySyncError) -> bool:
        """Return whether an upload cannot be continued: its bytes are wrong, or the registry continues no upload."""
        return isinstance(error, DamagedContent) or (isinstance(error, RefusedError) and self._start > 0)

    def _judge(self, upload: Upload, error: RegistrySyncError, *, is_useless: bool) -> Upload:
        """The upload to continue after an error. :raises RegistrySyncError: when there is none; it is cancelled."""
        is_whole = upload.chunk_bytes is None and self.blob.size_bytes > CHUNK_BYTES
        is_too_large = is_whole and isinstance(error, RefusedError) and error.status in _TOO_LARGE
        self._failures += 1
        is_last = max(self._failures, self._beginnings) >= ATTEMPTS
        try:
            self.check()
            is_of_source = self.reader.error is not None
            is_passing = isinstance(error, TemporaryError) and not isinstance(error, ResponseTimeout)
            if is_of_source or is_last or not (is_too_large or is_passing or is_useless):
                raise error
        except RateLimited:
            raise  # a request to cancel the upload would have to wait as well
        except RegistrySyncError:
            self.uploads.cancel(upload)
            raise
        return replace(upload, chunk_bytes=CHUNK_BYTES) if is_too_large else upload

    def _find(self, upload: Upload) -> tuple[Upload, int] | None:
        """The upload where it broke off; ``None`` when the registry lost it, or claims to have more than was sent."""
        found = self.uploads.find(upload, self.blob)
        return found if found and found[1] <= self._offset else None

    def _go_on(self, upload: Upload, start: int) -> Upload:
        """Continue an upload at a byte."""
        if start >= self._start + CHUNK_BYTES:
            self._failures = 0
        self._start = start
        return upload

    def _begin_again(self, upload: Upload) -> Upload:
        """A new upload in place of one that cannot be continued."""
        self.uploads.cancel(upload)
        begun = self.uploads.begin(self.blob)
        self._start = 0
        self._beginnings += 1
        return replace(begun, chunk_bytes=begun.chunk_bytes or upload.chunk_bytes)
