"""Waiting for a condition, with one bound for the whole test suite."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 120.0
"""Longest wait for anything that should happen soon.

A machine that runs several test suites at once takes a minute for the work of a second. A wait that succeeds ends at
once, so a high bound costs time only in a test that fails anyway. It stays below pytest's own timeout.
"""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.25

T = TypeVar("T")


def wait_until(
    holds: Callable[[], T | None],
    what: str,
    *,
    seconds: float = PATIENCE_SECONDS,
    seen: Callable[[], object] = lambda: "",
) -> T:
    """Wait until ``holds`` returns something true, and return it. Pauses between two looks grow.

    :param what: completes "waited in vain until …".
    :param seen: returns what the error shows of the last state.
    :raises TimeoutError: when it is still false after ``seconds``.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
    while True:
        if result := holds():
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain until {what} {seen()}".rstrip())
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)
