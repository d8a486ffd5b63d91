"""A response as it arrives: its head, and its body in chunks."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Protocol

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError, ReadTimeoutError, SSLError

CHUNK_BYTES = 256 * 1024
"""Longest chunk of a body."""


class RawResponse(Protocol):
    """A response whose body has not been read."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str:
        """The text after the status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields. Lookup ignores case, and joins the values of a repeated field by commas."""

    @property
    def challenges(self) -> tuple[str, ...]:
        """The ``WWW-Authenticate`` lines, one by one."""

    @property
    def seconds(self) -> float | None:
        """Time from the request to the head of its response, without that of connecting, as far as it is known."""

    def chunks(self) -> Iterator[bytes]:
        """The decoded body in chunks as they arrive, without waiting for more. :raises HTTPError: one of urllib3's."""

    def give_back(self) -> None:
        """Close the response. A connection whose response was read whole is kept."""


class PlainResponse:
    """A response whose body is not encoded, such as not compressed.

    :param response: has read its head.
    """

    def __init__(self, pool: Any, connection: HTTPConnection, response: HTTPResponse, seconds: float) -> None:
        self.seconds: float | None = seconds
        self.status: int = response.status
        self.reason = response.reason
        self.headers: Any = response.headers
        self._pool, self._response = pool, response
        self._connection: HTTPConnection | None = connection
        self._received_bytes = 0
        self._is_whole = response.length == 0

    @property
    def challenges(self) -> tuple[str, ...]:
        """See :class:`RawResponse`."""
        return tuple(self.headers.get_all("WWW-Authenticate", ()))

    def chunks(self) -> Iterator[bytes]:
        """See :class:`RawResponse`."""
        while not self._is_whole and (chunk := self._read()):
            yield chunk

    def _read(self) -> bytes:
        try:
            chunk = self._response.read1(CHUNK_BYTES)
        except (HTTPException, OSError) as error:
            raise _reading_error(error, self._pool) from error
        self._received_bytes += len(chunk)
        if not chunk and self._response.length:
            incomplete = IncompleteRead(self._received_bytes, self._response.length)
            raise ProtocolError(f"Connection broken: {incomplete!r}", incomplete)
        self._is_whole = not chunk or self._response.length == 0
        return chunk

    def give_back(self) -> None:
        """See :class:`RawResponse`."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._response.close()
        if self._response.will_close or not self._is_whole:
            connection.close()
        self._pool._put_conn(connection)  # noqa: SLF001 - as urllib3's own response does


def _reading_error(error: HTTPException | OSError, pool: Any) -> HTTPError:
    """The error of urllib3 for a body that could not be read on."""
    if isinstance(error, TimeoutError):
        return ReadTimeoutError(pool, "", "Read timed out.")
    if isinstance(error, ssl.SSLError):
        return SSLError(error)
    return ProtocolError(f"Connection broken: {error!r}", error)


class DecodedResponse:
    """A response that urllib3 reads and decodes."""

    seconds: float | None = None

    def __init__(self, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Mapping[str, str] = response.headers
        self.challenges = tuple(response.headers.getlist("WWW-Authenticate"))
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        """See :class:`RawResponse`."""
        while chunk := self._response.read1(CHUNK_BYTES, decode_content=True):
            yield chunk

    def give_back(self) -> None:
        """See :class:`RawResponse`."""
        self._response.close()
        self._response.release_conn()
