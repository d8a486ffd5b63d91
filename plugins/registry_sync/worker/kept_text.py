"""Keep the last good text of a file in the shared directory, for the time while the file has an error."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry_sync.worker.shared_directory import shared_directory

log = logging.getLogger(__name__)

MAX_BYTES = 16_000_000
"""A larger text is not kept."""


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text, and when it was first kept (aware UTC)."""

    text: str
    kept_at: datetime


def keep_text(path: Path, text: str) -> None:
    """Keep the text of the file ``path``, in place of an earlier one. An equal text keeps its time.

    Written completely or not at all. A failure is logged: the file itself is good, and nothing else needs this.
    """
    content, place = text.encode(), _place(path)
    if place is None or len(content) > MAX_BYTES:
        log.warning("the text of %s is not kept: it is too long, or the temporary directory is not ours", path)
        return
    if _read(place) == content:
        return
    unfinished = place.with_suffix(f".{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(place)
    except OSError as error:
        log.warning("the text of %s is not kept: %s", path, error)
        with suppress(OSError):
            unfinished.unlink()


def read_kept_text(path: Path) -> KeptText | None:
    """The text that was kept for the file ``path`` on this machine; ``None`` when there is none."""
    place = _place(path)
    content = _read(place) if place else None
    if place is None or content is None:
        return None
    try:
        return KeptText(content.decode(), datetime.fromtimestamp(place.stat().st_mtime, UTC))
    except (OSError, ValueError):
        return None


def _place(path: Path) -> Path | None:
    directory = shared_directory()
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
    return directory / f"kept-{name}" if directory else None


def _read(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except OSError:
        return None
