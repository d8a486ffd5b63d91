"""Pools of connections, which are noted while they are open, so that they can be broken off.

Connecting, tunnels of proxies, TLS and classes of errors are urllib3's. Its own objects for a pool, a request and a
response took a third of the CPU of a copy of small images.
"""

from __future__ import annotations

import io
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Any, ClassVar, NoReturn

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from registry_sync.registry.wire.deadline import DeadlineReader, TunnelResponse
from registry_sync.registry.wire.framing import ArrivingBody, Head, read_response_head
from registry_sync.registry.wire.plain_request import Body, write_request
from registry_sync.registry.wire.raw_response import RawResponse
from registry_sync.registry.wire.sockets import break_off, is_idle, make_poll
from registry_sync.registry.wire.urls import without_query

log = logging.getLogger(__name__)

IDLE_SECONDS = 50.0
"""Longest time between two requests on a connection. Gateways forget an idle connection, some without a word to either
side (Azure's load balancers after four minutes, Google's network after ten), and requests on it then time out. Servers
close theirs after a minute or so, perhaps just when a request arrives."""


_READ_BYTES = 64 * 1024
"""Bytes that are read at once. A small blob arrives together with its head."""


class TLSTimeoutError(ConnectTimeoutError):
    """A connection was accepted, and its TLS handshake not answered in time. urllib3 reports it as a late response."""


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
            if (connected := connection.sock) is not None:
                break_off(connected)


class _Noted:
    """A connection that is noted while it is open.

    :ivar stream: the bytes that arrive on it. It ends where its ``reader`` does.
    """

    opened: ClassVar[OpenConnections]
    response_class = TunnelResponse
    sock: Any
    reader: DeadlineReader
    stream: io.BufferedReader
    poll: Callable[[int], Sequence[Any]]
    used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """The connection was used lately, and the server has neither closed it nor sent anything that was not read.

        urllib3 counts the session tickets of TLS 1.3, too, which follow the handshake and are read with the first
        response. It would give up every connection that was opened ahead.
        """
        is_fresh = time.monotonic() - self.used_at < IDLE_SECONDS
        return self.sock is not None and is_fresh and is_idle(self.sock, self.poll)

    def connect(self) -> None:
        """:raises TLSTimeoutError: when the connection is accepted, and then not answered."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:  # of the handshake: that of the connection is one of urllib3
            raise TLSTimeoutError(self, str(error)) from error
        self.used_at = time.monotonic()
        self.reader = DeadlineReader(self.sock)
        self.stream = io.BufferedReader(self.reader, _READ_BYTES)
        self.poll = make_poll(self.sock)
        self.opened.add(self)  # type: ignore[arg-type]

    def close(self) -> None:
        self.opened.remove(self)  # type: ignore[arg-type]
        super().close()  # type: ignore[misc]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Timeouts of connecting, of each write and each read, and of a whole response, which has one by default."""

    connect_seconds: float
    read_seconds: float
    response_seconds: float | None = None


