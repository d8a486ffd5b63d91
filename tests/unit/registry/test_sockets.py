"""Connections that are not in use, and what has arrived on them, with TLS within the TLS of a proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from urllib3.util.ssltransport import SSLTransport

from registry_sync.registry.wire.sockets import is_idle, make_poll
from testkit.tls import CertificateAuthority


class InnerServer:
    """The server of TLS within TLS: its records are sent within those of the outer one."""

    def __init__(self, context: ssl.SSLContext, outer: ssl.SSLSocket) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        self._outer.do_handshake()
        while True:
            try:
                self._tls.do_handshake()
                return self.flush()
            except ssl.SSLWantReadError:
                self.flush()
                self._incoming.write(self._outer.recv(1 << 16))

    def flush(self) -> None:
        """Send the records so far in one record of the outer TLS."""
        self._outer.sendall(self._outgoing.read())

    def send(self, *records: bytes) -> None:
        for record in records:
            self._tls.write(record)
        self.flush()


@contextmanager
def tls_in_tls(directory: Path) -> Iterator[tuple[Any, InnerServer]]:
    """A connection as urllib3 opens it through a proxy by https, and the server at its other end."""
    authority = CertificateAuthority.create(directory)
    server, client = authority.issue().server_context(), ssl.create_default_context(cafile=str(authority.ca_file))
    ours, theirs = socket.socketpair()
    with ours, server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False) as outer:
        inner = InnerServer(server, outer)
        thread = threading.Thread(target=inner.shake_hands)
        thread.start()
        with client.wrap_socket(ours, server_hostname="localhost") as wrapped:
            connected = SSLTransport(wrapped, client, "localhost")
            thread.join()
            yield connected, inner


def behave(_: InnerServer) -> None:
    """Send nothing more."""


@pytest.mark.parametrize(
    ("then", "idle"),
    [
        (behave, True),
        (lambda server: server.send(b"late"), False),
        (lambda server: server._outer.shutdown(socket.SHUT_RDWR), False),  # noqa: SLF001 - the proxy closes
    ],
)
def test_tickets_are_no_response(tmp_path: Path, then: Callable[[InnerServer], object], *, idle: bool) -> None:
    with tls_in_tls(tmp_path) as (connected, server):
        server.send(b"answer")
        assert connected.recv(100) == b"answer"
        then(server)
        assert is_idle(connected, make_poll(connected)) is idle
        assert connected.gettimeout() is None


def test_bytes_that_the_wrapper_holds_are_seen(tmp_path: Path) -> None:
    """They have been read from the socket together with the record before, and would answer the next request."""
    with tls_in_tls(tmp_path) as (connected, server):
        server.send(b"answer", b"of another request")
        assert connected.recv(100) == b"answer"
        assert not is_idle(connected, make_poll(connected))
