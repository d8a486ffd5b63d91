"""A reverse proxy in front of a registry that injects faults of networks and registries."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from testkit.loopback import LoopbackHandler, LoopbackServer, Request
from testkit.tls import Certificate
from testkit.waiting import PATIENCE_SECONDS

CHUNK_BYTES = 1 << 16
ANY = "*"

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_BODYLESS = frozenset({204, 304})
_OWN_AGENT = "registry_sync/"
"""Start of the User-Agent of our own client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer instead of the registry."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the connection with a TCP reset, without an answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Accept the request and say nothing until one side closes."""


@dataclass(frozen=True, slots=True)
class Lose:
    """Pass the request on, and reset the connection instead of returning the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate:
    """Cut the answer after ``size_bytes`` of its body, by a reset or as if the body ended there."""

    size_bytes: int
    is_reset: bool = True


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Invert the last byte of the request's body, or of the answer's when the request has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Change a header of the registry's answer."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Pass the request on without its Authorization, as if its token had expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """Call back between the registry's answer and the client seeing it."""

    callback: Callable[[Request], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """Limit the speed of bodies in both directions."""

    bytes_per_second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Delay the request, as a slow network does."""

    seconds: float


Action = Answer | Reset | Hang | Lose | Truncate | Corrupt | Header | Anonymous | After | Slow | Delay


@dataclass(slots=True, kw_only=True)
class _Rule:
    method: str
    path: re.Pattern[str]
    action: Action
    remaining: float
    only_skopeo: bool = False

    def takes(self, method: str, path: str, agent: str) -> bool:
        is_meant = not (self.only_skopeo and agent.startswith(_OWN_AGENT))
        return is_meant and self.remaining > 0 and self.method in (ANY, method) and self.path.search(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """Actions of the rules for one request, up to the first that ends it."""

    ending: Answer | Reset | Hang | None = None
    truncate: Truncate | None = None
    is_lost: bool = False
    is_corrupt: bool = False
    is_anonymous: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    callbacks: tuple[Callable[[Request], None], ...] = ()
    bytes_per_second: int | None = None
    delay_seconds: float = 0.0


class Interceptor:
    """Passes requests on to ``upstream_url``, except where a rule changes that.

    A rule has a method (or ``ANY``) and a regular expression that is searched in the path, without the query. It
    acts ``times`` times, or always. Rules may be added and cleared while requests run.

    Clients use ``host`` or ``url`` instead of the registry's; ``Location`` headers lead back here. It speaks plain
    HTTP unless it has a ``certificate``; ``ca_file`` is for an upstream with TLS.
    """

    def __init__(
        self, upstream_url: str, *, ca_file: Path | None = None, certificate: Certificate | None = None
    ) -> None:
        self._upstream = urlsplit(upstream_url)
        self._tls = ssl.create_default_context(cafile=ca_file) if self._upstream.scheme == "https" else None
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._requests: list[Request] = []
        self._in_flight = self._most_in_flight = 0
        self._stopped = threading.Event()
        self._server = LoopbackServer(partial(_Handler, self))
        if certificate:
            self.show(certificate)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Stop, and release requests that hang, wait or are slow."""
        self._stopped.set()
        self._server.stop()

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``, as in an image reference."""
        return self._server.host

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def scheme(self) -> str:
        return "https" if self._server.tls else "http"

    def show(self, certificate: Certificate) -> None:
        """Use another certificate from the next connection on."""
        self._server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.tls.load_cert_chain(certificate.cert_file, certificate.key_file)

    def requests(self) -> list[Request]:
        """The requests since the start or ``clear_requests()``, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """Number of connections since the start."""
        return self._server.accepted

    @property
    def most_in_flight(self) -> int:
        """The most requests at a time, each until the registry's answer, or another one, begins."""
        with self._lock:
            return self._most_in_flight

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request as in flight."""
        with self._lock:
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def clear_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def answer(
        self,
        method: str,
        path_regex: str,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        *,
        only_skopeo: bool = False,
    ) -> None:
        """Answer instead of the registry, which does not see the request. ``only_skopeo``: not to our own client."""
        action = Answer(status=status, body=body, headers=headers or {})
        self._add(method, path_regex, action, times, only_skopeo=only_skopeo)

    def reset(self, method: str, path_regex: str, times: int | None = None) -> None:
        """Reset the connection; the registry does not see the request."""
        self._add(method, path_regex, Reset(), times)

    def hang(self, method: str, path_regex: str, times: int | None = None) -> None:
        """Never answer; the registry does not see the request."""
        self._add(method, path_regex, Hang(), times)

    def lose(self, method: str, path_regex: str, times: int | None = None) -> None:
        """Pass the request on, and reset the connection instead of returning the answer."""
        self._add(method, path_regex, Lose(), times)

    def truncate(
        self, method: str, path_regex: str, size_bytes: int, times: int | None = None, *, is_reset: bool = True
    ) -> None:
        """Reset the connection after ``size_bytes`` of the answer's body, or close it as if that were all."""
        self._add(method, path_regex, Truncate(size_bytes=size_bytes, is_reset=is_reset), times)

    def corrupt(self, method: str, path_regex: str, times: int | None = None) -> None:
        """Damage the last byte of the request's body, or of the answer's when the request has none."""
        self._add(method, path_regex, Corrupt(), times)

    def header(self, method: str, path_regex: str, name: str, value: str, times: int | None = None) -> None:
        """Set the header ``name`` of the registry's answer to ``value``."""
        self._add(method, path_regex, Header(name=name, value=value), times)

    def anonymous(self, method: str, path_regex: str, times: int | None = None) -> None:
        """Pass the request on without its Authorization."""
        self._add(method, path_regex, Anonymous(), times)

    def after(
        self, method: str, path_regex: str, callback: Callable[[Request], None], times: int | None = None
    ) -> None:
        """Call ``callback`` between the registry's answer and the client seeing it."""
        self._add(method, path_regex, After(callback=callback), times)

    def slow(self, method: str, path_regex: str, bytes_per_second: int, times: int | None = None) -> None:
        """Limit bodies in both directions to ``bytes_per_second``."""
        self._add(method, path_regex, Slow(bytes_per_second=bytes_per_second), times)

    def delay(self, method: str, path_regex: str, seconds: float, times: int | None = None) -> None:
        """Delay each request by ``seconds``, as a slow network does."""
        self._add(method, path_regex, Delay(seconds=seconds), times)

    def clear_rules(self) -> None:
        with self._lock:
            self._rules.clear()

    def _add(
        self, method: str, path_regex: str, action: Action, times: int | None, *, only_skopeo: bool = False
    ) -> None:
        rule = _Rule(
            method=method,
            path=re.compile(path_regex),
            action=action,
            remaining=float("inf") if times is None else times,
            only_skopeo=only_skopeo,
        )
        with self._lock:
            self._rules.append(rule)

    def take_course(self, method: str, path: str, agent: str) -> _Course:
        """Actions for a request, counted as used. Rules after one that ends the request do not see it."""
        with self._lock:
            actions: list[Action] = []
            for rule in self._rules:
                if rule.takes(method, path, agent):
                    rule.remaining -= 1
                    actions.append(rule.action)
                    if _ends(rule.action):
                        break
        return _course(actions)

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def wait(self, seconds: float) -> None:
        """:raises ConnectionAbortedError: when the interceptor is stopped meanwhile."""
        if seconds > 0 and self._stopped.wait(seconds):
            raise ConnectionAbortedError("the interceptor was stopped")

    def connect(self) -> http.client.HTTPConnection:
        host, port = self._upstream.hostname or "", self._upstream.port
        if self._tls:
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)

    def extra_headers(self, request: Request) -> Mapping[str, str]:  # noqa: ARG002 - used by servers of a kind
        """Header fields that the registry's answer to a request gets besides its own."""
        return {}

    def own_location(self, location: str) -> str:
        """``location`` with this server's address instead of the registry's."""
        return location.replace(f"{self._upstream.scheme}://{self._upstream.netloc}/", f"{self.url}/", 1)


