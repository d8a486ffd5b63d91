"""HTTP to one registry, with all that every call needs: time-outs, retry, log-in, bounds, paging, errors.

Only this module and ``timely.py`` import ``requests``. What it guards: an answer is read up to a bound; ``Link`` stays
on the registry's own origin; a redirect to another host carries no Authorization; an error page is an error.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
    TemporaryError,
    TooSlow,
)
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.registry.auth import Authenticator, ChallengeAuthenticator
from registry_sync.registry.deadline import Overdue, TimelyAdapter
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.http_errors import (
    BLIPS,
    LONGEST_PROBLEM,
    decode_error,
    decode_exception,
    first_problem,
)
from registry_sync.registry.kinds import api_url_fault
from registry_sync.registry.rate_limit import Throttle
from registry_sync.registry.response import Answer
from registry_sync.registry.retry_after import (
    requested_delay,
)
from registry_sync.registry.urls import join_url, origin_of, shown_url, without_query
from registry_sync.text import one_line

log = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 10, 60

MAX_ANSWER_BYTES = 16 * 1024 * 1024

MAX_ERROR_BYTES = 64 * 1024

MAX_PAGES = 10_000
"""A listing of more pages than this does not end: with a hundred entries each, it has a million."""

ATTEMPTS = 3

LONGEST_WAIT_SECONDS = 10
"""A longer wait that a registry asks for is not slept in a worker: it becomes :class:`RateLimited`."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_REDIRECTS = 5

