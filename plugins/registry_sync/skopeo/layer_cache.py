"""The place of skopeo's cache of layers, in which it notes which repository has which layer.

From it skopeo takes a layer from another repository of the destination, instead of sending it. It writes the cache
several times for each layer, waits each time until the disk has it, and lets one skopeo at a time do so. For small
images that takes a large part of the copy. Without the cache a few layers are sent once more, so memory is safe enough
for it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from registry_sync.worker.shared_directory import memory_directory, shared_directory

MAX_BYTES = 16_000_000
"""A larger cache is begun anew. It has a few hundred bytes for each layer."""

_NEEDED_BYTES = 2 * MAX_BYTES


def layer_cache() -> Path | None:
    """The value for XDG_DATA_HOME that all tasks of this machine share: in memory where possible, else on disk."""
    directory = memory_directory(needed_bytes=_NEEDED_BYTES)
    if directory is None:
        return shared_directory()
    with suppress(OSError):  # there is no cache yet, or another task removes it
        _empty(directory / "containers" / "cache")
    return directory


def _empty(cache: Path) -> None:
    """Remove the files of a cache that is too large. Running skopeos work on with files of their own."""
    files = list(cache.iterdir())
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        for file in files:
            file.unlink()
