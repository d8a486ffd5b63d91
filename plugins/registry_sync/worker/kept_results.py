"""Results of work on files, kept for all tasks of one user on one machine until one of the files changes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from registry_sync.worker.shared_directory import shared_directory


def kept_result(name: str, sources: Sequence[str], make: Callable[[], bytes]) -> bytes:
    """Return what ``make`` returns, or has returned for these files in the state that they have now.

    Without a shared directory, and where that cannot be written, nothing is kept.

    :param name: of the file in the shared directory.
    :param sources: paths of the files, links to them included.
    :raises OSError: when a file does not exist.
    """
    shared = shared_directory()
    first_line = f"# {_state(sources)}\n".encode()
    kept = read_if_possible(shared / name) if shared else b""
    if kept.startswith(first_line):
        return kept.removeprefix(first_line)
    made = make()
    if shared:
        with suppress(OSError):
            replace_file(shared / name, first_line + made)
    return made


def _state(sources: Sequence[str]) -> str:
    """A text that changes with any of the files."""
    stats = ((path, Path(path).stat()) for path in sources)
    lines = (f"{path} {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in stats)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def read_if_possible(path: Path) -> bytes:
    """The content of a file; empty when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file completely, or not at all. Other threads and containers may write the same one at this time."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
