"""A server that follows a script, with or without TLS, and records the credentials that it receives."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from testkit.loopback import LoopbackHandler, LoopbackServer
from testkit.tls import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedRequest:
    """A request with its credentials."""

    method: str
    target: str
    authorization: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. An endless ``body`` has no Content-Length, and is sent until the client closes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


Script = Callable[[ScriptedRequest], Reply]


class ScriptedServer:
    """Answers each request by ``script``, from ``with`` to the block's end."""

    def __init__(self, script: Script, *, tls: Certificate | None = None) -> None:
        self.script = script
        self._lock = threading.Lock()
        self._shown: list[ScriptedRequest] = []
        self._tls = tls
        self._server = LoopbackServer(partial(_Handler, self))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert_file, tls.key_file)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return self._server.host

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def shown(self) -> list[ScriptedRequest]:
        """Requests so far, oldest first."""
        with self._lock:
            return list(self._shown)

    @property
    def connections(self) -> int:
        """Number of connections so far."""
        return self._server.accepted

    def note(self, shown: ScriptedRequest) -> None:
        with self._lock:
            self._shown.append(shown)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


class _Handler(LoopbackHandler):
    def __init__(self, server: ScriptedServer, *args: Any) -> None:
        self._scripted = server
        super().__init__(*args)

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shown = ScriptedRequest(
            method=self.command, target=self.path, authorization=self.headers.get("Authorization"), body=body
        )
        self._scripted.note(shown)
        reply = self._scripted.script(shown)
        # the handler's own Date and Server are left out where the script has a Date
        (self.send_response_only if "Date" in reply.headers else self.send_response)(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            return
        self.close_connection = True
        self.end_headers()
        for piece in reply.body:
            self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - names of the base class
