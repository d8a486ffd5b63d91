"""One HTTP exchange with a server: timeouts, size limits, and no secrets in logs.

Response bodies are read up to a limit. Redirects are not followed here, and no settings or passwords of the machine are
used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from urllib3.exceptions import HTTPError
from urllib3.util.request import ACCEPT_ENCODING

from registry_sync import __version__
from registry_sync.errors import RefusedError, RegistrySyncError, ResponseTimeout
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.sent_secrets import SentSecrets
from registry_sync.registry.wire.connections import Connections
from registry_sync.registry.wire.deadline import DeadlineExceeded
from registry_sync.registry.wire.http_errors import LONGEST_PROBLEM, decode_exception
from registry_sync.registry.wire.pools import Timeouts
from registry_sync.registry.wire.proxy_errors import decode_proxy_response
from registry_sync.registry.wire.rate_limit import PATIENCE_SECONDS
from registry_sync.registry.wire.raw_response import RawResponse
from registry_sync.registry.wire.response import BodyStream, Response
from registry_sync.registry.wire.urls import shown_url, without_query
from registry_sync.text import one_line

CONNECT_SECONDS, READ_SECONDS = 10, 60

ATTEMPTS = 3

MAX_RESPONSE_BYTES = 16 * 1024 * 1024

MAX_ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Timeouts of connecting and of each read, the maximum number of attempts, and the patience with 429s.

    With ``patience_seconds=0`` a 429 is an error at once, and neither heeds nor begins a pause of other requests.
    """

    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    attempts: int = ATTEMPTS
    patience_seconds: float = PATIENCE_SECONDS


