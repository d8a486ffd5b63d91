"""Places of blobs: a repository of a registry that has a blob, for all tasks of one user on one machine.

A registry mounts a blob from another of its repositories without a transfer, if a client names that repository. Each
repository is mirrored by a task of its own, so they share what they know: in one file of fixed size, whose entries
replace each other. An entry that is wrong costs nothing, because the registry decides.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import zlib

from registry_sync.worker.shared_directory import shared_file

log = logging.getLogger(__name__)

_ENTRIES = 16_384

_ENTRY = struct.Struct("!16sIH234s")
"""Key, checksum of the name, its length, the name."""

_LONGEST_NAME = 234


class BlobPlaces:
    """Places of blobs in the repositories of one registry. Safe to use from several threads and tasks.

    :param registry: the registry and the user, because another user may read other repositories.
    """

    def __init__(self, registry: str) -> None:
        self._registry = registry

    def find(self, digest: str) -> str | None:
        """The name of a repository that had the blob; ``None`` when none is known."""
        key, offset = self._key(digest)
        try:
            descriptor = _open()
            if descriptor is None:
                return None
            try:
                kept, checksum, length, name = _ENTRY.unpack(os.pread(descriptor, _ENTRY.size, offset))
            finally:
                os.close(descriptor)
        except (OSError, struct.error):
            return None
        is_right = kept == key and zlib.crc32(name[:length]) == checksum
        return name[:length].decode("utf-8", "replace") if is_right and length else None

    def note(self, digest: str, repository: str) -> None:
        """Note that a repository has a blob. This replaces the entry that was in its place."""
        name = repository.encode()
        if len(name) > _LONGEST_NAME:
            return
        key, offset = self._key(digest)
        try:
            descriptor = _open()
            if descriptor is not None:
                try:
                    os.pwrite(descriptor, _ENTRY.pack(key, zlib.crc32(name), len(name), name), offset)
                finally:
                    os.close(descriptor)
        except OSError as error:
            log.debug("the place of %s is not kept (%s)", digest, error)

    def _key(self, digest: str) -> tuple[bytes, int]:
        hashed = hashlib.sha256(f"{self._registry} {digest}".encode()).digest()
        return hashed[:16], int.from_bytes(hashed[16:24], "big") % _ENTRIES * _ENTRY.size


def _open() -> int | None:
    path = shared_file("blob_places")
    if path is None:
        return None
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
