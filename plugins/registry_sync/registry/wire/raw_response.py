"""A response as it arrives: its head, and its body in chunks."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError, SSLError

from registry_sync.registry.wire.framing import CHUNK_BYTES, ArrivingBody, Head


class RawResponse:
    """A response whose body has not been read.

    :ivar headers: the header fields. Lookup ignores case, and joins the values of a repeated field by commas.
    :ivar challenges: the ``WWW-Authenticate`` lines, one by one.
    :ivar seconds: time from the request to the head of its response, without that of connecting.
    :param pool: for errors, as urllib3 raises them.
    :param release: takes the connection back; with false, to close it.
    """

    def __init__(
        self, head: Head, body: ArrivingBody, *, pool: Any, seconds: float, release: Callable[[bool], object]
    ) -> None:
        self.status, self.reason, self.seconds = head.status, head.reason, seconds
        self.headers: Mapping[str, str] = head.headers
        self.challenges: tuple[str, ...] = tuple(head.headers.get_all("WWW-Authenticate", ()))
        self._body, self._pool, self._release = body, pool, release
        self._is_released = False

    def chunks(self) -> Iterator[bytes]:
        """The decoded body in chunks as they arrive, without waiting for more. :raises HTTPError: one of urllib3's."""
        is_encoded = not self._body.is_whole and self.headers.get("Content-Encoding")
        return self._decoded() if is_encoded else self._received()

    def _received(self) -> Iterator[bytes]:
        while not self._body.is_whole and (chunk := self._read()):
            yield chunk

    def _decoded(self) -> Iterator[bytes]:
        """The body without its encoding, such as a compression. urllib3 decodes it."""
        stream = io.BufferedReader(_Encoded(self._read), CHUNK_BYTES)
        fields = HTTPHeaderDict({"Content-Encoding": self.headers["Content-Encoding"]})
        response = HTTPResponse(body=stream, headers=fields, preload_content=False)
        while chunk := response.read1(CHUNK_BYTES, decode_content=True):
            yield chunk

    def _read(self) -> bytes:
        try:
            return self._body.read()
        except (HTTPException, OSError) as error:
            raise _reading_error(error, self._pool) from error

    def give_back(self) -> None:
        """Close the response. A connection whose response was read whole is kept."""
        if not self._is_released:
            self._is_released = True
            self._release(self._body.is_whole and self._body.may_follow)


class _Encoded(io.RawIOBase):
    """The bytes of an encoded body, for urllib3."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._next = read
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = self._rest or self._next()
        count = min(len(content), len(buffer))
        buffer[:count], self._rest = content[:count], content[count:]
        return count


def _reading_error(error: HTTPException | OSError, pool: Any) -> HTTPError:
    """The error of urllib3 for a body that could not be read on."""
    if isinstance(error, TimeoutError):
        return ReadTimeoutError(pool, "", "Read timed out.")
    if isinstance(error, ssl.SSLError):
        return SSLError(error)
    return ProtocolError(f"Connection broken: {error!r}", error)
