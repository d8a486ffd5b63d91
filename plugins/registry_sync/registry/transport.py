"""HTTP requests to one registry: timeouts, retries, authentication, redirects, paging and size limits.

Invariants: response bodies are read up to a limit; ``Link`` stays on the registry's own origin; a redirect to another
host carries no Authorization; an error page is raised as an error.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import parse_header_links
from urllib3.exceptions import HTTPError

from registry_sync import __version__
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    ResponseTimeout,
    TemporaryError,
)
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.registry.auth import Authenticator, ChallengeAuthenticator
from registry_sync.registry.deadline import DeadlineAdapter, DeadlineExceeded
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.http_errors import (
    LONGEST_PROBLEM,
    TRANSIENT_STATUSES,
    decode_error,
    decode_exception,
    first_problem,
)
from registry_sync.registry.kinds import api_url_fault
from registry_sync.registry.rate_limit import RateLimiter
from registry_sync.registry.response import Response
from registry_sync.registry.retry_after import requested_delay
from registry_sync.registry.urls import join_url, origin_of, shown_url, without_query
from registry_sync.text import one_line

log = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 10, 60

MAX_RESPONSE_BYTES = 16 * 1024 * 1024

MAX_ERROR_BYTES = 64 * 1024

MAX_PAGES = 10_000
"""Most pages of one listing. With a hundred entries each, that is a million entries."""

ATTEMPTS = 3

LONGEST_WAIT_SECONDS = 10
"""Longest requested delay that a worker sleeps through. Longer delays become :class:`RateLimited`."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_REDIRECTS = 5

