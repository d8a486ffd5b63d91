"""An HTTP server on a free loopback port that records its requests."""

from __future__ import annotations

import atexit
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A port of loopback that only a server of ours can have until ``close()``, also while none listens on it.

    A socket stays bound to it, so the kernel gives it to no other process and to no connection. A server with
    ``SO_REUSEADDR``, as nearly all have it, can still bind it and listen.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


def free_port() -> int:
    """A port of loopback on which nothing listens, held until this process ends."""
    held = HeldPort()
    atexit.register(held.close)
    return held.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a test server. ``status`` is that of the answer, or 0 when the connection was closed instead."""

    method: str
    path: str
    query: str = ""
    status: int


class LoopbackHandler(BaseHTTPRequestHandler):
    """A silent HTTP/1.1 handler that keeps connections open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing; the requests are in the server's ``requests()``."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves on ``host`` from ``start()`` to ``stop()``; each connection has a thread of its own.

    New connections are encrypted while ``tls`` is set.
    """

    request_queue_size = 256
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def __init__(self, handler: Callable[[Any, Any, Any], socketserver.BaseRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        self._accepted = 0
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, 0), handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"{LOOPBACK}:{self.server_address[1]}"

    @property
    def accepted(self) -> int:
        """Number of connections so far."""
        with self._lock:
            return self._accepted

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections, and close the open ones so their handlers end."""
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                _shutdown(connection)
        self.server_close()

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Its thread does the TLS handshake with the first read."""
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
            self._accepted += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show errors of a handler, except a closed connection and a rejected certificate."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)


def _shutdown(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


class Blackhole:
    """A port that neither accepts nor refuses connections: its queue is full, so the kernel drops packets."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(0)
        self._queued = [socket.socket() for _ in range(4)]

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        for each in self._queued:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(self._listener.getsockname())
        return self

    def __exit__(self, *_: object) -> None:
        for each in (*self._queued, self._listener):
            each.close()
