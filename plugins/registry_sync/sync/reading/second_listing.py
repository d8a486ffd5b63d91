"""List the source's tags once more, to tell a tag that moved from a listing that is wrong.

The listings of vendors' APIs can have digests that the registry itself does not have (docker/hub-feedback#1925).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient


class SecondListing:
    """The digests that a registry lists now. It is read at the first question, and once for all threads."""

    def __init__(self, client: RegistryClient, repository: Repository) -> None:
        self._client = client
        self._repository = repository
        self._lock = threading.Lock()
        self._digests: Mapping[str, Digest | None] | None = None

    def has(self, tag: str, digest: Digest) -> bool:
        """Return whether the tag is listed with this digest; not for a registry whose listing has no digests.

        :raises RegistrySyncError: when the tags cannot be listed.
        """
        return self._client.lists_digests and self._read().get(tag) == digest

    def _read(self) -> Mapping[str, Digest | None]:
        with self._lock:
            if self._digests is None:
                self._digests = {entry.name: entry.digest for entry in self._client.list_tags(self._repository)}
            return self._digests
