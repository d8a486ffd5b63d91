"""A directory of this user's own in the temporary one. It outlives tasks, and those of one machine share it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def shared_directory() -> Path | None:
    """Where it is; ``None`` when somebody else was there first, or there is no room.

    The former can happen where all users share the temporary directory.
    """
    try:
        directory = Path(tempfile.gettempdir()) / f"registry_sync-{os.getuid()}"  # which looks for one with room
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return directory if is_ours else None
