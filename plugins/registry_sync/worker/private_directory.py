"""A directory for secrets: only we can read it, and it is gone when its owner is, even if that was killed.

Whoever makes one holds a lock (flock(2)) on it. The kernel ends that lock with its owner, so what can be locked belongs
to nobody any more. Process ids would not tell: they are used again, and containers that share a directory each have
their own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry_sync.errors import TemporaryError

log = logging.getLogger(__name__)

PREFIX = "registry_sync-task-"
"""Nobody else's names begin so: what does, and has no owner, is removed."""


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new one, of mode 0700, until the block's end; first, those are removed whose owners were killed.

    :raises TemporaryError: when there is no room for it.
    """
    with writing():
        remove_abandoned()
        directory, lock = _make()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def writing() -> Iterator[None]:
    """For the few files that a task writes.

    :raises TemporaryError: when they cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise TemporaryError(f"this worker's temporary directory cannot be written to: {error}") from error


def remove_abandoned() -> None:
    """Remove the private directories of owners that are no more."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else removes it, or there are no locks here
            lock = _try_to_lock(each) if _is_ours(each) else None
            if lock is not None:
                log.info("%s is of a task that was killed; it is removed", each)
                shutil.rmtree(each, ignore_errors=True)
                os.close(lock)


def _make() -> tuple[Path, int | None]:
    """A new directory and what keeps it; none where locks are not to be had.

    Between the two it can be taken for an abandoned one, and go; then there is another.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = _try_to_lock(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.debug("%s has no lock, and stays if this process is killed (%s)", directory, error)
            return directory, None
        if lock is not None:
            return directory, lock


def _try_to_lock(directory: Path) -> int | None:
    """A descriptor that keeps the lock; ``None`` when somebody else has it.

    :raises FileNotFoundError: when the directory is gone.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        directory.stat()
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
