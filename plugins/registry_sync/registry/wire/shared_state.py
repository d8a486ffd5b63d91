"""A small state that all tasks of one user on one machine share, in a file under a lock."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable
from typing import Generic, TextIO, TypeVar

from registry_sync.worker.shared_directory import shared_file

_MAX_STATE_LENGTH = 64 * 1024
"""A state that is cut off could not be parsed. Pulls that many tasks reserve take 40 characters each."""

S = TypeVar("S")
T = TypeVar("T")


class SharedState(Generic[S]):
    """The state ``name``. Without a usable shared directory, or on a full disk, it is this process's own.

    :param name: of the file; empty for a state of this object only.
    :param new: the state without a file.
    :param parse: reads a text, also one that is not valid.
    :param text: writes a state in ASCII.
    """

    def __init__(self, name: str, new: S, parse: Callable[[str], S], text: Callable[[S], str]) -> None:
        self._file = _state_file(name) if name else None
        self._own = self._new = new
        self._parse, self._text = parse, text
        self._lock = threading.Lock()

    def is_new(self) -> bool:
        """Return whether nobody has changed the state. That costs one system call."""
        is_new = self._own is self._new
        return is_new and (self._file is None or not os.access(self._file, os.F_OK))

    def read(self) -> S:
        """The state. One without a file costs one failed system call."""
        path = self._file
        if path is None:
            return self._own
        if not os.access(path, os.F_OK):
            return self._own  # quicker than an exception
        try:
            with _open(path, os.O_RDONLY) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return self._parse(file.read(_MAX_STATE_LENGTH))
        except FileNotFoundError:
            return self._new
        except OSError:
            return self._own

    def update(self, change: Callable[[S], tuple[S, T]]) -> T:
        """Replace the state by the first value of ``change``, and return the second. Nothing sleeps meanwhile."""
        with self._lock:
            if self._file:
                try:
                    return self._update_file(self._file, change)
                except OSError:
                    self._file = None  # a file that cannot be written, or was deleted, has no state
            self._own, result = change(self._own)
            return result

    def _update_file(self, path: str, change: Callable[[S], tuple[S, T]]) -> T:
        with _open(path, os.O_RDWR | os.O_CREAT) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state, result = change(self._parse(file.read(_MAX_STATE_LENGTH)))
            file.seek(0)
            file.write(self._text(state))
            file.truncate()  # afterwards, so that a full disk does not take the state from other tasks
        return result


def _open(path: str, flags: int) -> TextIO:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "r+" if flags & os.O_RDWR else "r", encoding="ascii", errors="replace")


_NOT_IN_FILE_NAMES = re.compile("[^a-zA-Z0-9.-]")


def _state_file(name: str) -> str | None:
    """The file of a state; ``None`` without a usable shared directory."""
    return shared_file(_NOT_IN_FILE_NAMES.sub("_", name))
