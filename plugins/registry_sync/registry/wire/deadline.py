"""A deadline for a whole response. Socket timeouts bound one read, which trickled bytes never exceed.

A server can send one byte now and then, or one ``100 Continue`` after the other. Code that reads a line or decompresses
a body does not see the clock in between. The deadline is therefore checked at the lowest level, where bytes arrive.
"""

from __future__ import annotations

import errno
import http
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from typing import Any, ClassVar

from urllib3 import BaseHTTPResponse, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, ProtocolError, SSLError

from registry_sync.registry.wire.response_head import read_head

RESPONSE_SECONDS = 300
"""Time limit of a response, from its first byte to its last."""

BLOB_SECONDS = 3600
"""Time limit of a blob that is read whole. Models and layers of tens of gigabytes exist."""

_seconds: ContextVar[float | None] = ContextVar("seconds", default=None)


class _Within:
    """Gives a variable a value within a block. Each request needs one, and a generator would cost more."""

    def __init__(self, variable: ContextVar[float | None], seconds: float) -> None:
        self._variable, self._seconds = variable, seconds

    def __enter__(self) -> None:
        self._token = self._variable.set(self._seconds)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._token)


def blob_deadline(seconds: float | None = None) -> AbstractContextManager[None]:
    """Give responses to this thread's requests ``seconds``, else those of an outer block or :data:`BLOB_SECONDS`."""
    return _Within(_seconds, seconds or _seconds.get() or BLOB_SECONDS)


_write_seconds: ContextVar[float | None] = ContextVar("write_seconds", default=None)


def write_timeout(seconds: float) -> AbstractContextManager[None]:
    """Give each write of this thread's requests ``seconds``. urllib3 gives it the timeout of connecting."""
    return _Within(_write_seconds, seconds)


class DeadlineExceeded(Exception):
    """A response was not complete in time."""


class TLSTimeoutError(ConnectTimeoutError):
    """A connection was accepted, and its TLS handshake not answered in time. urllib3 reports it as a late response."""


class _DeadlineReader(io.RawIOBase):
    """Reads from ``reads`` until the deadline."""

    def __init__(self, reads: io.RawIOBase) -> None:
        self._reads = reads
        self._seconds = _seconds.get() or RESPONSE_SECONDS
        self._deadline = time.monotonic() + self._seconds

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reads.fileno()

    def readinto(self, buffer: Any, /) -> int | None:
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded(f"was still answering after {self._seconds} s")
        count: int | None = self._reads.readinto(buffer)
        return count

    def close(self) -> None:
        self._reads.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: io.BufferedReader = io.BufferedReader(_DeadlineReader(self.fp.detach()))

    def begin(self) -> None:
        """Read the head of the response: as Python does, but for 1xx responses and the parser of the fields.

        Python skips ``100 Continue`` only, and takes ``103 Early Hints`` for the response. The real response would then
        answer the next request on this connection, for another tag.
        """
        version, status, reason = self._read_status()  # type: ignore[attr-defined]
        while status < http.HTTPStatus.OK:
            read_head(self.fp)
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        if self.version == 11 and not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.headers = self.msg = read_head(self.fp)
        self._frame()

    def _frame(self) -> None:
        """Find out how the body ends: https://www.rfc-editor.org/rfc/rfc9112#section-6.3."""
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        has_no_body = self._method == "HEAD" or self.status in (204, 304)  # type: ignore[attr-defined]
        self.length = 0 if has_no_body else self._content_length()
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        if not self.chunked and self.length is None:
            self.will_close = True

    def _content_length(self) -> int | None:
        """The length of a body that is not chunked; ``None`` for one that ends with the connection."""
        text = self.headers.get("content-length", "")
        try:
            return int(text) if int(text) >= 0 and not self.chunked else None
        except ValueError:
            return None


class OpenConnections:
    """The open connections of one client, which another thread or a signal handler can break off."""

    def __init__(self) -> None:
        self._connections = set[HTTPConnection]()
        self._is_aborted = False

    def add(self, connection: HTTPConnection) -> None:
        """Note a connection that was opened. :raises OSError: after :meth:`abort`."""
        self._connections.add(connection)
        if self._is_aborted:
            connection.close()
            raise ConnectionAbortedError("the task is being ended")

    def remove(self, connection: HTTPConnection) -> None:
        """Forget a connection that was closed."""
        self._connections.discard(connection)

    def abort(self) -> None:
        """Break off every connection, so that whoever waits for it goes on at once. Takes no lock."""
        self._is_aborted = True
        for connection in list(self._connections):
            if isinstance(connection.sock, socket.socket):
                with suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # not TLS's own, which waits


class _Noted:
    """A connection that is noted while it is open."""

    opened: ClassVar[OpenConnections]
    response_class = _DeadlineResponse
    sock: socket.socket | None

    def connect(self) -> None:
        """:raises TLSTimeoutError: when the connection is accepted, and then not answered."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:  # of the handshake: that of the connection is one of urllib3
            raise TLSTimeoutError(self, str(error)) from error
        self.opened.add(self)  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        """Send a part of a request. A server that refuses a body may answer and close before it has read it all.

        urllib3 reads that answer after the error of a plain connection, and not after that of TLS.
        """
        if self.sock is not None:
            self.sock.settimeout(_write_seconds.get() or self.sock.gettimeout())
        try:
            super().send(data)  # type: ignore[misc]
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from error

    def close(self) -> None:
        self.opened.remove(self)  # type: ignore[arg-type]
        super().close()  # type: ignore[misc]


class _Plain:
    """A pool that also takes requests that need none of urllib3's changes: of their target, host, and proxy."""

    def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: Any, timeout: Timeout
    ) -> BaseHTTPResponse:
        """Send a request, and read the head of its response. It raises what ``urlopen`` does.

        ``urlopen`` parses and encodes each address character by character, which took a tenth of the CPU of a copy.

        :param target: path and query, encoded.
        """
        pool: Any = self
        connection = pool._get_conn()  # noqa: SLF001 - as ``urlopen`` does
        try:
            response: BaseHTTPResponse = pool._make_request(  # noqa: SLF001
                connection,
                method,
                target,
                headers=headers,
                body=body,
                timeout=timeout,
                retries=NO_RETRIES,
                response_conn=connection,
                preload_content=False,
            )
        except BaseException as error:
            connection.close()
            pool._put_conn(None)  # noqa: SLF001
            if isinstance(error, ssl.SSLError):
                raise SSLError(error) from error
            if isinstance(error, OSError | http.client.HTTPException):
                raise ProtocolError("Connection aborted.", error) from error
            raise
        return response


NO_RETRIES = Retry(False, redirect=False)
"""Errors are raised as they are. Retries, redirects and delays are decided above, by what they mean for a registry."""


def deadline_pools(opened: OpenConnections) -> dict[str, type]:
    """Classes of pools, by scheme, whose responses raise :class:`DeadlineExceeded` when they take too long.

    :param opened: notes the connections, also to a proxy.
    """
    plain = type("_Connection", (_Noted, HTTPConnection), {"opened": opened})
    tls = type("_TLSConnection", (_Noted, HTTPSConnection), {"opened": opened})
    return {
        "http": type("_Pool", (_Plain, HTTPConnectionPool), {"ConnectionCls": plain}),
        "https": type("_TLSPool", (_Plain, HTTPSConnectionPool), {"ConnectionCls": tls}),
    }
