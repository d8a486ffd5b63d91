"""Registries of clouds on loopback, under their own names, and the services that issue their tokens.

Clients reach them through a proxy (``HTTPS_PROXY``), which leads each name to a server of the test. It refuses all
other names, so nothing leaves this machine.
"""

from __future__ import annotations

import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from testkit.interceptor import Answer, Interceptor, _Course, _Handler
from testkit.loopback import LoopbackHandler, LoopbackServer
from testkit.tls import Certificate


class NamedHosts:
    """A proxy that connects ``NAME:443`` to a server on loopback, from ``with`` to the block's end.

    :ivar refused: the names that it was asked for and does not know, and addresses that were to be reached by HTTP.
    """

    def __init__(self, servers: Mapping[str, str]) -> None:
        self.servers = dict(servers)
        self.refused: list[str] = []
        self._server = LoopbackServer(partial(_ProxyHandler, self))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a client of it."""
        url = f"http://{self._server.host}"
        return {"HTTPS_PROXY": url, "HTTP_PROXY": url, "NO_PROXY": "127.0.0.1", "https_proxy": url, "http_proxy": url}


class _ProxyHandler(LoopbackHandler):
    def __init__(self, hosts: NamedHosts, *args: Any) -> None:
        self._hosts = hosts
        super().__init__(*args)

    def do_CONNECT(self) -> None:  # noqa: N802 - name of the base class
        self.close_connection = True
        address = self._hosts.servers.get(self.path.removesuffix(":443"))
        if address is None:
            self._hosts.refused.append(self.path)
            self.send_error(403)
            return
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
            back.start()
            _pump(self.connection, upstream)
            back.join()

    def do_any(self) -> None:
        self._hosts.refused.append(self.path)
        self.send_error(403)

    do_GET = do_HEAD = do_POST = do_PUT = do_any  # noqa: N815 - names of the base class


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(1 << 16):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class CloudRegistry(Interceptor):
    """A registry that takes logins which end: in front of a real one, with Basic authentication.

    :param status: of the answer to a login that has ended, or is unknown.
    :param answers: answers of further paths, by the start of the path; they get the request's body.
    """

    def __init__(
        self,
        registry_url: str,
        certificate: Certificate,
        *,
        status: int = 401,
        answers: Mapping[str, Callable[[bytes], Answer]] | None = None,
    ) -> None:
        super().__init__(registry_url, certificate=certificate)
        self.status = status
        self.answers = answers or {}
        self.rejected = 0
        self._ends: dict[str, float] = {}
        self._server.RequestHandlerClass = partial(_CloudHandler, self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def accept(self, user: str, secret: str, *, seconds: float = 3600) -> None:
        """Accept a login from now on, for a time."""
        self._ends[f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}"] = time.monotonic() + seconds

    def reject_all(self) -> None:
        """Accept none of the logins so far any longer."""
        self._ends.clear()

    def is_accepted(self, authorization: str | None) -> bool:
        return time.monotonic() < self._ends.get(authorization or "", 0)


class _CloudHandler(_Handler):
    def __init__(self, registry: CloudRegistry, *args: Any) -> None:
        self._registry = registry
        super().__init__(registry, *args)

    def _forward(self, course: _Course) -> None:
        answer = next((answer for start, answer in self._registry.answers.items() if self.path.startswith(start)), None)
        if answer:
            self._give(answer(b"".join(self._request_body() or ())))
            return
        sent = self.headers.get("Authorization")
        if self._registry.is_accepted(sent):
            super()._forward(course)
            return
        self._drain()
        if sent is None:
            self._give(Answer(status=401, body=b"", headers={"WWW-Authenticate": 'Basic realm="cloud"'}))
            return
        self._registry.rejected += 1
        headers = {"WWW-Authenticate": 'Basic realm="cloud"'} if self._registry.status == 401 else {}
        body = b'{"errors":[{"code":"DENIED","message":"Your authorization token has expired."}]}'
        self._give(Answer(status=self._registry.status, body=body, headers=headers))
