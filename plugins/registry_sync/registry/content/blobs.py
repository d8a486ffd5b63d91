"""Read blobs: large ones as a stream, verified on the way and continued where the registry broke off.

No large blob is held in memory. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

from registry_sync.errors import DamagedContent, RefusedError, RegistrySyncError, ResponseTimeout, TemporaryError
from registry_sync.oci.manifest import MAX_MANIFEST_BYTES, Descriptor
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.wire.exchange import ATTEMPTS
from registry_sync.registry.wire.response import BodyStream, Response, whole_number
from registry_sync.registry.wire.slots import RequestSlots
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import shown_url

log = logging.getLogger(__name__)

IDENTITY = {"Accept-Encoding": "identity"}
"""Sizes and digests are those of the stored bytes. Without this header a server may compress them."""

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-\d+/", re.ASCII | re.IGNORECASE)

_LEAST_PART_BYTES = 32 * 1024
"""Fewer bytes are a failed attempt. A blob in parts of one byte would cost a request for each of them."""

_STEP_BYTES = 8 * 1024 * 1024
"""Bytes after which attempts are counted from the first again, and the state of the hash is kept for a resume."""


class BlobReader:
    """Reads one blob of a repository, as often as its receiver has to begin again. For one thread.

    :param read_seconds: timeout of one read; the transport's by default.
    :param seconds: time limit of one response.
    :ivar error: the error with which the last reading ended. It is of this registry, never of the receiver.
    """

    def __init__(
        self,
        transport: Transport,
        repository: Repository,
        blob: Descriptor,
        *,
        read_seconds: float | None = None,
        seconds: float | None = None,
    ) -> None:
        self.blob = blob
        self.error: RegistrySyncError | None = None
        self._transport, self._repository = transport, repository
        self._read_seconds, self._seconds = read_seconds, seconds
        self._takes_ranges = True
        self._is_part = False
        self._hashes = [(0, hashlib.new(blob.digest.algorithm))]

    @property
    def slots(self) -> RequestSlots:
        """Slots of the registry."""
        return self._transport.slots

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from ``start`` on. The last chunk is yielded only when digest and size of the whole blob are right.

        A receiver that needs all bytes therefore never gets a damaged blob.

        :raises NotFound: when the blob does not exist.
        :raises DamagedContent: when the bytes do not match.
        """
        self.error = None
        try:
            yield from self._verified(start)
        except RegistrySyncError as error:
            self.error = error
            raise

    def _verified(self, start: int) -> Iterator[bytes]:
        offset, hasher = self._hash_before(start)
        held = b""
        for chunk in self._received(offset):
            if held:
                yield held
            hasher.update(chunk)
            held = chunk[max(start - offset, 0) :]
            offset += len(chunk)
            if offset > self.blob.size_bytes:
                break
            self._keep(offset, hasher)
        self._check(offset, hasher)
        if held:
            yield held

    def _hash_before(self, start: int) -> tuple[int, Any]:
        """The last kept state of the hash at or before ``start``, and its offset. Bytes in between are read again."""
        offset, hasher = next(kept for kept in reversed(self._hashes) if kept[0] <= start)
        return offset, hasher.copy()

    def _keep(self, offset: int, hasher: Any) -> None:
        if offset >= self._hashes[-1][0] + _STEP_BYTES:
            self._hashes.append((offset, hasher.copy()))

    def _check(self, seen_bytes: int, hasher: Any) -> None:
        digest, size_bytes = self.blob.digest, self.blob.size_bytes
        where = f"blob {digest} of {self._repository} arrived damaged"
        if seen_bytes != size_bytes:
            length = f"more than {size_bytes}" if seen_bytes > size_bytes else f"{seen_bytes} instead of {size_bytes}"
            raise DamagedContent(f"{where}: it has {length} bytes")
        if hasher.hexdigest() != digest.encoded:
            raise DamagedContent(f"{where}: its content has another digest")

    def _received(self, offset: int) -> Iterator[bytes]:
        """The bytes from ``offset`` on as they arrive, over several connections where one breaks off."""
        failures, failed_at = 0, offset
        while offset < self.blob.size_bytes or not offset:
            try:
                began = offset
                for chunk in self._response(offset):
                    offset += len(chunk)
                    yield chunk
                if not self._is_part or offset == began:  # a part may end before the blob does
                    return
                if offset < min(began + _LEAST_PART_BYTES, self.blob.size_bytes):
                    raise TemporaryError(f"the registry sent a part of a blob that has only {offset - began} new bytes")
            except ResponseTimeout:
                raise
            except TemporaryError as error:
                failures = 1 if offset >= failed_at + _STEP_BYTES else failures + 1
                failed_at = offset
                if failures >= ATTEMPTS:
                    raise
                log.warning("%s; reading blob %s on at byte %d", error, self.blob.digest.short, offset)
                self._transport.back_off(failures)

    def _response(self, offset: int) -> Iterator[bytes]:
        """One response from ``offset`` on. A registry that sends the whole blob instead is read from its start."""
        try:
            with self._request(offset) as (response, stream):
                self._is_part = response.status == HTTPStatus.PARTIAL_CONTENT
                yield from _without_first(stream, offset - _first_byte(response))
        except RefusedError as error:
            if not offset or not self._takes_ranges:
                raise
            self._takes_ranges = False  # such as 416 for every range
            raise TemporaryError(f"{error}; it does not send a part of a blob") from error

    def _request(self, offset: int) -> AbstractContextManager[tuple[Response, BodyStream]]:
        return self._transport.open_stream(
            blob_path(self._repository, self.blob.digest),
            scope=f"repository:{self._repository.name}:pull",
            headers={**IDENTITY, "Range": f"bytes={offset}-"} if offset and self._takes_ranges else IDENTITY,
            read_seconds=self._read_seconds,
            response_seconds=self._seconds,
        )