class HostPool:
    """Connections to one host or proxy, kept between requests. Safe to use from several threads.

    :param maker: a pool of urllib3 with classes of :func:`noted_pools`, which only makes connections here.
    :param most: connections that are kept. More are opened where more requests are sent at once.
    :param tunnels: requests go through a tunnel of a proxy.
    :ivar used_at: the time of the last request.
    """

    def __init__(self, maker: Any, most: int, *, tunnels: bool) -> None:
        self._maker, self._most, self._tunnels = maker, most, tunnels
        self._places: list[Any] = [None] * most  # with a connection or without; changed by atomic operations only
        self._is_closed = False
        self.used_at = time.monotonic()

    @property
    def opened(self) -> int:
        """The number of connections that were opened so far."""
        count: int = self._maker.num_connections
        return count

    @property
    def is_idle(self) -> bool:
        """No request is under way."""
        return len(self._places) >= self._most

    def connect(self, seconds: float) -> None:
        """Open one connection more for requests to come, unless as many are open as are kept.

        :raises HTTPError: as :meth:`send` does.
        """
        try:
            self._places.remove(None)
        except ValueError:
            return
        connection = self._maker._new_conn()  # noqa: SLF001 - as ``urlopen`` does
        try:
            self._open(connection, seconds)
        except BaseException as error:
            self._fail(connection, error)
        self._give_back(connection, is_kept=True)

    def send(self, method: str, target: str, head: bytes, body: Body, timeouts: Timeouts) -> RawResponse:
        """Send a request, and read the head of its response.

        :param target: the address in the request line, for errors.
        :param head: all lines before the body.
        :raises HTTPError: as ``urlopen`` of urllib3 does.
        """
        connection = self._take()
        try:
            if connection.sock is None:
                self._open(connection, timeouts.connect_seconds)
            began = self.used_at = time.monotonic()
            if connection.sock.gettimeout() != timeouts.read_seconds:
                connection.sock.settimeout(timeouts.read_seconds)
            is_sent = write_request(connection.sock, head, body)
            answer = self._read_head(connection, target, timeouts)
            arriving = ArrivingBody(connection.stream, method, answer)
            took_seconds = time.monotonic() - began
        except BaseException as error:
            self._fail(connection, error)
        if log.isEnabledFor(logging.DEBUG):
            log.debug('%s "%s %s" %d', self._maker.host, method, without_query(target), answer.status)
        arriving.may_follow = arriving.may_follow and is_sent
        return RawResponse(
            answer, arriving, pool=self._maker, seconds=took_seconds, release=partial(self._release, connection)
        )

    def close(self) -> None:
        """Close the connections that are not in use, and those in use when they are given back."""
        self._is_closed = True
        for _ in range(len(self._places)):
            try:
                connection = self._places.pop()
            except IndexError:
                return
            if connection is not None:
                connection.close()

    def _take(self) -> Any:
        """A connection that can be used, or one that has to be opened."""
        try:
            connection = self._places.pop()
        except IndexError:
            connection = None
        if connection is None:
            return self._maker._new_conn()  # noqa: SLF001 - as ``urlopen`` does
        if not connection.is_connected:
            connection.close()
        return connection

    def _open(self, connection: Any, seconds: float) -> None:
        connection.timeout = seconds
        if self._tunnels:
            self._maker._prepare_proxy(connection)  # noqa: SLF001 - as ``urlopen`` does
        else:
            connection.connect()

    def _read_head(self, connection: Any, target: str, timeouts: Timeouts) -> Head:
        connection.reader.begin(timeouts.response_seconds)
        try:
            return read_response_head(connection.stream)
        except TimeoutError as error:
            text = f"Read timed out. (read timeout={timeouts.read_seconds})"
            raise ReadTimeoutError(self._maker, target, text) from error

    def _release(self, connection: Any, is_kept: bool) -> None:
        """Take a connection back after a response.

        One with bytes behind it, such as the body of a HEAD, is closed. The rest of them would arrive as the response
        to the next request.
        """
        connection.reader.end()
        self._give_back(connection, is_kept=is_kept and not connection.stream.peek(1))

    def _give_back(self, connection: Any, *, is_kept: bool) -> None:
        if not is_kept:
            connection.close()
        if len(self._places) >= self._most:
            connection.close()
            return
        connection.used_at = time.monotonic()
        self._places.append(connection)
        if self._is_closed:  # asked afterwards: another thread may close the pool at any time
            self.close()

    def _fail(self, connection: Any, error: BaseException) -> NoReturn:
        """Close a connection after an error, and raise the error as urllib3 does."""
        is_proxy_fault = connection.proxy is not None and not connection.has_connected_to_proxy
        connection.close()
        if len(self._places) < self._most:
            self._places.append(None)
        raised = SSLError(error) if isinstance(error, ssl.SSLError) else error
        if is_proxy_fault and isinstance(raised, OSError | HTTPException | HTTPError):
            raise ProxyError("Unable to connect to proxy", raised) from error
        if isinstance(raised, OSError | HTTPException):
            raise ProtocolError("Connection aborted.", raised) from error
        if raised is error:
            raise error
        raise raised from error


def noted_pools(opened: OpenConnections) -> dict[str, type]:
    """Classes of urllib3's pools, by scheme, whose connections are noted in ``opened``, also those to a proxy."""
    plain = type("_Connection", (_Noted, HTTPConnection), {"opened": opened})
    tls = type("_TLSConnection", (_Noted, HTTPSConnection), {"opened": opened})
    return {
        "http": type("_Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_TLSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }
