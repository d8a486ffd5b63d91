"""A forward proxy on loopback: CONNECT and plain HTTP, with or without TLS, a login and refusals."""

from __future__ import annotations

import io
import socket
import socketserver
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Self, cast

from testkit.loopback import LoopbackServer
from testkit.tls import Certificate
from testkit.waiting import PATIENCE_SECONDS

Refusal = Callable[[str], bytes]
"""Takes the target of a request, and returns the response that refuses it; empty to let it through."""


def refuse(status: str, *, headers: str = "", body: bytes = b"") -> bytes:
    """A whole response, such as ``refuse("403 Forbidden")``."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class ForwardProxy:
    """Connects the names in ``hosts`` to servers of this machine, from ``with`` to the block's end.

    :param hosts: addresses ``127.0.0.1:PORT`` by the ``host:port`` that clients ask for. Others get a 502.
    :param login: ``user:password`` that it requires; others get a 407.
    :param refusal: refuses requests for a target.
    :param tls: speak TLS to clients.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        *,
        login: str = "",
        refusal: Refusal = lambda _: b"",
        tls: Certificate | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self.login = login
        self.refusal = refusal
        self._heads: list[str] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(partial(_Handler, self))
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._server.tls.load_cert_chain(tls.cert_file, tls.key_file)

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return self._server.host

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}"

    @property
    def heads(self) -> list[str]:
        """The heads of the requests so far, one text each."""
        with self._lock:
            return list(self._heads)

    @property
    def targets(self) -> set[str]:
        """The hosts and ports that clients asked for so far."""
        return {_target(head) for head in self.heads}

    def answer(self, head: str) -> bytes:
        """Record a request, and return the response that refuses it; empty to let it through."""
        with self._lock:
            self._heads.append(head)
        expected = f"proxy-authorization: basic {b64encode(self.login.encode()).decode()}".lower()
        if self.login and expected not in head.lower():
            return refuse("407 Proxy Authentication Required", headers='Proxy-Authenticate: Basic realm="proxy"\r\n')
        return self.refusal(_target(head)) or (b"" if _target(head) in self.hosts else refuse("502 Bad Gateway"))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def _target(head: str) -> str:
    """``host:port`` of a request: of ``CONNECT host:port``, or of the URL of a plain one."""
    method, target, _ = head.partition("\n")[0].split(" ", 2)
    if method == "CONNECT":
        return target
    host = target.removeprefix("http://").partition("/")[0]
    return host if ":" in host else f"{host}:80"


class _Handler(socketserver.StreamRequestHandler):
    def __init__(self, proxy: ForwardProxy, *args: Any) -> None:
        self._proxy = proxy
        super().__init__(*args)

    def handle(self) -> None:
        first = cast("io.BufferedReader", self.rfile).peek(1)[:1]
        if not first.isalpha():  # the start of a TLS handshake
            self.wfile.write(refuse("400 Bad Request") if first else b"")
            return
        head = "\n".join(iter(lambda: self.rfile.readline().decode("latin-1").strip(), ""))
        if response := self._proxy.answer(head):
            self.wfile.write(response)
            return
        address, _, port = self._proxy.hosts[_target(head)].rpartition(":")
        with socket.create_connection((address, int(port))) as upstream:
            if head.startswith("CONNECT "):
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.sendall(_direct(head) + self.rfile.read(_length(head)))
            back = threading.Thread(target=_pour, args=(upstream, self.request), daemon=True)
            back.start()
            _pour(self.request, upstream)
            back.join(PATIENCE_SECONDS)


def _direct(head: str) -> bytes:
    """The head of a plain request as its server gets it, which then closes the connection."""
    first, _, fields = head.partition("\n")
    method, target, version = first.split(" ", 2)
    path = "/" + target.removeprefix("http://").partition("/")[2]
    kept = [line for line in fields.split("\n") if not line.lower().startswith(("proxy-", "connection:"))]
    return "\r\n".join((f"{method} {path} {version}", *kept, "Connection: close", "", "")).encode()


def _length(head: str) -> int:
    """The length of the body of a request."""
    fields = dict(line.lower().split(": ", 1) for line in head.split("\n")[1:] if ": " in line)
    return int(fields.get("content-length", 0))


def _pour(origin: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := origin.recv(1 << 16):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
