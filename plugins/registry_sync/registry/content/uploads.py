"""Uploads of blobs of any size to one repository: mounted from another one, sent in one request or in several.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

from registry_sync.errors import (
    DamagedContent,
    DeniedError,
    LoginRejected,
    NotFound,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Repository
from registry_sync.registry.wire.exchange import Body
from registry_sync.registry.wire.response import Response, whole_number
from registry_sync.registry.wire.slots import RequestSlots
from registry_sync.registry.wire.transport import Transport
from registry_sync.registry.wire.urls import join_url, shown_url

log = logging.getLogger(__name__)

CHUNK_BYTES = 16 * 1024 * 1024
"""Length of the parts of a blob where a registry, or a proxy in front of it, does not accept it in one request."""

_BINARY = {"Content-Type": "application/octet-stream"}

_WRONG_DIGEST = "DIGEST_INVALID"
"""https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes"""

_RANGE = re.compile(r"\s*(?:bytes=)?0-(\d{1,18})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that was begun.

    :ivar location: address for the next bytes, on the registry's own origin.
    :ivar chunk_bytes: length of the parts to send; ``None`` for the whole blob in one request.
    """

    location: str
    chunk_bytes: int | None = None


class Uploads:
    """Uploads to one repository. Safe to use from several threads.

    :param read_seconds: timeout of one write, and of the response. A registry may store a large blob for minutes.
    """

    def __init__(self, transport: Transport, repository: Repository, *, read_seconds: float | None = None) -> None:
        self._transport, self._repository = transport, repository
        self._read_seconds = read_seconds
        self._scope = f"repository:{repository.name}:pull,push"

    @property
    def slots(self) -> RequestSlots:
        """Slots of the registry."""
        return self._transport.slots

    def begin(self, blob: Descriptor) -> Upload:
        """Begin an upload. :raises RefusedError: also when the repository does not exist and has to be created."""
        try:
            return self._upload(self._post("", self._scope), blob)
        except NotFound as error:
            raise RefusedError(
                f"{self._repository} cannot be pushed to; create it at the registry first ({error})"
            ) from error

    def mount(self, blob: Descriptor, source: str) -> Upload | None:
        """Mount a blob from a repository of the registry; ``None`` when that was done, else an upload was begun.

        :param source: a repository that may have the blob. The name of the upload's own repository asks whether it has
            the blob itself.
        :raises RegistrySyncError: with a ``status``, when the registry takes no such mount.
        """
        query = f"?mount={blob.digest}&from={source}"  # neither has a character that is quoted
        is_own = source == self._repository.name
        response = self._post(query, self._scope if is_own else f"{self._scope} repository:{source}:pull")
        return None if response.status == 201 else self._upload(response, blob)

    def _post(self, query: str, scope: str) -> Response:
        path = f"/v2/{self._repository.name}/blobs/uploads/{query}"
        return self._transport.call("POST", path, scope=scope, body=b"")

    def _upload(self, response: Response, blob: Descriptor) -> Upload:
        return Upload(location=self._location(response), chunk_bytes=_chunk_bytes(response, blob))

    def back_off(self, attempt: int) -> None:
        """Wait before another attempt. :param attempt: number of attempts so far."""
        self._transport.back_off(attempt)

    def send(self, upload: Upload, blob: Descriptor, chunks: Iterable[bytes], *, start: int = 0) -> None:
        """Send the bytes of a blob from ``start`` on, and complete its upload. Nothing is retried.

        :raises RegistrySyncError: also what the chunks raise.
        """
        if upload.chunk_bytes is None:
            self._complete(upload, blob, chunks, start)
            return
        parts = _Parts(chunks)
        while start < blob.size_bytes:
            end = min(start + upload.chunk_bytes, blob.size_bytes)
            upload, start = self._send_part(upload, parts.take(end - start), start, end), end
        self._complete(upload, blob, (), start)

    def _complete(self, upload: Upload, blob: Descriptor, chunks: Iterable[bytes], start: int) -> None:
        digest = f"digest={blob.digest.algorithm}%3A{blob.digest.encoded}"
        address = f"{upload.location}{'&' if '?' in upload.location else '?'}{digest}"
        rest_bytes = blob.size_bytes - start
        body = Body(chunks, rest_bytes) if rest_bytes else b""
        headers = {**_BINARY, **({"Content-Range": f"{start}-{blob.size_bytes - 1}"} if start and rest_bytes else {})}
        response = self._write("PUT", address, headers, body)
        if response.status not in (201, 204):
            raise TemporaryError(f"{shown_url(response.url)} answered {response.status} to an upload, not 201")
        stored = response.digest()
        if stored and stored.algorithm == blob.digest.algorithm and stored != blob.digest:
            raise DamagedContent(f"{shown_url(response.url)} stored an upload of {blob.digest} as {stored}")

    def _send_part(self, upload: Upload, chunks: Iterable[bytes], start: int, end: int) -> Upload:
        """Send a part. The ``Range`` of the answer is not looked at: of ECR it is that of the first part for ever.

        A registry that has less answers 416 to the next part, or refuses the digest.
        https://github.com/aws/containers-roadmap/issues/2831, https://github.com/regclient/regclient/issues/961
        """
        headers = {**_BINARY, "Content-Range": f"{start}-{end - 1}"}
        response = self._write("PATCH", upload.location, headers, Body(chunks, end - start))
        return self._moved(upload, response)

    def _moved(self, upload: Upload, response: Response) -> Upload:
        """The upload at the address for its next bytes. Some registries give a new one each time."""
        location = self._location(response) if "Location" in response.headers else upload.location
        return replace(upload, location=location)

    def _write(self, method: str, address: str, headers: dict[str, str], body: bytes | Body) -> Response:
        try:
            return self._transport.call_once(
                method, address, headers=headers, body=body, scope=self._scope, read_seconds=self._read_seconds
            )
        except (NotFound, RefusedError) as error:
            is_of_source = isinstance(body, Body) and body.error is error
            explained = error if is_of_source else _explain(error)
            if explained is error:
                raise
            raise explained from error

    def find(self, upload: Upload, blob: Descriptor) -> tuple[Upload, int] | None:
        """An upload that broke off, and the number of bytes that the registry has of it; ``None`` if it has none.

        This request also renews a login that has expired in the middle of the upload.
        """
        try:
            response = self._transport.call("GET", upload.location, scope=self._scope)
            found = self._moved(upload, response)
        except LoginRejected:
            raise
        except (NotFound, DeniedError, RefusedError, TemporaryError) as error:
            log.debug("the upload cannot be continued: %s", error)
            return None
        stored = _stored_bytes(response)
        if stored is None or not 1 < stored <= blob.size_bytes:  # 0-0 is the range of one byte and of none
            return None
        return found, stored

    def cancel(self, upload: Upload) -> None:
        """Try to cancel an upload. The registry removes abandoned uploads by itself some day."""
        try:
            self._transport.call_once("DELETE", upload.location, headers={}, body=None, scope=self._scope)
        except RegistrySyncError as error:
            log.debug("the upload was not cancelled: %s", error)

    def _location(self, response: Response) -> str:
        """The path and query of ``Location``, on the registry's own origin.

        A registry behind a proxy may name its internal host, or http where the proxy speaks https.

        :raises TemporaryError: without a usable ``Location``.
        """
        location = response.headers.get("Location", "")
        if location.startswith(f"{self._transport.base_url}/v2/") and "#" not in location:
            return location
        parts = urlsplit(join_url(response.url, location))
        if not location or not parts.path.strip("/"):
            raise TemporaryError(
                f"{shown_url(response.url)} answered {response.status} without saying where to upload to ({location!r})"
            )
        own = urlsplit(self._transport.base_url)  # joining would take a path such as //v2/app for another host
        return urlunsplit((own.scheme, own.netloc, parts.path, parts.query, ""))


