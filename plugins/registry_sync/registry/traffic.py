"""Counting the requests to a registry, and the time for which its rate limit held them back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Self, TypeVar

T = TypeVar("T")

SHORTEST_WAIT_SECONDS = 0.05
"""Shorter delays before a request are the spacing of requests and not worth counting as a wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests of our own, retries and redirects included. Those of skopeo are not counted.

    :ivar manifests: manifests that GET requests returned.
    :ivar pulls: manifests of a registry with a pull limit, Docker Hub, that were read by us and by skopeo. The limit
        counts them, and no HEAD.
    :ivar waits: number of waits for a rate limit: a pause after a 429, or ``requests_per_second``.
    :ivar wait_seconds: time of these waits, summed over threads that waited at the same time.
    """

    requests: int = 0
    manifests: int = 0
    pulls: int = 0
    waits: int = 0
    wait_seconds: float = 0.0

    def __add__(self, other: Self) -> Traffic:
        """The traffic of both."""
        return Traffic(
            requests=self.requests + other.requests,
            manifests=self.manifests + other.manifests,
            pulls=self.pulls + other.pulls,
            waits=self.waits + other.waits,
            wait_seconds=round(self.wait_seconds + other.wait_seconds, 3),
        )


NO_TRAFFIC = Traffic()


class TrafficCounter:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._requests = self._manifests = self._waits = 0
        self._wait_seconds = 0.0
        self._lock = Lock()

    @property
    def total(self) -> Traffic:
        """The traffic so far."""
        with self._lock:
            return Traffic(
                requests=self._requests,
                manifests=self._manifests,
                waits=self._waits,
                wait_seconds=round(self._wait_seconds, 3),
            )

    def add_request(self) -> None:
        """Count a request that is sent."""
        with self._lock:
            self._requests += 1

    def add_manifest(self) -> None:
        """Count a manifest that a GET returned."""
        with self._lock:
            self._manifests += 1

    def wait(self, wait: Callable[[float], T], patience_seconds: float) -> T:
        """Call ``wait``, and count its time, also when it ends with an error."""
        began = time.monotonic()
        try:
            return wait(patience_seconds)
        finally:
            if (seconds := time.monotonic() - began) >= SHORTEST_WAIT_SECONDS:
                with self._lock:
                    self._waits += 1
                    self._wait_seconds += seconds