class Body:
    """A request body that is read once, chunk by chunk.

    :ivar error: the error of the chunks, such as of the registry that they are read from.
    """

    def __init__(self, chunks: Iterable[bytes], size_bytes: int) -> None:
        self._chunks = chunks
        self._size_bytes = size_bytes
        self.error: RegistrySyncError | None = None

    def __len__(self) -> int:
        """The Content-Length."""
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except RegistrySyncError as error:
            self.error = error
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request before authentication.

    :param scope: of the token that it needs, such as ``repository:team/app:pull``; empty for none.
    :param max_bytes: the longest response body that is accepted.
    :param read_seconds: timeout of each read of the response and each write of the body; by default the transport's.
    :param response_seconds: timeout of the whole response; by default that of every request.
    :param is_optional: a 429 is an error at once and pauses no other request, and a redirect to another host is the
        response.
    :param is_streamed: the body of a 200 or 206 is read from the response's ``stream``, which must be closed.
    """

    method: str
    url: str
    scope: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    max_bytes: int = MAX_RESPONSE_BYTES
    read_seconds: float | None = None
    response_seconds: float | None = None
    is_streamed: bool = False
    is_optional: bool = False


_HEADERS = {"User-Agent": f"registry_sync/{__version__}", "Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING}


class Exchange:
    """Connections to the servers of one registry. Safe to use from ``max_connections`` threads at once."""

    def __init__(self, endpoint: Endpoint, limits: RequestLimits, *, max_connections: int) -> None:
        self._limits = limits
        self._secrets = SentSecrets(endpoint)
        self._connections = Connections(
            endpoint, max_connections=max_connections, note_login=self._secrets.note_authorization
        )

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests were sent to so far."""
        return self._connections.hosts

    def redact(self, text: str) -> str:
        """A text of a server without the secrets that were sent to it."""
        return self._secrets.redact(text)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def abort(self) -> None:
        """Break off all connections. Safe in a signal handler."""
        self._connections.abort()

    def connections(self, url: str) -> int:
        """The connections to the host of a URL that were opened so far."""
        return self._connections.count(url)

    def connect(self, url: str) -> None:
        """Open one connection more for requests to come. An error is left to the request that will meet it."""
        with suppress(HTTPError, RegistrySyncError):
            self._connections.connect(url, self._limits.connect_seconds)

    def send(self, request: Request, authorization: str | None) -> Response:
        """Send a request. What quotes a secret of it in an error, a page or a challenge is masked.

        :raises RegistrySyncError: one of its classes, for a failed connection. A status of 400 or more is returned.
        """
        try:
            raw = self._open(request, authorization)
            if request.is_streamed and raw.status in (200, 206):
                return self._response(raw, request, stream=BodyStream(_stream(raw, request.url), raw.give_back))
            try:
                self._check_proxy(raw, request.url)
                return self._complete(raw, request)
            finally:
                raw.give_back()
        except DeadlineExceeded as error:
            raise ResponseTimeout(f"{shown_url(request.url)} {error}") from None
        except HTTPError as error:  # its text has the query, which can be a signature
            proxy = self._connections.proxy_of(request.url)
            raise decode_exception(error, request.url, proxy, self._secrets.redact) from None

    def _complete(self, raw: RawResponse, request: Request) -> Response:
        """The response with its body, which is shown to people if it is an error or a page."""
        content = _read(raw, request)
        if raw.status >= 400 or content[:1] == b"<":
            content = self._secrets.redact_bytes(content)
        return self._response(raw, request, content=content)

    def _response(
        self, raw: RawResponse, request: Request, *, content: bytes = b"", stream: BodyStream | None = None
    ) -> Response:
        return Response(
            status=raw.status,
            headers=raw.headers,
            content=content,
            url=request.url,
            challenges=tuple(map(self._secrets.redact, raw.challenges)),
            seconds=raw.seconds,
            stream=stream,
        )

    def _check_proxy(self, raw: RawResponse, url: str) -> None:
        """:raises RegistrySyncError: when a proxy answered in place of the server. Through TLS it cannot."""
        proxy = self._connections.proxy_of(url) if raw.status >= 400 and url.startswith("http:") else ""
        if proxy and (error := decode_proxy_response(raw, url, proxy, self._secrets.redact)):
            raise error

    def _open(self, request: Request, authorization: str | None) -> RawResponse:
        """Send a request, and read the head of its response."""
        self._secrets.note(authorization, request.headers, request.body if request.method == "POST" else None)
        headers = {**_HEADERS, **request.headers}
        if authorization:
            headers["Authorization"] = authorization
        if isinstance(request.body, Body):
            headers["Content-Length"] = str(len(request.body))
        return self._connections.send(
            request.method,
            request.url,
            headers=headers,
            body=request.body,
            timeouts=Timeouts(
                connect_seconds=self._limits.connect_seconds,
                read_seconds=request.read_seconds or self._limits.read_seconds,
                response_seconds=request.response_seconds,
            ),
        )


def _read(raw: RawResponse, request: Request) -> bytes:
    """Read the whole body. Error bodies are cut at :data:`MAX_ERROR_BYTES`.

    :raises RefusedError: when the body of a successful response exceeds ``max_bytes``.
    """
    parts, size_bytes, is_error = list[bytes](), 0, raw.status >= 400
    max_bytes = MAX_ERROR_BYTES if is_error else request.max_bytes
    for chunk in raw.chunks():
        parts.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            if is_error:
                break
            raise RefusedError(f"{shown_url(request.url)} answered with more than {max_bytes} bytes")
    return b"".join(parts)[:max_bytes]


def _stream(raw: RawResponse, url: str) -> Iterator[bytes]:
    """The chunks of a body with our own errors. Who sends them on must not report them as errors of the receiver."""
    try:
        yield from raw.chunks()
    except DeadlineExceeded as error:
        raise ResponseTimeout(f"{shown_url(url)} {error}") from None
    except HTTPError as error:
        raise decode_exception(error, url) from None


def _redact(record: logging.LogRecord) -> bool:
    """Remove queries from urllib3's log records. The query of a URL can be a signature that grants access to a blob.

    urllib3 logs every URL at level debug. For a response with malformed headers it logs a warning with the URL and a
    traceback that contains the headers.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(
            value if isinstance(value, int | float) else without_query(one_line(str(value), LONGEST_PROBLEM))
            for value in record.args
        )
    record.exc_info = None
    return True


for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_redact)
