"""The traffic of a running skopeo, and the time without any."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

MIN_PROGRESS_BYTES = 256
"""Fewer bytes in an interval of :data:`INTERVAL_SECONDS` count as a stall.

A waiting skopeo still moves some 10 bytes a second, with which the threads of a Go program wake each other. One HTTP
request has more bytes than this limit.
"""

INTERVAL_SECONDS = 0.2
"""The shortest time in which progress is looked for. A skopeo that prints is read more often."""


class Traffic:
    """Bytes that skopeo has received and sent, by successive readings. Used by one thread.

    :param most_seconds_between: a longer time between two readings counts as this long. Nobody looked in the rest of
        it: the worker may have been suspended, and skopeo with it.
    :ivar sent_bytes: both counters contain about 0.1 MB of other data (the program's own files, cached locations of
        layers), so the smaller one is the better estimate.
    :ivar idle_seconds: time without progress, up to the last reading.
    """

    def __init__(self, most_seconds_between: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_seconds_between = most_seconds_between
        self._clock = clock
        self._looked_at = clock()
        self._looked_at_bytes = 0
        self.sent_bytes = 0
        self.idle_seconds = 0.0

    def record(self, counters: tuple[int, int] | None) -> None:
        """Record a reading of the bytes received and sent since the start.

        The counters of an ended process are ``None`` or zero, which keeps the last reading. Where they can never be
        read, as anywhere but on Linux, skopeo counts as moving.
        """
        moved_bytes = sum(counters or ())
        self.sent_bytes = max(self.sent_bytes, min(counters or (0,)))
        if self.seconds_since_look < INTERVAL_SECONDS:
            return
        self.miss()
        can_be_read = counters is not None or self._looked_at_bytes > 0
        if not can_be_read or moved_bytes >= self._looked_at_bytes + MIN_PROGRESS_BYTES:
            self.idle_seconds = 0.0
        self._looked_at_bytes = max(self._looked_at_bytes, moved_bytes)

    def miss(self) -> None:
        """Record that the counters could not be read now. Skopeo counts as idle since the last reading."""
        self.idle_seconds += min(self.seconds_since_look, self._most_seconds_between)
        self._looked_at = self._clock()

    @property
    def seconds_since_look(self) -> float:
        """Time since progress was looked for."""
        return self._clock() - self._looked_at


def read_io_counters(pid: int) -> tuple[int, int] | None:
    """Bytes that a process has read and written, network traffic included; ``None`` where they cannot be read.

    They are ``rchar`` and ``wchar`` of proc(5).
    """
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except OSError:
        return None
    counters = dict(line.split(": ") for line in text.splitlines())
    return int(counters["rchar"]), int(counters["wchar"])
