"""The rate limits of the hosts that one transport sends requests to.

These are the registry or API itself, its token server, and the targets of redirects. A 429 of one of them is not a
limit of the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from registry_sync.registry.traffic import Traffic, TrafficCounter
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, RateLimiter
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.retry_after import is_rate_limited, requested_delay
from registry_sync.registry.wire.urls import host_of

log = logging.getLogger(__name__)


class HostLimits:
    """Sends requests when the limit of their host allows it. A 429 pauses all requests of the worker to that host.

    :param base_url: address of the registry or API.
    :param requests_per_second: its maximum rate; ``None`` is unlimited.
    :param lane: requests that share this rate with those of other transports to the same host.
    :param patience_seconds: time for which one request waits for pauses to end. With 0, requests neither heed nor
        begin pauses of other threads and tasks.
    :ivar latency_seconds: time of the quickest request to the registry or API; ``None`` before the first.
    """

    def __init__(self, base_url: str, requests_per_second: float | None, *, lane: str, patience_seconds: float) -> None:
        self._is_shared = patience_seconds > 0
        self._patience_seconds = patience_seconds
        self._host = host_of(base_url)
        self._prefix = f"{base_url}/"
        self._own = RateLimiter(requests_per_second, server=self._host if self._is_shared else "", lane=lane)
        self._others: dict[str, RateLimiter] = {}
        self._traffic = TrafficCounter()
        self.latency_seconds: float | None = None

    @property
    def traffic(self) -> Traffic:
        """The requests so far."""
        return self._traffic.total

    def send(
        self, url: str, send: Callable[[], Response], *, gets_manifest: bool = False, pauses: bool = True
    ) -> Response:
        """Call ``send``, which sends one request to ``url``, when its host allows it.

        :param gets_manifest: a successful response is counted as a manifest.
        :param pauses: a 429 pauses other requests, too.
        :raises RateLimited: when pauses have left no time for the request.
        """
        limiter = self._own if url.startswith(self._prefix) else self._limiter_of(host_of(url))
        sent_at = self._traffic.wait(limiter.wait, self._patience_seconds)
        self._traffic.add_request()
        began = time.monotonic()
        response = send()
        if limiter is self._own:
            seconds = response.seconds or time.monotonic() - began
            self.latency_seconds = min(seconds, self.latency_seconds or seconds)
        if gets_manifest and response.status == 200:
            self._traffic.add_manifest()
        if self._is_shared and pauses and is_rate_limited(response):
            delay = requested_delay(response, datetime.now(UTC))
            if delay is None or delay <= LONGEST_PAUSE_SECONDS:
                self._pause(limiter, host_of(url), sent_at, delay)
        return response

    def wait_for_pause(self) -> None:
        """Sleep while the registry pauses this worker. :raises RateLimited: when that takes too long."""
        self._traffic.wait(self._own.wait_for_pause, self._patience_seconds)

    def pause(self, sent_at: float) -> None:
        """Pause all requests to the registry after a 429 to another program, started at ``sent_at``."""
        self._pause(self._own, self._host, sent_at, None)

    def close(self) -> None:
        """End every wait."""
        for limiter in (self._own, *list(self._others.values())):
            limiter.close()

    def _limiter_of(self, host: str) -> RateLimiter:
        if host == self._host:
            return self._own
        if host not in self._others:
            self._others[host] = RateLimiter(None, server=host if self._is_shared else "")
        return self._others[host]

    def _pause(self, limiter: RateLimiter, host: str, sent_at: float, delay: float | None) -> None:
        if seconds := limiter.pause(sent_at=sent_at, seconds=delay):
            log.warning("%s answered 429; all requests to it pause for %.1f s", host, seconds)
