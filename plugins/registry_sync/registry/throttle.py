"""A pace for requests, so that a limit which a registry is known to have is not run into."""

from __future__ import annotations

import threading
import time


class Throttle:
    """Lets requests start no faster than ``requests_per_second``; ``None`` is as fast as they come.

    It holds for one client in one process. Registries count by address or by user: what several tasks may do at once is
    for Airflow's pools to say.
    """

    def __init__(self, requests_per_second: float | None) -> None:
        self._gap_seconds = 1 / requests_per_second if requests_per_second else 0.0
        self._next_start = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take the next free start, and sleep until it has come."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + self._gap_seconds
        if start > now:
            time.sleep(start - now)
