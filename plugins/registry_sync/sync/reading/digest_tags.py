"""Tags that are named after a digest, ``sha256-<digest>``: of images, or of lists of referrers. Their content decides.

oc-mirror tags what it mirrors by its own digest. A tag may also have the digest that an image had before its index was
reduced to some platforms, or the digest of its config.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from registry_sync.errors import DeniedError, NotFound, RefusedError
from registry_sync.oci.artifact_tags import is_bare_digest, is_own_digest, subject_of
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import is_referrers_list
from registry_sync.registry.client import ListedTag, RegistryClient
from registry_sync.routes.route import Route
from registry_sync.sync.reading.tag_states import read_states
from registry_sync.sync.threads import request_pool


def judge_digest_tags(route: Route, source: RegistryClient, tags: list[ListedTag]) -> list[ListedTag]:
    """Read the digests of tags that are named after one, and mark those that have an image.

    A HEAD where the listing has no digest, and a GET unless the tag has its own digest or that of another listed image.
    A tag that cannot be read counts as an image, and so fails.
    """
    tags = _read_digests(route, source, tags)
    listed = {entry.digest for entry in tags}
    doubtful = [entry for entry in tags if is_bare_digest(entry.name) and not _is_clear(entry, listed)]
    has_image = partial(_has_image, route, source)
    with request_pool(len(doubtful), route.source.max_connections) as pool:
        found = dict(zip((entry.name for entry in doubtful), pool.map(has_image, doubtful), strict=True))
    own = {entry.name for entry in tags if is_own_digest(entry.name, entry.digest)}
    return [replace(entry, has_image=True) if entry.name in own or found.get(entry.name) else entry for entry in tags]


def _read_digests(route: Route, source: RegistryClient, tags: list[ListedTag]) -> list[ListedTag]:
    unknown = {entry.name: None for entry in tags if entry.digest is None and is_bare_digest(entry.name)}
    if not unknown:
        return tags
    with request_pool(len(unknown), route.source.max_connections) as pool:
        states = read_states(source, route.source_repository, unknown, pool, is_expected=True)
    digests = {name: state for name, state in states.items() if isinstance(state, Digest)}
    return [replace(entry, digest=digests[entry.name]) if entry.name in digests else entry for entry in tags]


def _is_clear(entry: ListedTag, listed: Iterable[Digest | None]) -> bool:
    """Return whether no content has to be read: the tag has its own digest, or its subject is a listed image."""
    return is_own_digest(entry.name, entry.digest) or subject_of(entry.name) in listed


def _has_image(route: Route, source: RegistryClient, entry: ListedTag) -> bool:
    if entry.digest is None:
        return True
    try:
        return not is_referrers_list(source.get_manifest(route.source_repository, entry.digest))
    except (NotFound, DeniedError, RefusedError):
        return True
