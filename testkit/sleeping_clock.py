"""A clock for code that waits: only sleeping advances it, and takes no time."""

from __future__ import annotations

import time


class SleepingClock:
    """Stands in for the module ``time``. ``slept`` is the sum of all sleeps, ``sleeps`` lists each, in seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.sleeps: list[float] = []
        self.slept = 0.0

    def monotonic(self) -> float:
        return self._began + self.slept

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.slept += seconds
