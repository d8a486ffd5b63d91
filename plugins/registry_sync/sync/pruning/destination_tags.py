"""The tags and manifests of a destination repository, as pruning reads them."""

from __future__ import annotations

from collections.abc import Sequence

from registry_sync.errors import (
    NotFound,
    UnsupportedType,
)
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool


def list_destination(session: Session) -> list[ListedTag]:
    """All tags of the destination repository; none when the repository does not exist."""
    repository = session.route.destination_repository
    try:
        return list(session.destination.list_tags(repository))
    except NotFound:
        return []


def head_all(session: Session, tags: Sequence[str]) -> dict[str, Digest | None]:
    """The digests of tags that the destination listed."""
    with thread_pool(session.route.destination.max_connections) as pool:
        return dict(zip(tags, pool.map(lambda tag: head(session, tag, is_expected=True), tags), strict=True))


def head(session: Session, target: str | Digest, *, is_expected: bool = False) -> Digest | None:
    """The digest of a tag or manifest at the destination; ``None`` if there is none.

    :param is_expected: it should exist, so a 404 to the HEAD is not believed.
    """
    repository = session.route.destination_repository
    return session.destination.head_manifest(repository, target, is_expected=is_expected)


def read_manifest(session: Session, digest: Digest) -> Manifest | None:
    """A manifest at the destination; ``None`` when it does not exist, or is of a type that leads to no other image.

    :raises RefusedError: when the destination does not show it.
    """
    try:
        return session.destination.get_manifest(session.route.destination_repository, digest)
    except (NotFound, UnsupportedType):
        return None
