"""Who writes what: claims that keep two writers apart, in this task and among the tasks of this machine.

A claim is a lock of the kernel on a byte of a file in the temporary directory, so it ends with whoever holds it, in
whatever way that ends. It holds among the tasks of one user that share that directory. Tasks on other machines do not
see it; for them there is the look at the destination right before each copy and each publication.
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

from registry_sync.worker.shared_directory import shared_directory

log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.25

_SET_LOCK = getattr(fcntl, "F_OFD_SETLK", None)
"""Locks of an open file, not of a process: they hold between threads too. Linux has them."""


class WriteLocks:
    """What is being written to one repository; another that wants some of it waits.

    Registries do not all bear two writers of one digest: docker-registry 2.8 refused an index as broken while a tag of
    one of its children was pushed. And whoever waited finds that the other has done the work.

    :param repository: the destination.
    :param check: called now and then while another task is waited for; what it raises ends the waiting.
    """

    def __init__(self, repository: str, check: Callable[[], None]) -> None:
        self._repository = repository
        self._check = check
        self._changed = threading.Condition()
        self._taken: set[str] = set()

    @contextmanager
    def hold(self, names: Iterable[str]) -> Iterator[None]:
        """Claim digests or tags, all at once or none, so that nobody waits for somebody who waits for them."""
        wanted = set(names)
        with self._changed:
            self._changed.wait_for(lambda: wanted.isdisjoint(self._taken))
            self._taken |= wanted
        try:
            descriptor = self._lock(wanted)
            try:
                yield
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

    def _lock(self, names: Iterable[str]) -> int | None:
        """An open file that holds the locks until it is closed; ``None`` where locks are not to be had."""
        offsets = sorted(_offset(f"{self._repository} {name}") for name in names)
        is_told = False
        while True:
            try:
                return _try_to_lock(offsets)
            except BlockingIOError:
                if not is_told:
                    log.info("%s: waiting for another task of this machine that writes the same", self._repository)
                is_told = True
            except OSError as error:
                log.debug("%s: other tasks of this machine are not seen (%s)", self._repository, error)
                return None
            self._check()
            time.sleep(random.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret


def _offset(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def _try_to_lock(offsets: Iterable[int]) -> int | None:
    """:raises BlockingIOError: when somebody else holds one of them."""
    directory = shared_directory()
    if directory is None or _SET_LOCK is None:
        return None
    descriptor = os.open(directory / "claims", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for offset in offsets:
            fcntl.fcntl(descriptor, _SET_LOCK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
