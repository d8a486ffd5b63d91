"""The images that tags of a destination need, where a registry deletes an image with all its tags."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from registry_sync.errors import RefusedError
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.reference import Digest
from registry_sync.sync.pruning.destination_tags import head_all, list_destination, read_manifest
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool


class UnknownNeeds(RefusedError):
    """The destination's tags need images that cannot all be found, so none may be deleted."""


def find_staying(session: Session, deleted: Collection[str]) -> dict[Digest, str]:
    """The digests of the tags that stay, each with one of its tags. Empty where tags are deleted alone.

    The tags are listed again, because this run may have published some.
    """
    if session.destination.deletes_tags_alone:
        return {}
    entries = list_destination(session)
    staying = head_all(session, [entry.name for entry in entries if entry.name not in deleted])
    return {digest: tag for tag, digest in staying.items() if digest}


def find_needed(session: Session, staying: Mapping[Digest, str]) -> dict[Digest, str]:
    """The digests of the tags that stay and of all their descendants, each with a tag that needs it.

    :raises UnknownNeeds: when an index cannot be read whole.
    """
    needed = dict(staying)
    with thread_pool(session.route.destination.max_connections) as pool:
        for tag, digests in zip(staying.values(), pool.map(partial(_descendants, session), staying), strict=True):
            for digest in digests:
                needed.setdefault(digest, tag)
    return needed


def _descendants(session: Session, digest: Digest) -> list[Digest]:
    """The digests of all descendants of an index. Parts that do not exist have none.

    Each child is read and counts by its content: the type that an index declares for a child may be wrong.

    :raises UnknownNeeds: when a part cannot be read: it may list an image that would be deleted.
    """
    try:
        root = read_manifest(session, digest)
        parts = walk_manifests(root, partial(read_manifest, session)) if root else ()
        return [child.digest for part in parts for child in part.children]
    except RefusedError as error:
        raise UnknownNeeds(f"the images that a tag needs are not all known: {error}") from error