class _Handler(LoopbackHandler):
    """A client connection, with a connection to the registry for each request."""

    def __init__(self, interceptor: Interceptor, *args: Any) -> None:
        self._interceptor = interceptor
        super().__init__(*args)

    def do_any(self) -> None:
        path = urlsplit(self.path).path
        course = self._interceptor.take_course(self.command, path, self.headers.get("User-Agent", ""))
        with self._interceptor.in_flight():
            self._interceptor.wait(course.delay_seconds)
        match course.ending:
            case Answer() as answer:
                self._drain()
                self._give(answer)
            case Reset():
                self._record(0)
                self._reset()
            case Hang():
                self._record(0)
                self._hang()
            case None:
                self._forward(course)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_any  # noqa: N815 - names of the base class

    def _record(self, status: int) -> Request:
        parts = urlsplit(self.path)
        request = Request(method=self.command, path=parts.path, query=parts.query, status=status)
        self._interceptor.record(request)
        return request

    def _give(self, answer: Answer) -> None:
        self._record(answer.status)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in _BODYLESS:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in _BODYLESS:
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        """Close with SO_LINGER 0, so the kernel sends RST. The socket is detached, or the base class would send FIN."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    def _hang(self) -> None:
        self.close_connection = True
        while self.connection.recv(CHUNK_BYTES):
            continue

    def _drain(self) -> None:
        for _ in self._request_body() or ():
            continue

    def _forward(self, course: _Course) -> None:
        upstream = self._interceptor.connect()
        try:
            try:
                with self._interceptor.in_flight():
                    response = self._ask(upstream, course)
            except ConnectionAbortedError:
                raise
            except (OSError, http.client.HTTPException) as error:
                self.close_connection = True
                self._give(Answer(status=502, body=f"no answer from the registry: {error!r}".encode(), headers={}))
                return
            request = self._record(response.status)
            for callback in course.callbacks:
                callback(request)
            if course.is_lost:
                self._reset()
            else:
                self._return(response, course, self._interceptor.extra_headers(request))
        finally:
            upstream.close()

    def _ask(self, upstream: http.client.HTTPConnection, course: _Course) -> http.client.HTTPResponse:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        dropped = _HOP_BY_HOP | {"expect", "x-forwarded-proto"} | ({"authorization"} if course.is_anonymous else set())
        for name, value in self.headers.items():
            if name.lower() not in dropped:
                upstream.putheader(name, value)
        upstream.putheader("X-Forwarded-Proto", self._interceptor.scheme)
        body = self._request_body()
        is_chunked = "Content-Length" not in self.headers and body is not None
        if is_chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        sent = self._paced(_damaged(body) if course.is_corrupt else body, course) if body else None
        try:
            upstream.endheaders(sent, encode_chunked=is_chunked)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # an early refusal may be waiting: read it
        return upstream.getresponse()

    def _request_body(self) -> Iterator[bytes] | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        return _pieces(self.rfile.read, length) if length else None

    def _chunks(self) -> Iterator[bytes]:
        """The body of a request in chunked coding (RFC 9112, 7.1), trailers dropped."""
        while size_bytes := int(self.rfile.readline().partition(b";")[0], 16):
            yield from _pieces(self.rfile.read, size_bytes)
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue

    def _return(self, response: http.client.HTTPResponse, course: _Course, extra: Mapping[str, str]) -> None:
        has_body = self.command != "HEAD" and response.status not in _BODYLESS
        is_chunked = has_body and response.length is None
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                is_location = name.lower() == "location"
                own = self._interceptor.own_location(value) if is_location else value
                self.send_header(name, course.headers.get(name, own))
        for name, value in extra.items():
            self.send_header(name, value)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if has_body:
            self._return_body(response, course, is_chunked=is_chunked)

    def _return_body(self, response: http.client.HTTPResponse, course: _Course, *, is_chunked: bool) -> None:
        left = course.truncate.size_bytes if course.truncate else None
        pieces: Iterable[bytes] = iter(partial(response.read, CHUNK_BYTES), b"")
        if course.is_corrupt and self.command == "GET":
            pieces = _damaged(pieces)
        for piece in self._paced(pieces, course):
            kept = piece if left is None else piece[:left]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(kept), kept) if is_chunked and kept else kept)
            left = None if left is None else left - len(kept)
            if left == 0:
                self._break_off(course)
                return
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif response.length:  # the registry closed the connection: the client sees that too
            self._reset()

    def _break_off(self, course: _Course) -> None:
        self.close_connection = True
        if course.truncate and course.truncate.is_reset:
            self._reset()

    def _paced(self, pieces: Iterable[bytes], course: _Course) -> Iterator[bytes]:
        """The pieces, each after its time. Time that was lost is not made up for: a machine may stand still."""
        rate = course.bytes_per_second
        if rate is None:
            yield from pieces
            return
        step = max(1, min(CHUNK_BYTES, rate // 20))
        for piece in pieces:
            for offset in range(0, len(piece), step):
                part = piece[offset : offset + step]
                self._interceptor.wait(len(part) / rate)
                yield part


def _pieces(read: Callable[[int], bytes], size_bytes: int) -> Iterator[bytes]:
    """``size_bytes`` in pieces that fit memory.

    :raises ConnectionAbortedError: when there are fewer.
    """
    while size_bytes:
        piece = read(min(size_bytes, CHUNK_BYTES))
        if not piece:
            raise ConnectionAbortedError("the client closed within a body")
        size_bytes -= len(piece)
        yield piece


def _damaged(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, with the last byte inverted."""
    held = b""
    for piece in pieces:
        if held:
            yield held
        held = piece
    if held:
        yield held[:-1] + bytes((held[-1] ^ 0xFF,))


def _ends(action: Action) -> bool:
    return isinstance(action, Answer | Reset | Hang)


def _course(actions: Iterable[Action]) -> _Course:
    actions = list(actions)
    rates = [action.bytes_per_second for action in actions if isinstance(action, Slow)]
    return _Course(
        ending=next((action for action in actions if isinstance(action, Answer | Reset | Hang)), None),
        truncate=next((action for action in actions if isinstance(action, Truncate)), None),
        is_lost=any(isinstance(action, Lose) for action in actions),
        is_corrupt=any(isinstance(action, Corrupt) for action in actions),
        is_anonymous=any(isinstance(action, Anonymous) for action in actions),
        headers={action.name: action.value for action in actions if isinstance(action, Header)},
        callbacks=tuple(action.callback for action in actions if isinstance(action, After)),
        bytes_per_second=min(rates, default=None),
        delay_seconds=sum(action.seconds for action in actions if isinstance(action, Delay)),
    )
