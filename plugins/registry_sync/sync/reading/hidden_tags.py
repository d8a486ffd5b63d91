"""Tags at a destination that denies what it does not have, as JFrog does: its listing tells missing from hidden."""

from __future__ import annotations

import threading

from registry_sync.errors import DeniedError, LoginRejected, NotFound, RefusedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient


class HiddenTags:
    """Digests of tags in one repository. The repository is listed once, and only when a tag is denied.

    Only tags that must not be overwritten unseen need the listing. For others see ``head_if_visible``.
    """

    def __init__(self, client: RegistryClient, repository: Repository) -> None:
        self._client = client
        self._repository = repository
        self._lock = threading.Lock()
        self._names: frozenset[str] | None = None

    def head(self, tag: str) -> Digest | None:
        """The digest of a tag; ``None`` when it is missing.

        :raises DeniedError: or :class:`RefusedError`, when it is there, or the registry does not list its tags.
        """
        try:
            return self._client.head_manifest(self._repository, tag)
        except LoginRejected:
            raise
        except (DeniedError, RefusedError):
            if tag in self._list():
                raise
            return None

    def _list(self) -> frozenset[str]:
        with self._lock:
            if self._names is None:
                try:
                    self._names = frozenset(entry.name for entry in self._client.list_tags(self._repository))
                except NotFound:
                    self._names = frozenset()
            return self._names