def _explain(error: NotFound | RefusedError) -> RegistrySyncError:
    """The error to report for a write that the registry did not accept."""
    if isinstance(error, NotFound):
        return TemporaryError(f"{error}; the registry no longer knows the upload")
    if _WRONG_DIGEST in str(error):  # our bytes had the right one
        return DamagedContent(f"{error}; the bytes were damaged on their way")
    if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return TemporaryError(f"{error}; the registry has other parts of the upload than were sent")
    return error


def _chunk_bytes(response: Response, blob: Descriptor) -> int | None:
    """The length of parts for a registry with a minimum length.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
    """
    least_bytes = whole_number(response.headers.get("OCI-Chunk-Min-Length", "")) or 0
    chunk_bytes = max(least_bytes, CHUNK_BYTES)
    return chunk_bytes if least_bytes > 0 and chunk_bytes < blob.size_bytes else None


def _stored_bytes(response: Response) -> int | None:
    """The number of bytes that the registry has of an upload, by ``Range: 0-END``; ``None`` where it does not say."""
    match = _RANGE.fullmatch(response.headers.get("Range", ""))
    return int(match[1]) + 1 if match else None


class _Parts:
    """Divides a stream into parts of given lengths, without holding them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def take(self, size_bytes: int) -> Iterator[bytes]:
        """The next ``size_bytes``; fewer at the end of the stream."""
        while size_bytes and (chunk := self._rest or next(self._chunks, b"")):
            part, self._rest = chunk[:size_bytes], chunk[size_bytes:]
            size_bytes -= len(part)
            yield part
