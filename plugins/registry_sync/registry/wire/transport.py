"""Requests to one registry: retries, authentication and redirects.

Invariants: a redirect to another host carries no Authorization; an error page is raised as an error.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LoginRejected,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.reference import DOCKER_HUB
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.kinds import api_url_fault
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.wire.auth import Authenticator, ChallengeAuthenticator, granted_actions, renewed_basic
from registry_sync.registry.wire.exchange import MAX_RESPONSE_BYTES, Body, Exchange, Request, RequestLimits
from registry_sync.registry.wire.host_limits import HostLimits
from registry_sync.registry.wire.http_errors import TRANSIENT_STATUSES, decode_error, first_problem, is_web_page
from registry_sync.registry.wire.notices import Notices
from registry_sync.registry.wire.paging import next_link, read_pages
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, lasting_limit
from registry_sync.registry.wire.response import BodyStream, Response
from registry_sync.registry.wire.retry_after import is_rate_limited, requested_delay
from registry_sync.registry.wire.slots import RequestSlots
from registry_sync.registry.wire.urls import host_of, join_url, origin_of, shown_url

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 10
"""Longest delay before another attempt that an overloaded registry (503) may request."""

_PING = "/v2/"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_REDIRECTS = 5

_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}


DEFAULT_LIMITS = RequestLimits()


class Transport:
    """A session with one registry, or with a vendor's API. Safe to use from several threads.

    :param max_connections: requests in flight at once. Further ones wait.
    :param slots: those of another transport to the same registry, whose ``max_connections`` holds for both.
    :param base_url: address of an API on another host than the registry, such as ``https://hub.docker.com``.
    :param authenticator: for an API that does not send challenges; the default follows the challenges of ``/v2``.
    :param requests_per_second: maximum rate; ``None`` is unlimited.
    :param lane: requests that share this rate with those of other transports to the same host.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        base_url: str | None = None,
        authenticator: Authenticator | None = None,
        requests_per_second: float | None = None,
        lane: str = "",
        limits: RequestLimits | None = None,
        slots: RequestSlots | None = None,
    ) -> None:
        if endpoint.ca_file and not endpoint.ca_file.is_file():
            raise ConfigurationError(f"{endpoint.host}: no CA file {str(endpoint.ca_file)!r} on this worker")
        self.endpoint = endpoint
        self.base_url = _api_origin(endpoint, base_url) if base_url else _registry_origin(endpoint)
        self._prefix = f"{self.base_url}/"
        self._authenticator = authenticator or ChallengeAuthenticator(
            endpoint, self._ask_for_challenges, self._fetch_token
        )
        self._limits = limits or DEFAULT_LIMITS
        self._host_limits = HostLimits(
            self.base_url, requests_per_second, lane=lane, patience_seconds=self._limits.patience_seconds
        )
        self.slots = slots or RequestSlots(max_connections)
        self._max_connections = max_connections
        self._notices = Notices(endpoint.host, self._redact)
        self._is_failing = False
        self._last_date = ("", datetime.now(UTC))
        self._exchange = Exchange(endpoint, self._limits, max_connections=max_connections)

    @property
    def traffic(self) -> Traffic:
        """The requests so far."""
        return self._host_limits.traffic

    @property
    def latency_seconds(self) -> float | None:
        """Time of the quickest request so far; ``None`` before the first."""
        return self._host_limits.latency_seconds

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, without ports, that requests were sent to so far: the registry and those that it leads to."""
        return self._exchange.hosts

    def close(self) -> None:
        """Close the connections, and end the waits of other threads."""
        self._host_limits.close()
        self._exchange.close()

    def abort(self) -> None:
        """Break off every request, and send no more. Safe in a signal handler."""
        self._host_limits.close()
        self._exchange.abort()

    def open_connections(self, count: int) -> None:
        """Have ``count`` connections, opened in the background, for requests that will be sent at the same time."""
        for _ in range(min(count, self._max_connections) - self._exchange.connections(self.base_url)):
            threading.Thread(target=self._open_connection, daemon=True, name="registry_sync").start()

    def _open_connection(self) -> None:
        with self.slots:
            self._exchange.connect(self.base_url)

    def wait_for_pause(self) -> None:
        """Sleep while the registry's rate limit pauses this worker. For requests that another program will send."""
        self._host_limits.wait_for_pause()

    def pause(self, sent_at: float) -> None:
        """Pause all requests to the registry, because it answered 429 to another program, started at ``sent_at``."""
        self._host_limits.pause(sent_at)

    @property
    def clock_skew_seconds(self) -> float | None:
        """Seconds by which the registry's clock is ahead of ours, by ``Date`` of its last response.

        ``None`` before the first, and where ``Date`` is missing or not valid. It has whole seconds.
        https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
        """
        date, received_at = self._last_date
        try:
            return (parsedate_to_datetime(date) - received_at).total_seconds() if date else None
        except (TypeError, ValueError):
            return None

    def granted_actions(self, repository: str) -> frozenset[str] | None:
        """The actions that the token service grants when asked for pull and push of a repository.

        ``None`` for a registry without tokens, and for tokens that do not say it.

        :raises DeniedError: when it issues no token.
        """
        with self.slots:
            header = self._authenticator.header(f"repository:{repository}:pull,push") or ""
        return granted_actions(header.removeprefix("Bearer "), repository)

    def call(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
        is_optional: bool = False,
    ) -> Response:
        """Send a request authenticated for ``scope``, with retries. All of our requests are idempotent.

        :param path: absolute, such as ``/v2/``, or a URL on the same origin.
        :param is_optional: a 429 is an error at once and pauses no other request, and a redirect to another host is the
            response.
        :raises RegistrySyncError: one of its classes, for a status of 400 or more and for a failed connection.
        """
        return self._send_handling_retries(
            Request(
                method=method,
                url=self._url(path),
                scope=scope,
                headers=headers or {},
                body=body,
                max_bytes=max_bytes,
                is_optional=is_optional,
            )
        )

    def call_once(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        scope: str = "",
        read_seconds: float | None = None,
    ) -> Response:
        """Send a request without retries: a login, or a body that can be read once.

        With ``scope`` it is sent with the authorization of the calls before it, else anonymously. The call that needs
        a login is retried.

        :raises TemporaryError: also for a 401 with ``scope``: the token has expired since the calls before.
        :raises RegistrySyncError: as :meth:`call` does.
        """
        url = self._url(path)
        request = Request(method=method, url=url, headers=headers, body=body, read_seconds=read_seconds)
        with self.slots:
            response = self._send_handling_redirects(request, self._authenticator.header(scope) if scope else None)
        if scope and response.status == 401:
            raise TemporaryError(f"{shown_url(request.url)} no longer accepted the login in the middle of an upload")
        return self._checked(request, response)

    def follow_once(self, redirect: Response) -> Response:
        """GET the target of a redirect to another host, anonymously and without retries.

        :raises RegistrySyncError: as :meth:`call` does.
        """
        request = Request(method="GET", url=redirect.url, is_optional=True)
        target = replace(request, url=self._redirect_target(request, redirect))
        with self.slots:
            return self._checked(target, self._send_handling_redirects(target, None))

    @contextmanager
    def open_stream(
        self, path: str, *, scope: str = "", headers: Mapping[str, str] | None = None, read_seconds: float | None = None
    ) -> Iterator[tuple[Response, BodyStream]]:
        """GET ``path`` without retries. Yields the response, whose body is read from the stream within the block.

        :raises RegistrySyncError: as :meth:`call` does, and out of the stream's chunks.
        """
        request = Request(
            method="GET",
            url=self._url(path),
            scope=scope,
            headers=headers or {},
            read_seconds=read_seconds,
            is_streamed=True,
        )
        with self.slots:
            response = self._checked(request, self._send_handling_auth(request))
            stream = response.stream or BodyStream(iter((response.content,)), lambda: None)
            try:
                yield response, stream
            finally:
                stream.close()

    def back_off(self, attempt: int) -> None:
        """Wait before another attempt of what is not retried here. :param attempt: number of attempts so far."""
        time.sleep(_backoff_seconds(attempt))

    def pages(
        self, path: str, *, scope: str = "", next_of: Callable[[Response], str] | None = None
    ) -> Iterator[Response]:
        """GET ``path`` and every following page, by ``Link: rel="next"``.

        :param next_of: returns the address of the next page for listings without ``Link``; empty is the end.
        :raises RegistrySyncError: as :func:`~registry_sync.registry.wire.paging.read_pages` does.
        """
        get = partial(self.call, "GET", scope=scope)
        return read_pages(get, self._url(path), next_of or next_link)

    def ping(self) -> None:
        """GET ``/v2/``, authenticated if we have credentials or the registry requires it.

        :raises LoginRejected: when the registry rejects the credentials.
        :raises ConfigurationError: when the server is not a registry.
        :raises TemporaryError: when it answers with a web page, as the portal of a network does for a while.
        """
        try:
            response = self.call("GET", _PING)
        except (NotFound, RefusedError) as error:
            raise ConfigurationError(f"{self.base_url} does not answer like a registry: {error}") from error
        except LoginRejected:
            raise
        except DeniedError as error:
            if not self.endpoint.credentials:
                raise
            raise LoginRejected(f"{self.endpoint.host} rejects the login of {self._user()}: {error}") from error
        if is_web_page(response):
            text = first_problem(response)[1]
            raise TemporaryError(
                f"{shown_url(response.url)} answered {response.status} with a web page ({text!r}), not like a "
                f"registry; is {self.endpoint.host} the right host?"
            )

    def _redact(self, text: str) -> str:
        """A text of the registry without the secrets that were sent to it."""
        return self._exchange.redact(text)

    def _user(self) -> str:
        credentials = self.endpoint.credentials
        return credentials.user if credentials else "an anonymous user"

    def _ask_for_challenges(self) -> Sequence[str]:
        """The challenges of an anonymous GET of ``/v2/``, also of a 200. Only those of the registry itself count."""
        request = Request(method="GET", url=self._url(_PING))
        response = self._send_handling_redirects(request, None)
        if is_rate_limited(response) or response.status in TRANSIENT_STATUSES:
            raise decode_error(response, request.method)
        return response.challenges if self._is_own(response.url) else ()

    def _url(self, path: str) -> str:
        return self.base_url + path if path.startswith(_PING) else urljoin(self.base_url, path)

    def _is_own(self, url: str) -> bool:
        return url.startswith(self._prefix) or origin_of(url) == origin_of(self.base_url)

    def _send_handling_retries(self, request: Request) -> Response:
        error: RegistrySyncError
        wait_seconds: float | None
        attempt, limited_until = 1, math.inf
        while True:
            try:
                with self.slots:
                    response = self._send_handling_auth(request)
            except (TemporaryError, RateLimited) as raised:
                error, wait_seconds = raised, _backoff_seconds(attempt)
            else:
                if response.status < 400:
                    self._is_failing = False
                    return response
                error = self._decode(response, request)
                is_lasting = isinstance(error, MissingContent)  # docker-registry answers 500 for it
                wait_seconds = None if is_lasting else _wait_after_response(response, attempt)
            if isinstance(error, RateLimited) and request.is_optional:
                raise error
            if isinstance(error, RateLimited):
                limited_until = min(limited_until, time.monotonic() + self._limits.patience_seconds)
                self._check_patience(error, limited_until)
                continue  # a pause does not count as an attempt
            if wait_seconds is None or wait_seconds > LONGEST_WAIT_SECONDS or attempt >= self._limits.attempts:
                raise error
            self._log_retry(error, wait_seconds)
            time.sleep(wait_seconds)
            attempt += 1

    def _log_retry(self, error: RegistrySyncError, wait_seconds: float) -> None:
        """Warn of the first failure. Those that follow are infos until a request succeeds."""
        log.log(logging.INFO if self._is_failing else logging.WARNING, "%s; retrying in %.1f s", error, wait_seconds)
        self._is_failing = True

    def _check_patience(self, error: RateLimited, limited_until: float) -> None:
        """:raises RateLimited: when the delay is worth a deferral, named by the registry or after the last pause."""
        is_long = (error.retry_at - datetime.now(UTC)).total_seconds() > LONGEST_PAUSE_SECONDS
        if is_long or not self._limits.patience_seconds:
            raise error
        if time.monotonic() >= limited_until:
            raise lasting_limit(str(error), self._limits.patience_seconds)

    def _checked(self, request: Request, response: Response) -> Response:
        if response.status >= 400:
            raise self._decode(response, request)
        return response

    def _decode(self, response: Response, request: Request) -> RegistrySyncError:
        """The error of a response. What another host answers after a redirect is not the registry's rate limit."""
        error = decode_error(response, request.method)
        return error if self._is_own(response.url) or not isinstance(error, RateLimited) else TemporaryError(str(error))

    def _send_handling_auth(self, request: Request) -> Response:
        """Send a request, and repeat it once with the authorization that a 401 requires.

        Only challenges of the registry itself count. Another host, reached by a redirect, would receive the password.
        """
        sent = self._authenticator.header(request.scope)
        response = self._send_handling_redirects(request, sent)
        if response.status not in (401, 403) or not self._is_own(response.url):
            return response
        if response.status == 401:
            better = self._authenticator.learn(response.challenges, request.scope, sent=sent)
        else:  # ECR answers it to a login that has ended
            better = renewed_basic(self.endpoint.credentials, sent)
        return response if better in (None, sent) else self._send_handling_redirects(request, better)

    def _send_handling_redirects(self, request: Request, authorization: str | None) -> Response:
        """Send a request, and follow redirects. The authorization is sent to the registry's own origin only."""
        response = self._send_single(request, authorization if self._is_own(request.url) else None)
        for _ in range(_MAX_REDIRECTS):
            if response.status not in _REDIRECTS:
                return response
            url = self._redirect_target(request, response)
            if request.is_optional and not self._is_own(url):
                return response
            response = self._send_single(replace(request, url=url), authorization if self._is_own(url) else None)
        raise TemporaryError(f"{shown_url(request.url)} redirects more than {_MAX_REDIRECTS} times")

    def _redirect_target(self, request: Request, response: Response) -> str:
        """:raises ConfigurationError: for a redirected write, and for a redirect from https to http."""
        if request.method not in ("GET", "HEAD"):
            raise ConfigurationError(
                f"{shown_url(request.url)} redirects a {request.method}; is {self.endpoint.host} the right host?"
            )
        url = join_url(response.url, response.headers.get("Location", ""))
        if urlsplit(url).scheme not in ({"https"} if self.endpoint.tls else {"https", "http"}):
            shown = self._redact(shown_url(url))
            raise ConfigurationError(f"{shown_url(request.url)} redirects to {shown}, which is not https; not followed")
        return url

    def _fetch_token(self, url: str, authorization: str | None) -> Any:
        """GET a token endpoint. Redirects are not followed: they would receive the password.

        :raises DeniedError: also for a status that would mean something about the repository if the registry sent it.
        """
        response = self._send_single(Request(method="GET", url=url), authorization)
        if response.status == 200:
            return response.json()
        error = decode_error(response, "GET")
        if isinstance(error, RateLimited | TemporaryError):
            raise error
        problem = f"{response.status} {first_problem(response)[1]}".rstrip()
        if response.status in _REDIRECTS:
            shown = self._redact(shown_url(response.headers.get("Location", "")))
            problem += f", a redirect to {shown!r}, which is not followed"
        where, hint = host_of(url), "" if authorization else _kind_hint(url)
        message = f"{where} rejects the login of {self._user()} to {self.endpoint.host}: {problem}{hint}"
        raise LoginRejected(message) if authorization and response.status == 401 else DeniedError(message)

    def _send_single(self, request: Request, authorization: str | None) -> Response:
        send = partial(self._exchange.send, request, authorization)
        gets_manifest = request.method == "GET" and "/manifests/" in request.url
        response = self._host_limits.send(
            request.url, send, gets_manifest=gets_manifest, pauses=not request.is_optional
        )
        if self._is_own(response.url):
            self._notices.log(response)
            self._last_date = (response.headers.get("Date", ""), datetime.now(UTC))
        return response


