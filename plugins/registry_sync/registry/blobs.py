"""Blobs of any size: read, uploaded, and copied from one registry to another as a stream.

No blob is held in memory. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs and
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlencode, urlsplit

from registry_sync.errors import DamagedContent, NotFound, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.wire.deadline import blob_deadline
from registry_sync.registry.wire.exchange import Body, Sink
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import join_url, shown_url

log = logging.getLogger(__name__)

IDENTITY = {"Accept-Encoding": "identity"}
"""Sizes and digests are those of the stored bytes. Without this header a server may compress them."""

_BINARY = {"Content-Type": "application/octet-stream"}


def copy_blob(
    source: tuple[RegistryClient, Repository],
    destination: tuple[RegistryClient, Repository],
    blob: Descriptor,
    *,
    check: Callable[[], object] = lambda: None,
    seconds: float | None = None,
) -> int:
    """Copy a blob, whether or not the destination reports it as present. Returns the bytes sent.

    :param check: called between chunks; what it raises ends the copy.
    :param seconds: time limit of reading the blob; that of every blob by default.
    :raises NotFound: when the source does not have the blob.
    :raises DamagedContent: when the source's bytes do not match the digest. The destination then has nothing new.
    """
    (reader, source_repository), (writer, repository) = source, destination
    sent: list[int] = []

    def forward(chunks: Iterator[bytes]) -> None:
        writer.upload_blob(repository, blob, _counted(chunks, sent, check))

    with blob_deadline(seconds):
        reader.stream_blob(source_repository, blob, forward)
    return sum(sent)


def _counted(chunks: Iterable[bytes], sent: list[int], check: Callable[[], object]) -> Iterator[bytes]:
    sent.append(0)
    for chunk in chunks:
        check()
        sent[0] += len(chunk)
        yield chunk


def read_blob(transport: Transport, repository: Repository, digest: Digest) -> int:
    """Read, verify and discard a blob, and return its size in bytes. :raises DamagedContent: for other bytes."""
    sizes: list[int] = []

    def discard(chunks: Iterator[bytes]) -> None:
        sizes.append(sum(map(len, _verified(chunks, repository, digest))))

    transport.download(blob_path(repository, digest), discard, scope=_scope(repository, "pull"), headers=IDENTITY)
    return sum(sizes)


def stream_blob(transport: Transport, repository: Repository, blob: Descriptor, take: Sink) -> None:
    """Read a blob and give its verified chunks to ``take``, within the time limit of a blob."""

    def verify(chunks: Iterator[bytes]) -> None:
        take(_verified(chunks, repository, blob.digest, size_bytes=blob.size_bytes))

    path, scope = blob_path(repository, blob.digest), _scope(repository, "pull")
    with blob_deadline():
        transport.download(path, verify, scope=scope, headers=IDENTITY)


def upload_blob(transport: Transport, repository: Repository, blob: Descriptor, chunks: Iterable[bytes]) -> None:
    """Upload a blob: POST begins the upload, one PUT sends everything. A failed upload is cancelled.

    :raises RefusedError: when the repository cannot be pushed to.
    """
    scope = _scope(repository, "pull,push")
    location = _begin(transport, repository, scope)
    address = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': str(blob.digest)})}"
    try:
        body = Body(chunks, blob.size_bytes)
        response = transport.call_once("PUT", address, headers=_BINARY, body=body, scope=scope)
        if response.status not in (201, 204):
            raise TemporaryError(f"{shown_url(response.url)} answered {response.status} to an upload, not 201")
    except RegistrySyncError:
        _cancel(transport, location, scope)
        raise


def _begin(transport: Transport, repository: Repository, scope: str) -> str:
    """Begin an upload. Returns the address for its bytes."""
    try:
        response = transport.call("POST", f"/v2/{repository.name}/blobs/uploads/", scope=scope, body=b"")
    except NotFound as error:
        raise RefusedError(f"{repository} cannot be pushed to; create it at the registry first ({error})") from error
    return _own_location(transport, response)


def _own_location(transport: Transport, response: Response) -> str:
    """The path and query of ``Location``, on the registry's own origin.

    A registry behind a proxy may name its internal host, or http where the proxy speaks https.

    :raises TemporaryError: without a usable ``Location``.
    """
    location = response.headers.get("Location", "")
    parts = urlsplit(join_url(response.url, location))
    if not location or not parts.path.strip("/"):
        raise TemporaryError(
            f"{shown_url(response.url)} answered {response.status} without saying where to upload to ({location!r})"
        )
    return join_url(transport.base_url, parts.path + (f"?{parts.query}" if parts.query else ""))


def _cancel(transport: Transport, location: str, scope: str) -> None:
    """Cancel an upload, best effort: the registry removes abandoned uploads by itself some day."""
    try:
        transport.call_once("DELETE", location, headers={}, body=None, scope=scope)
    except RegistrySyncError as error:
        log.debug("the upload was not cancelled: %s", error)


def _verified(
    chunks: Iterable[bytes], repository: Repository, digest: Digest, *, size_bytes: int | None = None
) -> Iterator[bytes]:
    """The chunks, the last of them only when size and digest of the whole are right.

    A receiver that needs all bytes therefore never gets a damaged blob.
    """
    hasher, seen_bytes, held = hashlib.new(digest.algorithm), 0, b""
    for chunk in chunks:
        if held:
            yield held
        hasher.update(chunk)
        seen_bytes, held = seen_bytes + len(chunk), chunk
        if size_bytes is not None and seen_bytes > size_bytes:
            break
    if size_bytes is not None and seen_bytes != size_bytes:
        length = f"more than {size_bytes}" if seen_bytes > size_bytes else f"{seen_bytes} instead of {size_bytes}"
        raise DamagedContent(f"blob {digest} of {repository} arrived damaged: it has {length} bytes")
    if hasher.hexdigest() != digest.encoded:
        raise DamagedContent(f"blob {digest} of {repository} arrived damaged: its content has another digest")
    if held:
        yield held


def blob_path(repository: Repository, digest: Digest) -> str:
    """The path of a blob in the distribution API."""
    return f"/v2/{repository.name}/blobs/{digest}"


def _scope(repository: Repository, actions: str) -> str:
    return f"repository:{repository.name}:{actions}"
