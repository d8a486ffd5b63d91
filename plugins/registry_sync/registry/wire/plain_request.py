"""HTTP/1.1 requests over the connections of urllib3's pools, without the objects that urllib3 makes for each.

Pools, TLS and classes of errors are urllib3's. Its objects for a request and a response took a quarter of the CPU of a
copy of small images.
"""

from __future__ import annotations

import errno
import http.client
import io
import logging
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError
from urllib3.util.wait import wait_for_read

from registry_sync.registry.wire.deadline import DeadlineResponse
from registry_sync.registry.wire.raw_response import DecodedResponse, PlainResponse, RawResponse
from registry_sync.registry.wire.response_head import HeaderFields, read_head
from registry_sync.registry.wire.urls import without_query

log = logging.getLogger(__name__)

Body = bytes | Iterable[bytes] | None

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})

_IS_ANSWERED = frozenset({errno.EPIPE, errno.EPROTOTYPE, errno.ECONNRESET})
"""Errors of sending to a server that has closed the connection. It may have answered before, which is read then."""

_JOINED_BYTES = 64 * 1024
"""Longest part of a body that is sent together with the head."""


class PlainHTTPResponse(DeadlineResponse):
    """A response whose head is read quickly."""

    @staticmethod
    def read_fields(stream: io.BufferedReader) -> HeaderFields:
        """See :func:`~registry_sync.registry.wire.response_head.read_head`."""
        return read_head(stream)


class PlainPool:
    """A pool of urllib3 that also takes requests which need none of its changes: of their target, host, and proxy."""

    def connect(self, seconds: float) -> None:
        """Open one connection more for requests to come, unless as many are open as the pool keeps.

        :raises HTTPError: what ``urlopen`` raises.
        """
        pool: Any = self
        queue = pool.pool
        if queue is None or not _take_empty_place(queue):
            return
        connection = pool._new_conn()  # noqa: SLF001 - as ``urlopen`` does
        with _closed_after_errors(pool, connection):
            _connect(connection, seconds)
        pool._put_conn(connection)  # noqa: SLF001

    def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: Body,
        connect_seconds: float,
        read_seconds: float,
    ) -> RawResponse:
        """Send a request, and read the head of its response.

        :param target: path and query, encoded.
        :param body: an iterable needs a ``Content-Length`` in the headers.
        :raises HTTPError: what ``urlopen`` raises.
        """
        pool: Any = self
        connection = pool._get_conn()  # noqa: SLF001 - as ``urlopen`` does
        with _closed_after_errors(pool, connection):
            _connect(connection, connect_seconds)
            began = time.monotonic()
            is_sent = _write(connection, request_head(connection, method, target, headers, body), body)
            response = _read_head(pool, connection, method, target, read_seconds)
            response.will_close = response.will_close or not is_sent
            seconds = time.monotonic() - began
        if log.isEnabledFor(logging.DEBUG):
            log.debug('%s "%s %s" %d', pool.host, method, without_query(target), response.status)
        if response.headers.get("Content-Encoding"):
            return _decoded(pool, connection, response, method)
        return PlainResponse(pool, connection, response, seconds)


def _take_empty_place(queue: Any) -> bool:
    """Take an empty place of a pool. Its queue has ``None`` for each place without a connection."""
    with queue.mutex:
        is_found = None in queue.queue
        if is_found:
            queue.queue.remove(None)
    return is_found


@contextmanager
def _closed_after_errors(pool: Any, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Close a connection after an error, and raise the error as urllib3 does."""
    try:
        yield
    except BaseException as error:
        connection.close()
        pool._put_conn(None)  # noqa: SLF001 - as ``urlopen`` does
        if isinstance(error, ssl.SSLError):
            raise SSLError(error) from error
        if isinstance(error, OSError | http.client.HTTPException):
            raise ProtocolError("Connection aborted.", error) from error
        raise


def _connect(connection: http.client.HTTPConnection, seconds: float) -> None:
    if connection.sock is None:
        connection.timeout = seconds
        connection.connect()


def request_head(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: Body
) -> bytes:
    """The request line and the header fields.

    :raises ValueError: for a line break in one of them.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {_host(connection)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if isinstance(body, bytes) or (body is None and method not in _WITHOUT_BODY):
        lines.append(f"Content-Length: {len(body or b'')}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1:
        raise ValueError(f"the {method} request has a header field with a line break")
    return f"{text}\r\n\r\n".encode("latin-1")


def _host(connection: http.client.HTTPConnection) -> str:
    """The field ``Host``."""
    name = connection.host if connection.host.isascii() else connection.host.encode("idna").decode("ascii")
    host = f"[{name}]" if ":" in name else name
    return host if connection.port == connection.default_port else f"{host}:{connection.port}"


def _write(connection: http.client.HTTPConnection, head: bytes, body: Body) -> bool:
    """Send a request. The first part of its body goes with the head, in one packet where it is short.

    Returns false when the server took only a part of it, because it has answered already.
    """
    parts = iter((body,) if isinstance(body, bytes) else body or ())
    first = next(parts, b"")
    try:
        if len(first) <= _JOINED_BYTES:
            connection.send(head + first)
        else:
            connection.send(head)
            connection.send(first)
        for part in parts:
            connection.send(part)
    except OSError as error:
        if error.errno in _IS_ANSWERED:
            return False
        if isinstance(error, TimeoutError) and wait_for_read(connection.sock, timeout=0.0):
            return False
        raise
    return True


def _read_head(
    pool: Any, connection: http.client.HTTPConnection, method: str, target: str, read_seconds: float
) -> PlainHTTPResponse:
    connection.sock.settimeout(read_seconds)
    response = PlainHTTPResponse(connection.sock, method=method)
    try:
        response.begin()
    except BaseException as error:
        response.close()
        if isinstance(error, TimeoutError):
            raise ReadTimeoutError(pool, target, f"Read timed out. (read timeout={read_seconds})") from error
        raise
    return response


def _decoded(
    pool: Any, connection: http.client.HTTPConnection, response: PlainHTTPResponse, method: str
) -> RawResponse:
    """A response with an encoded body, such as a compressed one."""
    decoded = HTTPResponse(
        body=response,
        headers=HTTPHeaderDict(response.headers.items()),
        status=response.status,
        version=response.version,
        reason=response.reason,
        preload_content=False,
        original_response=response,
        pool=pool,
        connection=connection,  # type: ignore[arg-type]
        request_method=method,
    )
    return DecodedResponse(decoded)