_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Timeouts of connecting and of each read, and the maximum number of attempts."""

    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    attempts: int = ATTEMPTS


DEFAULT_LIMITS = RequestLimits()

Sink = Callable[[bytes], object]
"""Receives a response body chunk by chunk, so that it is never held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request before authentication.

    :param scope: of the token that it needs, such as ``repository:team/app:pull``; empty for none.
    :param max_bytes: the longest response body that is accepted.
    :param sink: receives the body of a 200; the response then has none.
    """

    method: str
    url: str
    scope: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    max_bytes: int = MAX_RESPONSE_BYTES
    sink: Sink | None = None


class Transport:
    """A session with one registry, or with a vendor's API. Safe to use from ``max_connections`` threads at once.

    :param base_url: address of an API on another host than the registry, such as ``https://hub.docker.com``.
    :param authenticator: for an API that does not send challenges; the default follows the challenges of ``/v2``.
    :param requests_per_second: maximum rate; ``None`` is unlimited.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        base_url: str | None = None,
        authenticator: Authenticator | None = None,
        requests_per_second: float | None = None,
        limits: RequestLimits | None = None,
    ) -> None:
        if endpoint.ca_file and not endpoint.ca_file.is_file():
            raise ConfigurationError(f"{endpoint.host}: no CA file {str(endpoint.ca_file)!r} on this worker")
        self.endpoint = endpoint
        self.base_url = _api_origin(endpoint, base_url) if base_url else _registry_origin(endpoint)
        self._authenticator = authenticator or ChallengeAuthenticator(endpoint, self._fetch_token)
        self._rate_limiter = RateLimiter(requests_per_second, server=urlsplit(self.base_url).netloc)
        self._limits = limits or DEFAULT_LIMITS
        self._session = _Session()
        self._session.headers["User-Agent"] = f"registry_sync/{__version__}"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("https://", "http://"):
            self._session.mount(prefix, DeadlineAdapter(pool_maxsize=max_connections))

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send a request authenticated for ``scope``, with retries. All of our requests are idempotent.

        :param path: absolute, such as ``/v2/``, or a URL on the same origin.
        :raises RegistrySyncError: one of its classes, for a status of 400 or more and for a failed connection.
        """
        return self._send_handling_retries(
            Request(
                method=method,
                url=urljoin(self.base_url, path),
                scope=scope,
                headers=headers or {},
                body=body,
                max_bytes=max_bytes,
            )
        )

    def call_once(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes) -> Response:
        """Send an anonymous request without retries, such as a login. The call that needs the login is retried.

        :raises RegistrySyncError: as :meth:`call` does.
        """
        request = Request(method=method, url=urljoin(self.base_url, path), headers=headers, body=body)
        return _checked(request, self._send_handling_redirects(request, None))

    def download(self, path: str, sink: Sink, *, scope: str = "", headers: Mapping[str, str] | None = None) -> Response:
        """GET ``path`` without retries and write the body to ``sink``. The returned response has an empty body.

        :raises RegistrySyncError: as :meth:`call` does, possibly after a part of the body.
        """
        url = urljoin(self.base_url, path)
        request = Request(method="GET", url=url, scope=scope, headers=headers or {}, sink=sink)
        return _checked(request, self._send_handling_auth(request))

    def pages(
        self, path: str, *, scope: str = "", next_of: Callable[[Response], str] | None = None
    ) -> Iterator[Response]:
        """GET ``path`` and every following page, by ``Link: rel="next"``.

        :param next_of: returns the address of the next page for listings without ``Link``; empty is the end.
        :raises ConfigurationError: when a link leaves the registry's origin.
        :raises RefusedError: when the listing has more than :data:`MAX_PAGES` pages.
        :raises TemporaryError: when a link returns to an earlier page.
        """
        url, seen = urljoin(self.base_url, path), set[str]()
        while url:
            seen.add(url)
            response = self.call("GET", url, scope=scope)
            yield response
            link = (next_of or _next_link)(response)
            url = join_url(response.url, link) if link else ""
            if len(seen) >= MAX_PAGES and url:
                raise too_many_pages(shown_url(response.url))
            self._check_page(url, seen)

    def _check_page(self, url: str, seen: set[str]) -> None:
        if url and origin_of(url) != origin_of(self.base_url):
            raise ConfigurationError(
                f"{self.endpoint.host}: the link to the next page leads to another host, {shown_url(url)}; not followed"
            )
        if url in seen:
            raise TemporaryError(f"{self.endpoint.host}: the pages of a listing form a loop at {shown_url(url)}")

    def challenge(self) -> Response:
        """GET ``/v2/``, authenticated if the registry requires it.

        :raises DeniedError: when the registry rejects the credentials.
        :raises ConfigurationError: when the server is not a registry.
        """
        try:
            return self.call("GET", "/v2/")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self.base_url} does not answer like a registry: {error}") from error

    def _send_handling_retries(self, request: Request) -> Response:
        error: RegistrySyncError
        wait_seconds: float | None
        attempt = 1
        while True:
            try:
                response = self._send_handling_auth(request)
            except (TemporaryError, RateLimited) as raised:
                error, wait_seconds = raised, _wait_after_error(raised, attempt)
            else:
                if response.status < 400:
                    return response
                error, wait_seconds = decode_error(response, request.method), _wait_after_response(response, attempt)
            if wait_seconds is None or wait_seconds > LONGEST_WAIT_SECONDS or attempt >= self._limits.attempts:
                raise error
            log.warning("%s; retrying in %.1f s", error, wait_seconds)
            time.sleep(wait_seconds)
            attempt += 1

    def _send_handling_auth(self, request: Request) -> Response:
        """Send a request, and repeat it once with the authorization that a 401 requires.

        Only challenges of the registry itself count. Another host, reached by a redirect, would receive the password.
        """
        sent = self._authenticator.header(request.scope)
        response = self._send_handling_redirects(request, sent)
        if response.status != 401 or origin_of(response.url) != origin_of(self.base_url):
            return response
        self._authenticator.learn(response.headers.get("WWW-Authenticate", ""), request.scope, sent=sent)
        better = self._authenticator.header(request.scope)
        return response if better == sent else self._send_handling_redirects(request, better)

    def _send_handling_redirects(self, request: Request, authorization: str | None) -> Response:
        response = self._send_single(request, authorization)
        for _ in range(_MAX_REDIRECTS):
            if response.status not in _REDIRECTS:
                return response
            url = self._redirect_target(request, response)
            is_own = origin_of(url) == origin_of(self.base_url)
            response = self._send_single(replace(request, url=url), authorization if is_own else None)
        raise TemporaryError(f"{shown_url(request.url)} redirects more than {_MAX_REDIRECTS} times")

    def _redirect_target(self, request: Request, response: Response) -> str:
        """:raises ConfigurationError: for a redirected write, and for a redirect from https to http."""
        if request.method not in ("GET", "HEAD"):
            raise ConfigurationError(
                f"{shown_url(request.url)} redirects a {request.method}; is {self.endpoint.host} the right host?"
            )
        url = join_url(response.url, response.headers.get("Location", ""))
        if urlsplit(url).scheme not in ({"https"} if self.endpoint.tls else {"https", "http"}):
            raise ConfigurationError(
                f"{shown_url(request.url)} redirects to {shown_url(url)}, which is not https; not followed"
            )
        return url

    def _fetch_token(self, url: str, authorization: str | None) -> Any:
        """GET a token endpoint. Redirects are not followed: they would receive the password."""
        response = self._send_single(Request(method="GET", url=url), authorization)
        if response.status in (400, 401, 403, 404):
            who = repr(self.endpoint.credentials.username) if self.endpoint.credentials else "an anonymous user"
            text = first_problem(response)[1]
            raise DeniedError(
                f"{urlsplit(url).netloc} rejects the login of {who} to {self.endpoint.host}: {response.status} {text}"
            )
        if response.status != 200:
            raise decode_error(response, "GET")
        return response.json()

    def _send_single(self, request: Request, authorization: str | None) -> Response:
        """One exchange on the wire. ``auth`` is always set, because requests would read ``~/.netrc`` otherwise."""
        self._rate_limiter.wait()
        try:
            raw = self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                auth=_authorize(authorization),
                timeout=(self._limits.connect_seconds, self._limits.read_seconds),
                verify=str(self.endpoint.ca_file) if self.endpoint.ca_file else True,
                allow_redirects=False,
                stream=True,
            )
            with raw:
                content = _read(raw, request)
        except DeadlineExceeded as error:
            raise ResponseTimeout(f"{shown_url(request.url)} {error}") from None
        except (requests.RequestException, HTTPError) as error:
            raise decode_exception(error, request.url) from None  # its text has the query, which can be a signature
        return Response(status=raw.status_code, headers=raw.headers, content=content, url=request.url)


def too_many_pages(listing: str) -> RefusedError:
    """The error for a listing of more than :data:`MAX_PAGES` pages."""
    return RefusedError(f"{listing}: the listing has more than {MAX_PAGES} pages, or does not end")


class _Session(requests.Session):
    """A session that ignores redirects entirely.

    Even with ``allow_redirects=False``, requests reads the whole body of a redirect into memory, whatever its size, and
    fails on an invalid ``Location``.
    """

    def get_redirect_target(self, _: requests.Response) -> None:
        return None


def _checked(request: Request, response: Response) -> Response:
    if response.status >= 400:
        raise decode_error(response, request.method)
    return response


def _wait_after_error(error: TemporaryError | RateLimited, attempt: int) -> float:
    """Seconds to wait after a failed connection or login. A login may be rate limited."""
    if isinstance(error, RateLimited):
        return max(0.0, (error.retry_at - datetime.now(UTC)).total_seconds())
    return _backoff_seconds(attempt)


def _wait_after_response(response: Response, attempt: int) -> float | None:
    """Seconds to wait before a retry: the requested delay, else the back-off. ``None`` for errors that stay."""
    if response.status != 429 and response.status not in TRANSIENT_STATUSES:
        return None
    return requested_delay(response, datetime.now(UTC)) or _backoff_seconds(attempt)


def _backoff_seconds(attempt: int) -> float:
    """Exponential back-off from half a second, with jitter of 50 %."""
    return 0.5 * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - a delay, no secret


def _authorize(authorization: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if authorization:
            request.headers["Authorization"] = authorization
        return request

    return authorize


def _read(raw: requests.Response, request: Request) -> bytes:
    """Read the whole body. Error bodies are cut at :data:`MAX_ERROR_BYTES`; the body of a 200 goes to the sink.

    :raises RefusedError: when the body of a successful response exceeds ``max_bytes``.
    """
    content, is_error = bytearray(), raw.status_code >= 400
    max_bytes = MAX_ERROR_BYTES if is_error else request.max_bytes
    take = request.sink if request.sink and raw.status_code == 200 else content.extend
    while chunk := raw.raw.read1(64 * 1024, decode_content=True):  # returns what has arrived, without waiting for more
        take(chunk)
        if len(content) > max_bytes:
            if is_error:
                break
            raise RefusedError(f"{shown_url(raw.url)} answered with more than {max_bytes} bytes")
    return bytes(content[:max_bytes])


def _next_link(response: Response) -> str:
    for link in parse_header_links(response.headers.get("Link", "")):
        if link.get("rel") == "next" and link.get("url"):
            return link["url"]
    return ""


def _registry_origin(endpoint: Endpoint) -> str:
    return f"{'https' if endpoint.tls else 'http'}://{_API_HOSTS.get(endpoint.host, endpoint.host)}"


def _api_origin(endpoint: Endpoint, address: str) -> str:
    """The origin of an ``api_url``, which will receive the registry's credentials.

    :raises ConfigurationError: when it is more or less than an origin, or plain HTTP although the registry has TLS.
    """
    if fault := api_url_fault(address, tls=endpoint.tls):
        raise ConfigurationError(f"{endpoint.host}: {fault}")
    return address.rstrip("/")


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
