"""Write locks on digests and tags, between threads and between tasks on one machine.

A lock covers one byte of a file in the shared directory. The kernel releases it when its holder ends, even when that is
killed. It works between tasks of one user that share the directory. Tasks on other machines do not see it; every copy
and every publication therefore checks the destination right before it starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from registry_sync.worker.shared_directory import shared_file

log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.25

_SET_LOCK = getattr(fcntl, "F_OFD_SETLK", None)
"""Open file description locks, which also work between threads of a process. Linux only."""


class WriteLocks:
    """Write locks on the digests and tags of one repository.

    Some registries fail when a digest has two writers: docker-registry 2.8 refused an index as broken while a tag of
    one of its children was pushed. Waiting also saves work, because the other task has copied the content by then.

    :param repository: the destination.
    :param check: called repeatedly while waiting for another task; an exception ends the wait.
    """

    def __init__(self, repository: str, check: Callable[[], None]) -> None:
        self._repository = repository
        self._check = check
        self._changed = threading.Condition()
        self._taken: set[str] = set()

    @contextmanager
    def acquire(self, names: Iterable[str]) -> Iterator[bool]:
        """Acquire the locks on all digests or tags atomically, so that no deadlock can arise.

        Yields ``True`` after a wait for another thread or task, which may have done the same work meanwhile.
        """
        wanted = set(names)
        with self._changed:
            has_waited = not wanted.isdisjoint(self._taken)
            self._changed.wait_for(lambda: wanted.isdisjoint(self._taken))
            self._taken |= wanted
        try:
            descriptor, has_waited_for_task = self._lock(wanted)
            try:
                yield has_waited or has_waited_for_task
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

    def _lock(self, names: Iterable[str]) -> tuple[int | None, bool]:
        """Wait for the locks between tasks. Returns the descriptor that holds them, and whether that took a wait.

        The descriptor is ``None`` without such locks.
        """
        offsets = sorted(_offset(f"{self._repository} {name}") for name in names)
        is_logged = False
        while True:
            try:
                return _try_to_lock(offsets), is_logged
            except BlockingIOError:
                if not is_logged:
                    log.info("%s: waiting for the write lock of another task on this machine", self._repository)
                is_logged = True
            except OSError as error:
                log.debug("%s: no write locks between the tasks of this machine (%s)", self._repository, error)
                return None, is_logged
            self._check()
            time.sleep(random.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret


def _offset(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def _try_to_lock(offsets: Iterable[int]) -> int | None:
    """Lock all offsets or none.

    :raises BlockingIOError: when another task holds one of them.
    """
    path = shared_file("write_locks")
    if path is None or _SET_LOCK is None:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for offset in offsets:
            fcntl.fcntl(descriptor, _SET_LOCK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
