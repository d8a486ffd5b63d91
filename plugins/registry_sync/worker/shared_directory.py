"""Directories that all tasks of one user on one machine share. They outlive the tasks."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the directory in it is made private, as in any place for all users
"""A file system in memory, on Linux."""


def shared_directory() -> Path | None:
    """Make the directory if necessary and return its path; ``None`` when it cannot be created or trusted.

    Where users share the temporary directory, another user may have created the name first.
    """
    directory = _shared()
    return Path(directory) if directory else None


def shared_file(name: str) -> str | None:
    """The path of a file in the directory; ``None`` without one. Each lock needs it: a ``Path`` would be slower."""
    directory = _shared()
    return f"{directory}/{name}" if directory else None


def memory_directory(*, needed_bytes: int) -> Path | None:
    """The same in memory, for small files that are written often and may be lost.

    :param needed_bytes: ``None`` is returned as well when less than this is free.
    """
    try:
        status = os.statvfs(MEMORY)
        directory = _make(str(MEMORY)) if status.f_bavail * status.f_frsize >= needed_bytes else None
    except OSError:
        return None
    return Path(directory) if directory else None


def _shared() -> str | None:
    try:
        return _make(tempfile.gettempdir())  # tests for free space
    except OSError:
        return None


def _make(parent: str) -> str | None:
    """:raises OSError: when it cannot be created."""
    directory = f"{parent}/registry_sync-{os.getuid()}"
    try:
        status = os.lstat(directory)
    except FileNotFoundError:
        Path(directory).mkdir(mode=0o700, exist_ok=True)
        status = os.lstat(directory)
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return directory if is_ours else None
