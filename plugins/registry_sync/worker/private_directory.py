"""Temporary directories for secrets, readable by this user only, and removed even when their owner is killed.

The owner holds a lock (flock(2)) on its directory, which the kernel releases when the owner ends. A directory that can
be locked is therefore abandoned, and the next task removes it. Process ids would not work: they are reused, and
containers that share a directory have separate ones.
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
"""Reserved prefix: every unlocked directory with it is removed."""


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory of mode 0700 for the block, after removing abandoned ones.

    :raises TemporaryError: when it cannot be created, for example on a full disk.
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
    """Translate errors of writing to the temporary directory.

    :raises TemporaryError: when a file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise TemporaryError(f"this worker's temporary directory cannot be written to: {error}") from error


def remove_abandoned() -> None:
    """Remove the private directories whose owners have ended."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another task removes it, or the file system has no locks
            lock = _try_to_lock(path) if _is_ours(path) else None
            if lock is not None:
                log.info("removing %s, which a killed task left", path)
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _make() -> tuple[Path, int | None]:
    """Make a directory and lock it; the lock is ``None`` where the file system has no locks.

    Another task may remove the directory before we lock it; then retry.
    """
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = _try_to_lock(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.debug("%s has no lock and remains if this process is killed (%s)", directory, error)
            return directory, None
        if lock is not None:
            return directory, lock


def _try_to_lock(directory: Path) -> int | None:
    """Lock a directory and return the descriptor that holds the lock; ``None`` when another process holds it.

    :raises FileNotFoundError: when the directory was removed.
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