def _kind_hint(token_url: str) -> str:
    """Advice for Quay's token endpoint, which issues anonymous users no token without a scope."""
    parts = urlsplit(token_url)
    is_quay = parts.path == "/v2/auth" and "scope=" not in parts.query
    return "; if this is a Quay with public repositories, write kind: quay for its registry" if is_quay else ""


def _wait_after_response(response: Response, attempt: int) -> float | None:
    """Seconds to wait before a retry: the requested delay, else the back-off. ``None`` for errors that stay."""
    if not is_rate_limited(response) and response.status not in TRANSIENT_STATUSES:
        return None
    return requested_delay(response, datetime.now(UTC)) or _backoff_seconds(attempt)


def _backoff_seconds(attempt: int) -> float:
    """Exponential back-off from half a second, with jitter of 50 %."""
    return 0.5 * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - a delay, no secret


def _registry_origin(endpoint: Endpoint) -> str:
    return f"{'https' if endpoint.tls else 'http'}://{_API_HOSTS.get(endpoint.host, endpoint.host)}"


def _api_origin(endpoint: Endpoint, address: str) -> str:
    """The origin of an ``api_url``, which will receive the registry's credentials.

    :raises ConfigurationError: when it is more or less than an origin, or plain HTTP although the registry has TLS.
    """
    if fault := api_url_fault(address, tls=endpoint.tls):
        raise ConfigurationError(f"{endpoint.host}: {fault}")
    return address.rstrip("/")