_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a connection and each part of an answer may take, and how often a request is sent at most."""

    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS
    attempts: int = ATTEMPTS


USUAL = Patience()

Sink = Callable[[bytes], object]
"""Takes the parts of a body, one after the other, instead of memory."""


class Transport:
    """A session with one registry, or with one API of its own. Safe to use from ``max_connections`` threads at once.

    :param base_url: of an API that is elsewhere than the registry, such as ``https://hub.docker.com``.
    :param authenticator: who we are there, when the API does not say by challenge how to log in.
    :param requests_per_second: how fast requests may start; ``None`` is no limit.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        base_url: str | None = None,
        authenticator: Authenticator | None = None,
        requests_per_second: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        if endpoint.ca_file and not endpoint.ca_file.is_file():
            raise ConfigurationError(f"{endpoint.host}: there is no CA file {str(endpoint.ca_file)!r} on this worker")
        self.endpoint = endpoint
        self.base_url = _api_origin(endpoint, base_url) if base_url else _registry_origin(endpoint)
        self._authenticator = authenticator or ChallengeAuthenticator(endpoint, self._fetch_token)
        self._throttle = Throttle(requests_per_second, server=urlsplit(self.base_url).netloc)
        self._patience = patience or USUAL
        self._session = _Session()
        self._session.headers["User-Agent"] = f"registry_sync/{__version__}"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("https://", "http://"):
            self._session.mount(prefix, TimelyAdapter(pool_maxsize=max_connections))

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
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send a request that may be repeated (all of ours may), logged in for ``scope``.

        :param path: from the root, such as ``/v2/``, or a URL on the same origin.
        :raises RegistrySyncError: one of its classes for every status from 400 on, and for what never got an answer.
        """
        url = urljoin(self.base_url, path)
        for attempt in range(1, self._patience.attempts + 1):
            try:
                answer = self._logged_in(method, url, scope, headers or {}, body, max_bytes)
            except (TemporaryError, RateLimited) as error:
                pause_seconds = _pause_seconds(attempt)
                if isinstance(error, RateLimited):  # where it logs in
                    pause_seconds = max(0.0, (error.retry_at - datetime.now(UTC)).total_seconds())
                if attempt == self._patience.attempts or pause_seconds > LONGEST_WAIT_SECONDS:
                    raise
                self._wait(pause_seconds, error)
                continue
            if answer.status < 400:
                return answer
            error_seen = decode_error(answer, method)
            wait_seconds = requested_delay(answer, datetime.now(UTC))
            if attempt == self._patience.attempts or not _is_worth_repeating(answer, wait_seconds):
                raise error_seen
            self._wait(wait_seconds or _pause_seconds(attempt), error_seen)
        raise AssertionError("the last attempt returns or raises")

    def call_once(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request anonymously and not again, as a log-in does: the call that needed it is the one repeated.

        :raises RegistrySyncError: as :meth:`call` does.
        """
        answer = self._follow(method, urljoin(self.base_url, path), None, headers, body, MAX_ANSWER_BYTES)
        if answer.status >= 400:
            raise decode_error(answer, method)
        return answer

    def download(self, path: str, sink: Sink, *, scope: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """GET ``path``, once, and give the body to ``sink`` as it comes; the answer that is returned has none.

        :raises RegistrySyncError: as :meth:`call` does, perhaps after a part of the body.
        """
        url = urljoin(self.base_url, path)
        answer = self._logged_in("GET", url, scope, headers or {}, None, MAX_ANSWER_BYTES, sink)
        if answer.status >= 400:
            raise decode_error(answer, "GET")
        return answer

    def pages(self, path: str, *, scope: str = "", next_of: Callable[[Answer], str] | None = None) -> Iterator[Answer]:
        """The answer to a GET of ``path``, and all that its ``Link: rel="next"`` lead to.

        :param next_of: finds the address of the next page where it stands elsewhere; empty is the end.
        :raises ConfigurationError: when a link leaves the registry's origin.
        :raises RefusedError: when it does not end.
        :raises TemporaryError: when a link leads back to a page already seen.
        """
        url, seen = urljoin(self.base_url, path), set[str]()
        while url:
            seen.add(url)
            answer = self.call("GET", url, scope=scope)
            yield answer
            following = (next_of or _next_link)(answer)
            url = join_url(answer.url, following) if following else ""
            if len(seen) >= MAX_PAGES and url:
                raise endless(shown_url(answer.url))
            if url and origin_of(url) != origin_of(self.base_url):
                raise ConfigurationError(
                    f"{self.endpoint.host} pages on to another host, {shown_url(url)}; not followed"
                )
            if url in seen:
                raise TemporaryError(f"{self.endpoint.host} pages in a circle at {shown_url(url)}")

    def challenge(self) -> Answer:
        """GET ``/v2/``, logged in when the registry asks for that.

        :raises DeniedError: when it does not accept the credentials.
        :raises ConfigurationError: when what answers is no registry.
        """
        try:
            return self.call("GET", "/v2/")
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self.base_url} does not answer like a registry: {error}") from error

    def _wait(self, seconds: float, reason: RegistrySyncError) -> None:
        log.warning("%s; again in %.1f s", reason, seconds)
        time.sleep(seconds)

    def _logged_in(
        self,
        method: str,
        url: str,
        scope: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        sink: Sink | None = None,
    ) -> Answer:
        """Answer a 401 once by what it asks for; a second one stands.

        Only the registry itself says where to log in: not a host that it redirected to, which would get the password.
        """
        sent = self._authenticator.header(scope)
        answer = self._follow(method, url, sent, headers, body, max_bytes, sink)
        if answer.status != 401 or origin_of(answer.url) != origin_of(self.base_url):
            return answer
        self._authenticator.learn(answer.headers.get("WWW-Authenticate", ""), scope, sent=sent)
        better = self._authenticator.header(scope)
        return answer if better == sent else self._follow(method, url, better, headers, body, max_bytes, sink)

    def _follow(
        self,
        method: str,
        url: str,
        sent: str | None,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        sink: Sink | None = None,
    ) -> Answer:
        answer = self._send(method, url, sent, headers, body, max_bytes, sink)
        for _ in range(_MAX_REDIRECTS):
            if answer.status not in _REDIRECTS:
                return answer
            if method not in ("GET", "HEAD"):
                raise ConfigurationError(
                    f"{shown_url(url)} redirects a {method}; is {self.endpoint.host} the right host?"
                )
            target = join_url(answer.url, answer.headers.get("Location", ""))
            if urlsplit(target).scheme not in ({"https"} if self.endpoint.tls else {"https", "http"}):
                raise ConfigurationError(
                    f"{shown_url(url)} redirects to {shown_url(target)}, which is not https; not followed"
                )
            keeps = sent if origin_of(target) == origin_of(self.base_url) else None
            answer = self._send(method, target, keeps, headers, body, max_bytes, sink)
        raise TemporaryError(f"{shown_url(url)} redirects more than {_MAX_REDIRECTS} times")

    def _fetch_token(self, url: str, authorization: str | None) -> Any:
        answer = self._send("GET", url, authorization, {}, None, MAX_ANSWER_BYTES)
        if answer.status in (400, 401, 403, 404):
            who = repr(self.endpoint.credentials.username) if self.endpoint.credentials else "an anonymous user"
            text = first_problem(answer)[1]
            raise DeniedError(
                f"{urlsplit(url).netloc} does not log in {who} to {self.endpoint.host}: {answer.status} {text}"
            )
        if answer.status != 200:
            raise decode_error(answer, "GET")
        return answer.json()

    def _send(
        self,
        method: str,
        url: str,
        sent: str | None,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
        sink: Sink | None = None,
    ) -> Answer:
        """One exchange on the wire. ``auth`` is always given, since requests would look into ~/.netrc otherwise."""
        self._throttle.wait()
        try:
            response = self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                auth=_authorize(sent),
                timeout=(self._patience.connect_seconds, self._patience.read_seconds),
                verify=str(self.endpoint.ca_file) if self.endpoint.ca_file else True,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, max_bytes if response.status_code < 400 else MAX_ERROR_BYTES, sink)
        except Overdue as error:
            raise TooSlow(f"{shown_url(url)} {error}") from None
        except (requests.RequestException, HTTPError) as error:
            raise decode_exception(error, url) from None  # its text has the query, which can be a signature
        return Answer(status=response.status_code, headers=response.headers, content=content, url=url)


