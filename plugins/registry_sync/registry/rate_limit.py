"""Client-side rate limit: spaces requests out, so that a registry's known limit is not reached."""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

from registry_sync.worker.shared_directory import shared_directory

_FARTHEST_SECONDS = 60.0
"""Longest time ahead for which a start is reserved. A later time in the file is from another boot of the machine."""


class RateLimiter:
    """Starts at most ``requests_per_second`` requests; ``None`` is unlimited.

    With ``server`` the limit is shared by all tasks of this user on this machine, because registries count requests per
    IP address. A file holds the next free start time, by a clock that all processes share. Other machines have limits
    of their own.
    """

    def __init__(self, requests_per_second: float | None, *, server: str = "") -> None:
        self._gap_seconds = 1 / requests_per_second if requests_per_second else 0.0
        self._file = _state_file(server) if server and requests_per_second else None
        self._next_start = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Reserve the next free start time, and sleep until then."""
        if not self._gap_seconds:
            return
        with self._lock:
            now = time.monotonic()
            start = self._reserve(now)
        if start > now:
            time.sleep(start - now)

    def _reserve(self, now: float) -> float:
        """Use the shared file, or the limit of this process if the file cannot be used, such as on a full disk."""
        own_next_start = self._next_start
        with suppress(OSError):
            if self._file:
                return self._reserve_in(self._file, now)
        return self._reserve_after(own_next_start, now)

    def _reserve_in(self, file: Path, now: float) -> float:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as state:
            fcntl.flock(state, fcntl.LOCK_EX)
            start = self._reserve_after(_number(state.read(40)), now)
            state.seek(0)
            state.write(f"{self._next_start:020.6f}\n")
        return start

    def _reserve_after(self, next_start: float, now: float) -> float:
        start = next_start if now < next_start < now + _FARTHEST_SECONDS else now
        self._next_start = start + self._gap_seconds
        return start


def _state_file(server: str) -> Path | None:
    """The file for ``server``; ``None`` without a usable shared directory."""
    directory = shared_directory()
    return directory / f"pace-{re.sub('[^a-zA-Z0-9.-]', '_', server)}" if directory else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
