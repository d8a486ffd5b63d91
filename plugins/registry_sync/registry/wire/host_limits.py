"""The rate limits of the hosts that one transport sends requests to.

These are the registry or API itself, its token server, and the targets of redirects. A 429 of one of them is not a
limit of the others.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from registry_sync.registry.traffic import Traffic, TrafficCounter
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, RateLimiter
from registry_sync.registry.wire.response import Response
from registry_sync.registry.wire.retry_after import is_rate_limited, requested_delay
from registry_sync.registry.wire.urls import host_of

log = logging.getLogger(__name__)


class HostLimits:
    """Holds back requests until the limit of their host allows them. A 429 pauses all requests of the worker to it.

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

    def wait(self, url: str) -> float:
        """Wait until a request to ``url`` may be sent. Returns the time of its start.

        :raises RateLimited: when pauses have left no time for the request.
        """
        limiter = self._limiter_of(url)
        sent_at = limiter.start_at_once() or self._traffic.wait(limiter.wait, self._patience_seconds)
        self._traffic.add_request()
        return sent_at

    def note(self, response: Response, sent_at: float, *, gets_manifest: bool = False, pauses: bool = True) -> None:
        """Note the response to a request that was sent at :meth:`wait`'s time.

        :param gets_manifest: a successful response is counted as a manifest.
        :param pauses: a 429 pauses other requests, too.
        """
        limiter = self._limiter_of(response.url)
        if limiter is self._own and response.seconds is not None:
            self.latency_seconds = min(response.seconds, self.latency_seconds or response.seconds)
        if gets_manifest and response.status == 200:
            self._traffic.add_manifest()
        if response.status >= 400 and self._is_shared and pauses and is_rate_limited(response):
            delay = requested_delay(response, datetime.now(UTC))
            if delay is None or delay <= LONGEST_PAUSE_SECONDS:
                self._pause(limiter, host_of(response.url), sent_at, delay)

    def wait_for_pause(self) -> None:
        """Sleep while the registry pauses this worker. :raises RateLimited: when that takes too long."""
        if self._own.start_at_once() is None:
            self._traffic.wait(self._own.wait_for_pause, self._patience_seconds)

    def pause(self, sent_at: float) -> None:
        """Pause all requests to the registry after a 429 to another program, started at ``sent_at``."""
        self._pause(self._own, self._host, sent_at, None)

    def close(self) -> None:
        """End every wait."""
        for limiter in (self._own, *list(self._others.values())):
            limiter.close()

    def _limiter_of(self, url: str) -> RateLimiter:
        if url.startswith(self._prefix) or (host := host_of(url)) == self._host:
            return self._own
        if host not in self._others:
            self._others[host] = RateLimiter(None, server=host if self._is_shared else "")
        return self._others[host]

    def _pause(self, limiter: RateLimiter, host: str, sent_at: float, delay: float | None) -> None:
        if seconds := limiter.pause(sent_at=sent_at, seconds=delay):
            log.warning("%s answered 429; all requests to it pause for %.1f s", host, seconds)
