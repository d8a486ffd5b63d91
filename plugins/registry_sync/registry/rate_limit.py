"""A pace for requests, so that a limit which a registry is known to have is not run into."""

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
"""No task takes a start so far ahead: what a file says beyond that is of another boot of the machine."""


class Throttle:
    """Lets requests start no faster than ``requests_per_second``; ``None`` is as fast as they come.

    With ``server`` that holds for all tasks of this user on this machine, which registries see as one address: the next
    free start stands in a file, by a clock that all processes share. Other machines have a pace of their own.
    """

    def __init__(self, requests_per_second: float | None, *, server: str = "") -> None:
        self._gap_seconds = 1 / requests_per_second if requests_per_second else 0.0
        self._file = _pace_file(server) if server and requests_per_second else None
        self._next_start = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take the next free start, and sleep until it has come."""
        if not self._gap_seconds:
            return
        with self._lock:
            now = time.monotonic()
            start = self._take_anywhere(now)
        if start > now:
            time.sleep(start - now)

    def _take(self, next_start: float, now: float) -> float:
        start = next_start if now < next_start < now + _FARTHEST_SECONDS else now
        self._next_start = start + self._gap_seconds
        return start

    def _take_anywhere(self, now: float) -> float:
        """Where the file cannot be had or written, on a full disk for example, the pace is our own."""
        own = self._next_start
        with suppress(OSError):
            if self._file:
                return self._take_shared(self._file, now)
        return self._take(own, now)

    def _take_shared(self, file: Path, now: float) -> float:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+", encoding="ascii", errors="replace") as shared:
            fcntl.flock(shared, fcntl.LOCK_EX)
            start = self._take(_number(shared.read(40)), now)
            shared.seek(0)
            shared.write(f"{self._next_start:020.6f}\n")
        return start


def _pace_file(server: str) -> Path | None:
    """A file for ``server`` ; ``None`` when there is no place for it."""
    directory = shared_directory()
    return directory / f"pace-{re.sub('[^a-zA-Z0-9.-]', '_', server)}" if directory else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
