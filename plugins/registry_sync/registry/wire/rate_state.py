"""Rate limit of one host, as the tasks of one user on one machine have seen it, in a file that they share.

Registries count requests per address, so all tasks of a machine use up one limit. Times are those of
``time.monotonic()``, a clock that all processes of a machine share.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from registry_sync.worker.shared_directory import shared_directory

_MAX_STATE_LENGTH = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Requests that are paced together.

    :ivar next_start: the next free start time.
    :ivar slower_gap_seconds: gap between two starts that 429 responses have taught; 0 is none.
    """

    next_start: float = 0.0
    slower_gap_seconds: float = 0.0


_NEW_LANE = Lane()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """State of one host.

    :ivar paused_at: the time at which the latest pause began.
    :ivar paused_until: the time before which nobody sends anything to the host.
    :ivar pause_seconds: back-off of the latest pause.
    """

    paused_at: float = 0.0
    paused_until: float = 0.0
    pause_seconds: float = 0.0
    lanes: Mapping[str, Lane] = field(default_factory=dict)

    def lane(self, name: str) -> Lane:
        return self.lanes.get(name, _NEW_LANE)


class SharedRateState:
    """The state of ``server``; of this process only without a usable shared directory, or on a full disk."""

    def __init__(self, server: str) -> None:
        self._file = _state_file(server) if server else None
        self._own = RateState()
        self._lock = threading.Lock()

    def read(self) -> RateState:
        """The state. A host without a state has no file, and costs one failed system call."""
        path = self._file
        if path is None:
            return self._own
        if not os.access(path, os.F_OK):
            return self._own  # quicker than an exception
        try:
            with _open(path, os.O_RDONLY) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return _parse(file.read(_MAX_STATE_LENGTH))
        except FileNotFoundError:
            return RateState()
        except OSError:
            return self._own

    def update(self, change: Callable[[RateState], tuple[RateState, T]]) -> T:
        """Replace the state by what ``change`` makes of it, and return its second value. Nobody sleeps meanwhile."""
        with self._lock:
            if self._file:
                try:
                    return self._update_file(self._file, change)
                except OSError:
                    self._file = None  # a file that cannot be written, or is gone, holds no pause
            self._own, result = change(self._own)
            return result

    def _update_file(self, path: Path, change: Callable[[RateState], tuple[RateState, T]]) -> T:
        with _open(path, os.O_RDWR | os.O_CREAT) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state, result = change(_parse(file.read(_MAX_STATE_LENGTH)))
            file.seek(0)
            file.write(_text(state))
            file.truncate()  # afterwards, so that a full disk does not take the state from other tasks
        return result


def _open(path: Path, flags: int) -> TextIO:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "r+" if flags & os.O_RDWR else "r", encoding="ascii", errors="replace")


def _state_file(server: str) -> Path | None:
    """The file for ``server``; ``None`` without a usable shared directory."""
    directory = shared_directory()
    return directory / f"rate-{re.sub('[^a-zA-Z0-9.-]', '_', server)}" if directory else None


def _text(state: RateState) -> str:
    lanes = {name: [lane.next_start, lane.slower_gap_seconds] for name, lane in state.lanes.items()}
    return json.dumps([state.paused_at, state.paused_until, state.pause_seconds, lanes])


def _parse(text: str) -> RateState:
    """Parse a state. A file that cannot be parsed, such as an empty one, counts as a new state."""
    try:
        paused_at, paused_until, pause_seconds, lanes = json.loads(text)
        return RateState(
            paused_at=_number(paused_at),
            paused_until=_number(paused_until),
            pause_seconds=_number(pause_seconds),
            lanes={
                str(name): Lane(next_start=_number(start), slower_gap_seconds=_number(gap))
                for name, (start, gap) in lanes.items()
            },
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return RateState()


def _number(raw: Any) -> float:
    """:raises ValueError: when ``raw`` is not a finite number."""
    number = float(raw)
    if not math.isfinite(number):
        raise ValueError(raw)
    return number
