"""Map the tags of a route to platform indexes, where ``platforms`` selects some platforms of each image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from registry_sync.errors import ConfigurationError, NotFound, RateLimited, RefusedError, RegistrySyncError
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.platforms import (
    IMAGE_CONFIGS,
    FilteredIndex,
    PlatformIndex,
    PlatformNotSelected,
    filter_index,
    matches_platform,
    parse_config_platform,
)
from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route
from registry_sync.sync.plan import TagState, Unreadable
from registry_sync.sync.reading.platform_cache import Dropped, Mapped, PlatformCache, read_platform_cache
from registry_sync.sync.session import Session
from registry_sync.sync.threads import request_pool

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredTags:
    """The selected tags with the digests that they should have at the destination.

    :ivar states: the digest that each tag should have, or why it could not be read; without the dropped tags.
    :ivar dropped: tags of which no platform is mirrored, each with the reason.
    :ivar sources: digests of tags at the source, where they differ from ``states``.
    :ivar indexes: indexes that were read or made, by their digests.
    :ivar missing: chosen platforms that a tag's image lacks.
    :ivar cache: the platform cache to write; ``None`` when the destination's is up to date.
    """

    states: Mapping[str, TagState]
    dropped: Mapping[str, Dropped] = field(default_factory=dict)
    sources: Mapping[str, Digest] = field(default_factory=dict)
    indexes: Mapping[Digest, PlatformIndex] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cache: Manifest | None = None


def filter_platforms(session: Session, states: Mapping[str, TagState], *, is_everything: bool) -> FilteredTags:
    """Map each tag to the digest that it should have at the destination.

    :param states: digests of the selected tags at the source.
    :param is_everything: ``states`` holds all tags that the route mirrors, so the cache needs no other entries.
    """
    route, platforms = session.route, session.route.settings.platforms
    if not platforms:
        return FilteredTags(states=states)
    digests = {state for state in states.values() if isinstance(state, Digest)}
    cache = read_platform_cache(session.destination, route) if digests else PlatformCache()
    reader = _PlatformReader(session)
    read = reader.read_all(sorted(digests - cache.mapped.keys()))
    lasting = {digest: mapped for digest, mapped in read.items() if _is_lasting(mapped)}
    learned = PlatformCache(mapped={**cache.mapped, **lasting}, missing={**cache.missing, **reader.missing})
    kept = learned.restrict(digests if is_everything else learned.mapped)
    manifest = kept.to_manifest(platforms) if kept != cache else None
    return _filtered_tags(states, {**cache.mapped, **read}, learned.missing, reader.indexes, manifest)


def fail_without_platforms(route: Route, filtered: FilteredTags) -> FilteredTags:
    """Fail one tag, if ``platforms`` leaves none of all selected tags: that is nearly always a mistake, as in a rule.

    A repository that was found in a namespace may have images for other platforms only. ``min_tags: 0`` allows it.
    """
    may_be_empty = route.is_discovered or all(rule.min_tags == 0 for rule in route.settings.tags.rules)
    are_skipped = filtered.dropped and all(dropped.kind == "skip" for dropped in filtered.dropped.values())
    if filtered.states or not are_skipped or may_be_empty:
        return filtered
    tag = min(filtered.dropped)
    dropped = filtered.dropped[tag]
    reason = (
        f"platforms leaves none of the {len(filtered.dropped)} selected tags: {dropped.reason}; correct it, or write "
        "min_tags: 0 if that is right"
    )
    return replace(filtered, dropped={**filtered.dropped, tag: Dropped(kind="fail", reason=reason)})


def _filtered_tags(
    states: Mapping[str, TagState],
    results: Mapping[Digest, Mapped | Unreadable | None],
    missing: Mapping[Digest, tuple[str, ...]],
    indexes: Mapping[Digest, PlatformIndex],
    cache: Manifest | None,
) -> FilteredTags:
    """Give each tag the result of its digest."""
    mapped = {tag: results[state] if isinstance(state, Digest) else state for tag, state in states.items()}
    wanted = {tag: result for tag, result in mapped.items() if not isinstance(result, Dropped)}
    digests = {tag: state for tag, state in states.items() if isinstance(state, Digest)}
    return FilteredTags(
        states=wanted,
        dropped={tag: result for tag, result in mapped.items() if isinstance(result, Dropped)},
        sources={tag: digest for tag, digest in digests.items() if wanted.get(tag) not in (None, digest)},
        indexes=indexes,
        missing={tag: missing[digest] for tag, digest in digests.items() if digest in missing},
        cache=cache,
    )


def _is_lasting(result: Mapped | Unreadable | None) -> TypeGuard[Mapped]:
    return isinstance(result, Digest) or (isinstance(result, Dropped) and result.is_lasting)


class _PlatformReader:
    """Reads the platforms of source digests, in several threads."""

    def __init__(self, session: Session) -> None:
        self._client = session.source
        self._repository = session.route.source_repository
        self._platforms = session.route.settings.platforms
        self._most_threads = session.route.source.max_connections
        self.indexes: dict[Digest, PlatformIndex] = {}
        self.missing: dict[Digest, tuple[str, ...]] = {}

    def read_all(self, digests: list[Digest]) -> dict[Digest, Mapped | Unreadable | None]:
        if digests:
            log.info("%s: reading the platforms of %d images", self._repository, len(digests))
        with request_pool(len(digests), self._most_threads) as pool:
            return dict(zip(digests, pool.map(self._read, digests), strict=True))

    def _read(self, digest: Digest) -> Mapped | Unreadable | None:
        """The mirrored digest of a source digest; ``None`` when the source does not have it any more."""
        try:
            manifest = self._client.get_manifest(self._repository, digest)
            config = self._read_config(manifest)
        except NotFound:
            return None
        except RefusedError as error:
            return Dropped(kind="fail", reason=str(error), is_lasting=False)
        except (RateLimited, ConfigurationError):
            raise
        except RegistrySyncError as error:
            return Unreadable(error_class=error.error_class, text=str(error))
        try:
            return self._filter(manifest, config)
        except PlatformNotSelected as error:
            return Dropped(kind="skip", reason=str(error))
        except RefusedError as error:
            return Dropped(kind="fail", reason=str(error))

    def _read_config(self, manifest: Manifest) -> bytes | None:
        """The config of a single image, which alone names its platform; ``None`` for indexes and other artifacts."""
        if manifest.is_index or manifest.blobs[0].media_type not in IMAGE_CONFIGS:
            return None
        return self._client.get_blob(self._repository, manifest.blobs[0])

    def _filter(self, manifest: Manifest, config: bytes | None) -> Digest:
        filtered = (
            filter_index(manifest, self._platforms) if manifest.is_index else self._filter_single(manifest, config)
        )
        self.indexes[filtered.manifest.digest] = PlatformIndex(source=manifest.digest, manifest=filtered.manifest)
        if filtered.missing:
            self.missing[manifest.digest] = filtered.missing
        return filtered.manifest.digest

    def _filter_single(self, manifest: Manifest, config: bytes | None) -> FilteredIndex:
        platform = parse_config_platform(config) if config is not None else None
        if platform is None or any(matches_platform(platform, chosen) for chosen in self._platforms):
            return FilteredIndex(manifest=manifest)
        raise PlatformNotSelected(f"the image is for {platform} only, and platforms has {', '.join(self._platforms)}")
