"""HTTP to one registry, with all that every call needs: time-outs, retry, log-in, bounds, paging, errors.

Only this module imports ``requests``. What it guards: an answer is read up to a bound; ``Link`` stays on the
registry's own origin; a redirect to another host carries no Authorization; an error page is an error.
"""

from __future__ import annotations

import json
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import parse_header_links
from urllib3.exceptions import HTTPError, IncompleteRead, ReadTimeoutError

from registry_sync import __version__
from registry_sync.credentials import Endpoint
from registry_sync.errors import (
    ConfigurationError,
    DamagedContent,
    DeniedError,
    LockedTag,
    MissingContent,
    NotConnected,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    TooSlow,
)
from registry_sync.kinds import api_url_fault
from registry_sync.reference import DOCKER_HUB
from registry_sync.registry.auth import Authenticator, ChallengeAuthenticator
from registry_sync.registry.throttle import Throttle
from registry_sync.text import one_line

log = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 10, 60, 300
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_PAGES = 10_000
"""A listing of more pages than this does not end: with a hundred entries each, it has a million."""
ATTEMPTS = 3
LONGEST_WAIT_SECONDS = 10
"""A longer wait that a registry asks for is not slept in a worker: it becomes :class:`RateLimited`."""

_BLIPS = frozenset({408, 425, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MISSING_CONTENT = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer of a registry; names of ``headers`` are found in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str

    def json(self) -> Any:
        """:raises TemporaryError: when the body is not JSON, as with the page of a proxy."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("Content-Type", "no type")
            raise TemporaryError(f"{_shown(self.url)} answered {self.status} with {kind}, not JSON") from error

    def rows(self, key: str, *fields: str) -> list[dict[str, Any]]:
        """The objects in the list ``key`` of a JSON object, each of which has a text for each of ``fields``.

        :raises TemporaryError: when the body is anything else: an error page is never an empty list.
        """
        document = self.json()
        rows = document.get(key) if isinstance(document, dict) else None
        if not isinstance(rows, list) or not all(_has_texts(row, fields) for row in rows):
            raise TemporaryError(f"{_shown(self.url)} answered {self.status} without a list of {key}")
        return rows


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
            self._session.mount(prefix, HTTPAdapter(pool_maxsize=max_connections))

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
            wait_seconds = _wait_asked_for(answer, datetime.now(UTC))
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
            url = _join(answer.url, following) if following else ""
            if len(seen) >= MAX_PAGES and url:
                raise endless(_shown(answer.url))
            if url and _origin(url) != _origin(self.base_url):
                raise ConfigurationError(f"{self.endpoint.host} pages on to another host, {_shown(url)}; not followed")
            if url in seen:
                raise TemporaryError(f"{self.endpoint.host} pages in a circle at {_shown(url)}")

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
        if answer.status != 401 or _origin(answer.url) != _origin(self.base_url):
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
                raise ConfigurationError(f"{_shown(url)} redirects a {method}; is {self.endpoint.host} the right host?")
            target = _join(answer.url, answer.headers.get("Location", ""))
            if urlsplit(target).scheme not in ({"https"} if self.endpoint.tls else {"https", "http"}):
                raise ConfigurationError(
                    f"{_shown(url)} redirects to {_shown(target)}, which is not https; not followed"
                )
            keeps = sent if _origin(target) == _origin(self.base_url) else None
            answer = self._send(method, target, keeps, headers, body, max_bytes, sink)
        raise TemporaryError(f"{_shown(url)} redirects more than {_MAX_REDIRECTS} times")

    def _fetch_token(self, url: str, authorization: str | None) -> Any:
        answer = self._send("GET", url, authorization, {}, None, MAX_ANSWER_BYTES)
        if answer.status in (400, 401, 403, 404):
            who = repr(self.endpoint.credentials.username) if self.endpoint.credentials else "an anonymous user"
            text = _first_problem(answer)[1]
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
        except (requests.RequestException, HTTPError) as error:
            raise _decode_exception(error, url) from None  # its text has the query, which can be a signature
        return Answer(status=response.status_code, headers=response.headers, content=content, url=url)


class _Session(requests.Session):
    """Without the look at redirects that requests takes even when it must not follow any.

    It reads the whole body of a redirect into memory, however long that is, and fails on an address that is none.
    """

    def get_redirect_target(self, _: requests.Response) -> None:
        return None


def decode_error(answer: Answer, method: str) -> RegistrySyncError:
    """The error that an answer from status 400 on means, by its status and the OCI error code in its body.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
    """
    code, text = _first_problem(answer)
    message = f"{method} {_shown(answer.url)} answered {answer.status} {text}".rstrip()
    match answer.status:
        case 429:
            wait_seconds = _wait_asked_for(answer, now := datetime.now(UTC))
            if wait_seconds is None:
                return TemporaryError(message)
            return RateLimited(message, retry_at=now + timedelta(seconds=wait_seconds))
        case status if code in _MISSING_CONTENT and method == "PUT":
            return MissingContent(message)
        case status if (is_locked := _LOCKS.get(method)) and is_locked(answer, code, text):
            return LockedTag(message)
        case 404:
            return NotFound(message)
        case 403 if "quota" in text.lower() or "upper limit" in text.lower():
            return RefusedError(message)
        case 401 | 403 if method == "POST":
            return DeniedError(message)  # a log-in, which has nothing to be missing
        case 401 | 403:
            return DeniedError(f"{message} (not permitted with these credentials, or it does not exist)")
        case status if status in _BLIPS or status >= 500 or code == "TOOMANYREQUESTS":
            return TemporaryError(message)
    return RefusedError(message)


def _is_locked(answer: Answer, code: str, text: str) -> bool:
    """Whether a manifest was refused since its tag must not be overwritten. Registries say that in many ways.

    Harbor 412 (https://github.com/goharbor/harbor/pull/9427); ECR 400 TAG_INVALID
    (https://github.com/moby/buildkit/issues/3776); ACR 405 REGISTRY_DISALLOWED_OPERATION, which is said of a
    repository too (https://github.com/Azure/acr-cli/issues/70); Aliyun "The requested tag already exists and cannot be
    overwritten".
    """
    is_tag = re.search("/manifests/[^/:]+$", _shown(answer.url)) is not None
    return is_tag and 400 <= answer.status < 500 and (answer.status == 412 or bool(_LOCKED.search(f"{code} {text}")))


_LOCKED = re.compile(
    r"TAG_INVALID|immutab|REGISTRY_DISALLOWED_OPERATION|cannot be overwrit|tag is locked|tag already exists",
    re.IGNORECASE,
)


def _is_locked_against_deletion(answer: Answer, code: str, text: str) -> bool:
    """Whether a tag is not deleted since it is locked: Harbor 412, ACR 405, others in words.

    TAG_INVALID is none of them: a registry that deletes by digest only may say that of any tag.
    """
    words = re.search(r"immutab|REGISTRY_DISALLOWED_OPERATION|\blocked\b", f"{code} {text}", re.IGNORECASE)
    return 400 <= answer.status < 500 and (answer.status == 412 or words is not None)


_LOCKS = {"PUT": _is_locked, "DELETE": _is_locked_against_deletion}


def _first_problem(answer: Answer) -> tuple[str, str]:
    """Code and text of the first entry of ``errors``, or the text that an API has instead, else the body's start."""
    body = answer.content.decode("utf-8", "replace")
    try:
        document = json.loads(body)
        if "errors" not in document:
            text = next((each for each in map(document.get, _TEXTS) if isinstance(each, str)), body)
            return "", one_line(text, LONGEST_PROBLEM)
        first = document["errors"][0]
        code = str(first.get("code", ""))
        texts = [code, str(first.get("message") or ""), json.dumps(first["detail"]) if first.get("detail") else ""]
        return code, one_line(": ".join(filter(None, texts)), LONGEST_PROBLEM)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", one_line(body, LONGEST_PROBLEM)


_TEXTS = ("detail", "message", "error")
"""Where Quay's API (the first) and Docker Hub's (any) say what is wrong."""


LONGEST_PROBLEM = 300


def endless(where: str) -> RefusedError:
    """What is raised for a listing of more than :data:`MAX_PAGES` pages."""
    return RefusedError(f"{where}: the listing has more than {MAX_PAGES} pages, or does not end")


def _is_worth_repeating(answer: Answer, wait_seconds: float | None) -> bool:
    if answer.status == 429 or wait_seconds is not None:
        return (answer.status == 429 or answer.status in _BLIPS) and (wait_seconds or 0) <= LONGEST_WAIT_SECONDS
    return answer.status in _BLIPS


def _wait_asked_for(answer: Answer, now: datetime) -> float | None:
    """Seconds that the registry asks to be left alone, from whichever header says it; at most a day is believed.

    ``Retry-After`` is a number or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Docker Hub's API
    once had ``X-Retry-After`` and has ``X-RateLimit-Reset``, both Unix times
    (https://docs.docker.com/reference/api/hub/latest/); the latter stands on every answer, and asks to wait on a 429.
    """
    headers = answer.headers
    waits = [_retry_after(headers.get("Retry-After", ""), now), _seconds_until(headers.get("X-Retry-After", ""), now)]
    if answer.status == 429:
        waits.append(_seconds_until(headers.get("X-RateLimit-Reset", ""), now))
        waits.append(_part_of_window(headers.get("RateLimit-Limit", "")))
    named = (min(max(wait, 0.0), _LONGEST_BELIEVED_SECONDS) for wait in waits if wait is not None)
    return next(named, None)


_LONGEST_BELIEVED_SECONDS = 24 * 3600.0
_FIRST_UNIX_TIME = 1_000_000_000
"""A smaller number (a time before 2001) is no time but a count of seconds, or of anything else."""

WINDOW_PARTS = 12
"""Docker Hub's pull limit is so many pulls in a window (``100;w=21600``), and names no time from which on one is free.

Twelve waits of a twelfth each cover the window; a task waits that often before it gives up
(``operators/waiting.py``, ``MOST_WAITS``). https://docs.docker.com/docker-hub/usage/pulls/
"""


def _retry_after(text: str, now: datetime) -> float | None:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        asked = parsedate_to_datetime(text)
    except ValueError:
        return None
    return ((asked if asked.tzinfo else asked.replace(tzinfo=UTC)) - now).total_seconds()


def _seconds_until(text: str, now: datetime) -> float | None:
    """From ``now`` until a Unix time; ``None`` when it is none."""
    text = text.strip()
    is_time = text.isascii() and text.isdigit() and float(text) >= _FIRST_UNIX_TIME
    return float(text) - now.timestamp() if is_time else None


def _part_of_window(text: str) -> float | None:
    """A twelfth of the window in a header such as ``100;w=21600``, in seconds."""
    window = re.search(r";\s*w=([0-9]+)", text)
    return float(window[1]) / WINDOW_PARTS if window else None


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
    :raises TooSlow: when it trickles in for longer than ``ANSWER_SECONDS``.
    """
    content, deadline = bytearray(), time.monotonic() + ANSWER_SECONDS
    take = sink if sink and response.status_code == 200 else content.extend
    while chunk := response.raw.read1(64 * 1024, decode_content=True):  # what has come, without waiting for all of it
        take(chunk)
        if len(content) > max_bytes:
            if response.status_code >= 400:
                break
            raise RefusedError(f"{_shown(response.url)} answered with more than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise TooSlow(f"{_shown(response.url)} was still answering after {ANSWER_SECONDS} s")
    return bytes(content[:max_bytes])


def _decode_exception(error: requests.RequestException | HTTPError, url: str) -> RegistrySyncError:
    """What an exchange without an answer means: addresses and certificates need somebody, the rest needs time."""
    where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    reason = _innermost(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        advice = "give its registry a ca_file, or have the certificate renewed"
        return ConfigurationError(
            f"{where} shows a certificate that is not accepted ({reason.verify_message}); {advice}"
        )
    if isinstance(reason, ssl.SSLError) and reason.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return ConfigurationError(f"{where} does not speak TLS; if that is right, write tls: false for its registry")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return ConfigurationError(f"{where} is no usable address: {_shown(str(error))}")
    if isinstance(reason, IncompleteRead):
        return DamagedContent(f"{where} broke off within its answer: {one_line(str(reason), LONGEST_PROBLEM)}")
    text = one_line(str(reason) or type(reason).__name__, LONGEST_PROBLEM)
    if any(isinstance(each, ReadTimeoutError) for each in (error, *error.args)):
        return TooSlow(f"{where} took the request and does not answer: {text}")
    if isinstance(error, requests.ConnectTimeout):
        return NotConnected(f"{where} neither takes nor refuses a connection: {text}")
    return TemporaryError(f"{where} cannot be reached: {text}")


def _innermost(error: BaseException) -> BaseException:
    """The cause below the wrapping of requests and urllib3, which bury it in ``args`` and ``reason``."""
    for _ in range(10):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in error.args if isinstance(each, BaseException)), error.__cause__)
        if inner is None:
            break
        error = inner
    return error


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


def _without_queries(record: logging.LogRecord) -> bool:
    """Urllib3 logs every URL at level debug, and the query of one can be a signature that opens a blob to everybody."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{_shown(each)}?…" if isinstance(each, str) and "?" in each else each for each in record.args
        )
    return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_without_queries)


def _has_texts(row: Any, fields: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(field), str) for field in fields)


def _join(base: str, address: str) -> str:
    """Where ``address``, a registry's own words, leads from ``base``.

    :raises TemporaryError: when it is no address.
    """
    try:
        url = urljoin(base, address)
        _origin(url)
    except ValueError as error:
        raise TemporaryError(f"{_shown(base)} leads to {_shown(address)!r}, which is no address ({error})") from error
    return url


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _shown(url: str) -> str:
    """A URL as texts may show it: without its query, which can hold tokens and signatures."""
    return url.partition("?")[0]
