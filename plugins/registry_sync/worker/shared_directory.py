"""A directory that all tasks of one user on one machine share. It outlives them."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def shared_directory() -> Path | None:
    """Make the directory if necessary and return its path; ``None`` when it cannot be created or trusted.

    Where users share the temporary directory, another user may have created the name first.
    """
    try:
        directory = Path(tempfile.gettempdir()) / f"registry_sync-{os.getuid()}"  # gettempdir tests for free space
        try:
            status = os.lstat(directory)
        except FileNotFoundError:
            directory.mkdir(mode=0o700, exist_ok=True)
            status = os.lstat(directory)
    except OSError:
        return None
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return directory if is_ours else None
