"""Pools of connections that are noted while they are open, so that they can be broken off."""

from __future__ import annotations

import errno
import ssl
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, ClassVar

from urllib3 import Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError

from registry_sync.registry.wire.deadline import DeadlineResponse, Within
from registry_sync.registry.wire.plain_request import PlainPool
from registry_sync.registry.wire.sockets import break_off, is_idle

IDLE_SECONDS = 50.0
"""Longest time between two requests on a connection. Gateways forget an idle connection, some without a word to either
side (Azure's load balancers after four minutes, Google's network after ten), and requests on it then time out. Servers
close theirs after a minute or so, perhaps just when a request arrives."""

_write_seconds: ContextVar[float | None] = ContextVar("write_seconds", default=None)


def write_timeout(seconds: float) -> AbstractContextManager[None]:
    """Give each write of this thread's requests ``seconds``. urllib3 gives it the timeout of connecting."""
    return Within(_write_seconds, seconds)


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
    """A connection that is noted while it is open."""

    opened: ClassVar[OpenConnections]
    response_class = DeadlineResponse
    sock: Any
    used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """The connection was used lately, and the server has neither closed it nor sent anything that was not read.

        urllib3 counts the session tickets of TLS 1.3, too, which follow the handshake and are read with the first
        response. It would give up every connection that was opened ahead.
        """
        is_fresh = time.monotonic() - self.used_at < IDLE_SECONDS
        return self.sock is not None and is_fresh and is_idle(self.sock)

    def connect(self) -> None:
        """:raises TLSTimeoutError: when the connection is accepted, and then not answered."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:  # of the handshake: that of the connection is one of urllib3
            raise TLSTimeoutError(self, str(error)) from error
        self.used_at = time.monotonic()
        self.opened.add(self)  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        """Send a part of a request. A server that refuses a body may answer and close before it has read it all.

        urllib3 reads that answer after the error of a plain connection, and not after that of TLS.
        """
        self.used_at = time.monotonic()
        if self.sock is not None:
            self.sock.settimeout(_write_seconds.get() or self.sock.gettimeout())
        try:
            super().send(data)  # type: ignore[misc]
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from error

    def close(self) -> None:
        self.opened.remove(self)  # type: ignore[arg-type]
        super().close()  # type: ignore[misc]


NO_RETRIES = Retry(False, redirect=False)
"""Errors are raised as they are. Retries, redirects and delays are decided above, by what they mean for a registry."""


def deadline_pools(opened: OpenConnections) -> dict[str, type]:
    """Classes of pools, by scheme, whose responses raise ``DeadlineExceeded`` when they take too long.

    :param opened: notes the connections, also to a proxy.
    """
    plain = type("_Connection", (_Noted, HTTPConnection), {"opened": opened})
    tls = type("_TLSConnection", (_Noted, HTTPSConnection), {"opened": opened})
    return {
        "http": type("_Pool", (PlainPool, HTTPConnectionPool), {"ConnectionCls": plain}),
        "https": type("_TLSPool", (PlainPool, HTTPSConnectionPool), {"ConnectionCls": tls}),
    }