def _first_byte(response: Response) -> int:
    """The offset at which a response begins. :raises TemporaryError: for a part whose place is not known."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    text = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.match(text)
    if match is None:
        raise TemporaryError(f"{shown_url(response.url)} answered 206 with the Content-Range {text!r}")
    return int(match[1])


def _without_first(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The bytes after the first ``count``. :raises TemporaryError: for a part that begins too late."""
    if count < 0:
        raise TemporaryError(f"the registry sent a part of a blob that begins {-count} bytes too late")
    for chunk in chunks:
        rest, count = chunk[count:], max(count - len(chunk), 0)
        if rest:
            yield rest


def read_blob(transport: Transport, repository: Repository, digest: Digest) -> int:
    """Read, verify and discard a blob of unknown size. Returns its size in bytes.

    :raises DamagedContent: for other bytes.
    """
    hasher, size_bytes = hashlib.new(digest.algorithm), 0
    path, scope = blob_path(repository, digest), f"repository:{repository.name}:pull"
    with transport.open_stream(path, scope=scope, headers=IDENTITY) as (_, stream):
        for chunk in stream:
            hasher.update(chunk)
            size_bytes += len(chunk)
    if hasher.hexdigest() != digest.encoded:
        raise DamagedContent(f"blob {digest} of {repository} arrived damaged: its content has another digest")
    return size_bytes


def blob_size(transport: Transport, repository: Repository, digest: Digest) -> int | None:
    """Size of a blob in bytes, ``None`` where the registry omits it.

    :raises NotFound: when it does not exist.
    :raises RefusedError: for a status such as 204 or 304, which does not say that it exists.
    """
    path, scope = blob_path(repository, digest), f"repository:{repository.name}:pull"
    response = transport.call("HEAD", path, scope=scope, headers=IDENTITY)
    if response.status != HTTPStatus.OK:
        raise RefusedError(f"HEAD {shown_url(response.url)} answered {response.status}, not 200")
    return whole_number(response.headers.get("Content-Length", ""))


def read_small_blob(transport: Transport, repository: Repository, blob: Descriptor) -> bytes:
    """A blob of at most ``MAX_MANIFEST_BYTES``. :raises TemporaryError: when it does not match the digest."""
    path, scope = blob_path(repository, blob.digest), f"repository:{repository.name}:pull"
    response = transport.call("GET", path, scope=scope, max_bytes=MAX_MANIFEST_BYTES)
    if Digest.of(response.content, blob.digest.algorithm) != blob.digest:
        raise TemporaryError(f"{repository}@{blob.digest} arrived damaged: its content has another digest")
    return response.content


def blob_path(repository: Repository, digest: Digest) -> str:
    """The path of a blob in the distribution API."""
    return f"/v2/{repository.name}/blobs/{digest}"