def endless(where: str) -> RefusedError:
    """What is raised for a listing of more than :data:`MAX_PAGES` pages."""
    return RefusedError(f"{where}: the listing has more than {MAX_PAGES} pages, or does not end")


class _Session(requests.Session):
    """Without the look at redirects that requests takes even when it must not follow any.

    It reads the whole body of a redirect into memory, however long that is, and fails on an address that is none.
    """

    def get_redirect_target(self, _: requests.Response) -> None:
        return None


def _is_worth_repeating(answer: Answer, wait_seconds: float | None) -> bool:
    if answer.status == 429 or wait_seconds is not None:
        return (answer.status == 429 or answer.status in BLIPS) and (wait_seconds or 0) <= LONGEST_WAIT_SECONDS
    return answer.status in BLIPS


def _pause_seconds(attempt: int) -> float:
    """Half a second, then twice as long each time, give or take a half, so that workers do not march in step."""
    return 0.5 * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - a delay, no secret


def _authorize(sent: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if sent:
            request.headers["Authorization"] = sent
        return request

    return authorize


def _read(response: requests.Response, max_bytes: int, sink: Sink | None) -> bytes:
    """The body, whole; of an error only the first ``max_bytes``. A ``sink`` takes that of a 200 instead.

    :raises RefusedError: when an answer that is no error is larger.
    """
    content = bytearray()
    take = sink if sink and response.status_code == 200 else content.extend
    while chunk := response.raw.read1(64 * 1024, decode_content=True):  # what has come, without waiting for all of it
        take(chunk)
        if len(content) > max_bytes:
            if response.status_code >= 400:
                break
            raise RefusedError(f"{shown_url(response.url)} answered with more than {max_bytes} bytes")
    return bytes(content[:max_bytes])


def _next_link(answer: Answer) -> str:
    for link in parse_header_links(answer.headers.get("Link", "")):
        if link.get("rel") == "next" and link.get("url"):
            return link["url"]
    return ""


def _registry_origin(endpoint: Endpoint) -> str:
    return f"{'https' if endpoint.tls else 'http'}://{_API_HOSTS.get(endpoint.host, endpoint.host)}"


def _api_origin(endpoint: Endpoint, address: str) -> str:
    """The ``api_url`` of a registry, to which its credentials will go.

    :raises ConfigurationError: when it is more or less than an origin, or plain HTTP although the registry is not.
    """
    if fault := api_url_fault(address, tls=endpoint.tls):
        raise ConfigurationError(f"{endpoint.host}: {fault}")
    return address.rstrip("/")


def _made_harmless(record: logging.LogRecord) -> bool:
    """Urllib3 logs every URL at level debug, and the query of one can be a signature that opens a blob to everybody.

    Of an answer with malformed headers it logs the URL at level warning, with a traceback that has the headers' text.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(
            each if isinstance(each, int | float) else without_query(one_line(str(each), LONGEST_PROBLEM))
            for each in record.args
        )
    record.exc_info = None
    return True


for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_made_harmless)
