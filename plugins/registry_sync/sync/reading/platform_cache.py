"""A cache of platform indexes: for each source digest, the digest that is mirrored in its place, or why none is.

A listing returns the digest of a tag without a pull, but not the platforms behind it. So each source digest is read
once, and the result is kept at the destination, in the annotations of an index under a tag of the mirror's own
(:func:`~registry_sync.oci.reserved_tags.platform_cache_tag`). When the cache is lost, the source's manifests are read
again, and nothing is copied again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from registry_sync.errors import NotFound, RefusedError, RegistrySyncError
from registry_sync.oci.manifest import Manifest, make_index
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import Route
from registry_sync.sync.reading.tag_states import head_if_visible

log = logging.getLogger(__name__)

PLATFORMS_KEY = "registry_sync.platforms"
"""The annotation that names the platforms for which the cache was written."""

MAX_CACHED_DIGESTS = 20_000
"""Digests in one cache: 3 MB, where registries accept manifests of 4 MB. The first in the order of digests are kept, so
that the same tags give the same cache; each run reads the others again."""

_MISSING = " lacks "
"""Separator between a digest and the chosen platforms that its index lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A source digest that is not mirrored.

    :ivar kind: ``skip``: no chosen platform; ``fail``: it cannot be filtered.
    :ivar is_lasting: the reason is in the content, which never changes. A refusal of the registry may pass.
    """

    kind: Literal["skip", "fail"]
    reason: str
    is_lasting: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.reason}"


Mapped = Digest | Dropped
"""The digest to mirror for a source digest: the digest itself, a platform index made from it, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCache:
    """Source digests with the digests mirrored for them, and the chosen platforms that some of them lack."""

    mapped: Mapping[Digest, Mapped] = field(default_factory=dict)
    missing: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)

    def restrict(self, digests: Iterable[Digest]) -> PlatformCache:
        """The entries of ``digests``, at most :data:`MAX_CACHED_DIGESTS`."""
        kept = sorted(digest for digest in digests if digest in self.mapped)[:MAX_CACHED_DIGESTS]
        missing = {digest: self.missing[digest] for digest in kept if digest in self.missing}
        return PlatformCache(mapped={digest: self.mapped[digest] for digest in kept}, missing=missing)

    def to_manifest(self, platforms: Iterable[str]) -> Manifest:
        """The index that holds the cache at the destination."""
        missing = {digest: _MISSING + ",".join(names) for digest, names in self.missing.items()}
        entries = {str(digest): f"{mapped}{missing.get(digest, '')}" for digest, mapped in self.mapped.items()}
        return make_index((), {PLATFORMS_KEY: _key(platforms), **entries})


def read_platform_cache(client: RegistryClient, route: Route) -> PlatformCache:
    """Read the cache at the destination; empty when there is none, or when it is for other platforms."""
    repository, tag = route.destination_repository, platform_cache_tag(route.mirror)
    digest = head_if_visible(client, repository, tag)
    if digest is None:
        return PlatformCache()
    try:
        return _parse(client.get_manifest(repository, digest), route.settings.platforms)
    except (NotFound, RefusedError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s:%s is not a valid platform cache; it is replaced (%r)", repository, tag, error)
        return PlatformCache()


def write_platform_cache(client: RegistryClient, route: Route, cache: Manifest) -> tuple[str, ...]:
    """Write the cache. Returns a note when that fails. Runs read the platforms again while there is no cache."""
    repository, tag = route.destination_repository, platform_cache_tag(route.mirror)
    try:
        client.put_manifest(repository, tag, cache)
    except RegistrySyncError as error:
        if error.is_permanent:
            text = f"{repository} refuses the platform cache {tag!r}, so every run reads the platforms again"
        else:
            text = f"the platform cache {tag!r} could not be written to {repository}; the next run that can writes it"
        return (f"{text} ({error})",)
    return ()


def _parse(manifest: Manifest, platforms: Iterable[str]) -> PlatformCache:
    annotations = json.loads(manifest.content).get("annotations") or {}
    if annotations.pop(PLATFORMS_KEY, None) != _key(platforms):
        return PlatformCache()
    entries = {Digest.parse(key): _parse_entry(value) for key, value in annotations.items()}
    return PlatformCache(
        mapped={digest: mapped for digest, (mapped, _) in entries.items()},
        missing={digest: missing for digest, (_, missing) in entries.items() if missing},
    )


def _parse_entry(text: str) -> tuple[Mapped, tuple[str, ...]]:
    """One digest's entry, and the platforms that it lacks."""
    kind, _, reason = text.partition(" ")
    if kind in ("skip", "fail"):
        return Dropped(kind=cast("Literal['skip', 'fail']", kind), reason=reason), ()
    digest, _, missing = text.partition(_MISSING)
    return Digest.parse(digest), tuple(missing.split(",")) if missing else ()


def _key(platforms: Iterable[str]) -> str:
    return ",".join(sorted(platforms))
