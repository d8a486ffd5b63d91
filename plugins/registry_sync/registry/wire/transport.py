"""A session with one registry: requests with retries, streams and pages. An error page is raised as an error."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

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
from registry_sync.registry.wire.auth import Authenticator, granted_actions
from registry_sync.registry.wire.deadline import BLOB_SECONDS
from registry_sync.registry.wire.exchange import MAX_RESPONSE_BYTES, Body, Exchange, Request, RequestLimits
from registry_sync.registry.wire.host_limits import HostLimits
from registry_sync.registry.wire.http_errors import TRANSIENT_STATUSES, first_problem, is_web_page
from registry_sync.registry.wire.paging import next_link, read_pages
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, lasting_limit
from registry_sync.registry.wire.response import BodyStream, Response
from registry_sync.registry.wire.retry_after import is_rate_limited, requested_delay
from registry_sync.registry.wire.sender import Sender, login_of
from registry_sync.registry.wire.slots import RequestSlots
from registry_sync.registry.wire.urls import shown_url

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 10
"""Longest delay before another attempt that an overloaded registry (503) may request."""

_PING = "/v2/"

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
            error = ConfigurationError(f"{endpoint.host}: no CA file {str(endpoint.ca_file)!r} on this worker")
            error.part = "CA file"
            raise error
        self.endpoint = endpoint
        self.base_url = _api_origin(endpoint, base_url) if base_url else _registry_origin(endpoint)
        self._limits = limits or DEFAULT_LIMITS
        self._host_limits = HostLimits(
            self.base_url, requests_per_second, lane=lane, patience_seconds=self._limits.patience_seconds
        )
        self.slots = slots or RequestSlots(max_connections)
        self._max_connections = max_connections
        self._is_failing = False
        self._exchange = Exchange(endpoint, self._limits, max_connections=max_connections)
        self._sender = Sender(
            endpoint,
            self.base_url,
            exchange=self._exchange,
            host_limits=self._host_limits,
            authenticator=authenticator,
        )

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
        """Open connections in the background until there are ``count``, for requests at the same time."""
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
        """Seconds by which the registry's clock is ahead of ours; ``None`` where it is not known."""
        return self._sender.clock_skew_seconds

    def granted_actions(self, repository: str) -> frozenset[str] | None:
        """The actions that the token service grants when asked for pull and push of a repository.

        ``None`` for a registry without tokens, and for tokens that do not say it.

        :raises DeniedError: when it issues no token.
        """
        with self.slots:
            header = self._sender.authorization(f"repository:{repository}:pull,push") or ""
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
        return self._send_with_retries(
            Request(
                method=method,
                url=self._sender.url(path),
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

        :raises TemporaryError: also when the login has ended since the calls before: a 401, or a 403 as ECR answers
            where there is a new login.
        :raises RegistrySyncError: as :meth:`call` does.
        """
        url = self._sender.url(path)
        request = Request(method=method, url=url, headers=headers, body=body, read_seconds=read_seconds)
        with self.slots:
            sent = self._sender.authorization(scope) if scope else None
            response = self._sender.send_as(request, sent)
        if scope and self._sender.has_login_ended(response, sent):
            raise TemporaryError(f"{shown_url(request.url)} no longer accepted the login in the middle of an upload")
        return self._sender.checked(request, response)

    def follow_once(self, redirect: Response) -> Response:
        """GET the target of a redirect to another host, anonymously and without retries.

        :raises RegistrySyncError: as :meth:`call` does.
        """
        request = Request(method="GET", url=redirect.url, is_optional=True)
        target = replace(request, url=self._sender.redirect_target(request, redirect))
        with self.slots:
            return self._sender.checked(target, self._sender.send_as(target, None))

    @contextmanager
    def open_stream(
        self,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        read_seconds: float | None = None,
        response_seconds: float | None = None,
    ) -> Iterator[tuple[Response, BodyStream]]:
        """GET ``path`` without retries. Yields the response, whose body is read from the stream within the block.

        :param response_seconds: time limit of the whole response, by default that of a blob.
        :raises RegistrySyncError: as :meth:`call` does, and out of the stream's chunks.
        """
        request = Request(
            method="GET",
            url=self._sender.url(path),
            scope=scope,
            headers=headers or {},
            read_seconds=read_seconds,
            response_seconds=response_seconds or BLOB_SECONDS,
            is_streamed=True,
        )
        with self.slots:
            response = self._sender.checked(request, self._sender.send(request))
            stream = response.stream or BodyStream(iter((response.content,)), lambda: None)
            try:
                yield response, stream
            finally:
                stream.close()

    def back_off(self, attempt: int) -> None:
        """Wait before another attempt of a request without retries. :param attempt: number of attempts so far."""
        time.sleep(_backoff_seconds(attempt))

    def pages(
        self, path: str, *, scope: str = "", next_of: Callable[[Response], str] | None = None
    ) -> Iterator[Response]:
        """GET ``path`` and every following page, by ``Link: rel="next"``.

        :param next_of: returns the address of the next page for listings without ``Link``; empty is the end.
        :raises RegistrySyncError: as :func:`~registry_sync.registry.wire.paging.read_pages` does.
        """
        get = partial(self.call, "GET", scope=scope)
        return read_pages(get, self._sender.url(path), next_of or next_link)

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
            raise LoginRejected(
                f"{self.endpoint.host} rejects the login of {login_of(self.endpoint)}: {error}"
            ) from error
        if is_web_page(response):
            text = first_problem(response)[1]
            raise TemporaryError(
                f"{shown_url(response.url)} answered {response.status} with a web page ({text!r}), not like a "
                f"registry; is {self.endpoint.host} the right host?"
            )

    def _send_with_retries(self, request: Request) -> Response:
        error: RegistrySyncError
        wait_seconds: float | None
        attempt, limited_until = 1, math.inf
        while True:
            try:
                with self.slots:
                    response = self._sender.send(request)
            except (TemporaryError, RateLimited) as raised:
                error, wait_seconds = raised, _backoff_seconds(attempt)
            else:
                if response.status < 400:
                    self._is_failing = False
                    return response
                error = self._sender.decode(response, request)
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


def _wait_after_response(response: Response, attempt: int) -> float | None:
    """Seconds to wait before a retry: the requested delay, else the back-off. ``None`` for permanent errors."""
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
