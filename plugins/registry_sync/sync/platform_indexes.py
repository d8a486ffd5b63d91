"""What the tags of a route name once platforms are chosen: the digests of the indexes that are made for it.

The source returns a tag's digest without a pull, but not the platforms behind it. So each source digest is read once,
and the result is cached at the destination, in the annotations of an index under a tag of the mirror's own
(:func:`~registry_sync.oci.reserved_tags.platform_cache_tag`). When the cache is lost, the source's manifests are read
again, and nothing is copied again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RateLimited, RefusedError, RegistrySyncError
from registry_sync.oci.manifest import Manifest, make_index
from registry_sync.oci.platforms import (
    IMAGE_CONFIGS,
    FilteredIndex,
    PlatformIndex,
    PlatformNotSelected,
    filter_index,
    matches_platform,
    parse_config_platform,
)
from registry_sync.oci.reference import Digest, Repository
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import Route
from registry_sync.sync.plan import CopyTag, Decision, Failed, Plan, Skipped, TagState, Unreadable
from registry_sync.sync.threads import thread_pool
from registry_sync.tags.select import Selection

log = logging.getLogger(__name__)

PLATFORMS_KEY = "registry_sync.platforms"

MOST_REMEMBERED = 20_000
"""Digests that one memory holds: 3 MB, where a registry takes a manifest of 4. Always those that come first by their
names, so that the same memory is made of the same tags; the others are read by each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A source digest of which nothing is mirrored: left out by choice (``skip``), or since it cannot be (``fail``).

    ``is_lasting``: its content says so, which never changes. What a registry refuses it may give another time.
    """

    kind: str
    reason: str
    is_lasting: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.reason}"


Known = Digest | Left
"""What is mirrored of a source digest: itself, an index that is made of it, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is known of source digests, and which of the chosen platforms those lack that lack any."""

    known: Mapping[Digest, Known] = field(default_factory=dict)
    missing: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)

    def only(self, digests: Iterable[Digest]) -> Memory:
        """What it says of these, as much of it as one manifest holds."""
        kept = sorted(each for each in digests if each in self.known)[:MOST_REMEMBERED]
        missing = {digest: self.missing[digest] for digest in kept if digest in self.missing}
        return Memory(known={digest: self.known[digest] for digest in kept}, missing=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The source's tags as they are to be at the destination.

    :ivar states: what each tag should name there; those of which nothing is mirrored are not in it.
    :ivar left: the decisions about those.
    :ivar sources: what tags name at the source, where that is another digest.
    :ivar read: manifests that were read or made on the way, by their digests.
    :ivar missing: of tags, the platforms that they lack.
    :ivar memory: the memory as it should be; ``None`` when it is that already.
    """

    states: Mapping[str, TagState]
    left: Mapping[str, Decision] = field(default_factory=dict)
    sources: Mapping[str, Digest] = field(default_factory=dict)
    read: Mapping[Digest, PlatformIndex] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    memory: Manifest | None = None


def choose_platforms(
    route: Route,
    source: RegistryClient,
    destination: RegistryClient,
    states: Mapping[str, TagState],
    *,
    is_everything: bool,
) -> Chosen:
    """What each tag should name at the destination.

    :param states: what each selected tag names at the source.
    :param is_everything: ``states`` are all that the route mirrors, so that nothing else has to be remembered.
    """
    platforms = route.settings.platforms
    if not platforms:
        return Chosen(states=states)
    digests = {state for state in states.values() if isinstance(state, Digest)}
    memory = _recall(destination, route, platforms) if digests else Memory()
    reader = _Reader(source, route.source_repository, platforms)
    found = reader.read_all(sorted(digests - memory.known.keys()), route.source.max_connections)
    lasting = {digest: each for digest, each in found.items() if _is_lasting(each)}
    learned = Memory(known={**memory.known, **lasting}, missing={**memory.missing, **reader.missing})
    kept = learned.only(digests if is_everything else learned.known)
    document = _memory_document(kept, platforms) if kept != memory else None
    return _chosen(states, {**memory.known, **found}, learned.missing, reader.read, document)


def _chosen(
    states: Mapping[str, TagState],
    results: Mapping[Digest, Known | Unreadable | None],
    missing: Mapping[Digest, tuple[str, ...]],
    read: Mapping[Digest, PlatformIndex],
    memory: Manifest | None,
) -> Chosen:
    wanted: dict[str, TagState] = {}
    left: dict[str, Decision] = {}
    for tag, state in states.items():
        match results[state] if isinstance(state, Digest) else state:
            case Left(kind="skip", reason=reason):
                left[tag] = Skipped(tag=tag, reason=reason)
            case Left(reason=reason):
                left[tag] = Failed(tag=tag, reason=reason, error_class=RefusedError.error_class)
            case result:
                wanted[tag] = result
    known = {tag: state for tag, state in states.items() if isinstance(state, Digest)}
    return Chosen(
        states=wanted,
        left=left,
        sources={tag: digest for tag, digest in known.items() if wanted.get(tag) not in (None, digest)},
        read=read,
        missing={tag: missing[digest] for tag, digest in known.items() if digest in missing},
        memory=memory,
    )


def _is_lasting(found: Known | Unreadable | None) -> TypeGuard[Known]:
    return isinstance(found, Digest) or (isinstance(found, Left) and found.is_lasting)


class _Reader:
    """Reads what stands behind source digests, in several threads."""

    def __init__(self, client: RegistryClient, repository: Repository, platforms: tuple[str, ...]) -> None:
        self._client = client
        self._repository = repository
        self._platforms = platforms
        self.read: dict[Digest, PlatformIndex] = {}
        self.missing: dict[Digest, tuple[str, ...]] = {}

    def read_all(self, digests: list[Digest], threads: int) -> dict[Digest, Known | Unreadable | None]:
        if digests:
            log.info("%s: reading the platforms of %d images", self._repository, len(digests))
        with thread_pool(threads) as pool:
            return dict(zip(digests, pool.map(self._read, digests), strict=True))

    def _read(self, digest: Digest) -> Known | Unreadable | None:
        """What is mirrored of a digest; ``None`` when it is gone."""
        try:
            manifest = self._client.get_manifest(self._repository, digest)
            config = self._config(manifest)
        except NotFound:
            return None
        except RefusedError as error:
            return Left(kind="fail", reason=str(error), is_lasting=False)
        except (RateLimited, DeniedError, ConfigurationError):
            raise
        except RegistrySyncError as error:
            return Unreadable(error_class=error.error_class, text=str(error))
        try:
            return self._choose(manifest, config)
        except PlatformNotSelected as error:
            return Left(kind="skip", reason=str(error))
        except RefusedError as error:
            return Left(kind="fail", reason=str(error))

    def _config(self, manifest: Manifest) -> bytes | None:
        """Of an image for one platform, which only that tells. What has another type of config runs on none."""
        if manifest.is_index or manifest.blobs[0].media_type not in IMAGE_CONFIGS:
            return None
        return self._client.get_blob(self._repository, manifest.blobs[0])

    def _choose(self, manifest: Manifest, config: bytes | None) -> Digest:
        choice = filter_index(manifest, self._platforms) if manifest.is_index else self._choose_single(manifest, config)
        self.read[choice.manifest.digest] = PlatformIndex(source=manifest.digest, manifest=choice.manifest)
        if choice.missing:
            self.missing[manifest.digest] = choice.missing
        return choice.manifest.digest

    def _choose_single(self, manifest: Manifest, config: bytes | None) -> FilteredIndex:
        platform = parse_config_platform(config) if config is not None else None
        if platform is None or any(matches_platform(platform, each) for each in self._platforms):
            return FilteredIndex(manifest=manifest)
        raise PlatformNotSelected(f"it is for {platform} alone, which is none of {', '.join(self._platforms)}")


def _recall(client: RegistryClient, route: Route, platforms: tuple[str, ...]) -> Memory:
    """What earlier runs learned for these platforms; nothing when they did not."""
    repository, tag = route.destination_repository, platform_cache_tag(route.mirror)
    digest = client.head_manifest(repository, tag)
    if digest is None:
        return Memory()
    try:
        annotations = json.loads(client.get_manifest(repository, digest).content).get("annotations") or {}
        if annotations.pop(PLATFORMS_KEY, None) != _key(platforms):
            return Memory()
        entries = {Digest.parse(key): _parse_known(value) for key, value in annotations.items()}
    except (NotFound, RefusedError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s:%s is not what we wrote, and is written anew (%r)", repository, tag, error)
        return Memory()
    missing = {digest: lacks for digest, (_, lacks) in entries.items() if lacks}
    return Memory(known={digest: known for digest, (known, _) in entries.items()}, missing=missing)


def _key(platforms: tuple[str, ...]) -> str:
    return ",".join(sorted(platforms))


_LACKS = " lacks "


def _parse_known(text: str) -> tuple[Known, tuple[str, ...]]:
    """What :func:`_memory_document` wrote of one digest, and what it lacks."""
    kind, _, reason = text.partition(" ")
    if kind in ("skip", "fail"):
        return Left(kind=kind, reason=reason), ()
    digest, _, lacks = text.partition(_LACKS)
    return Digest.parse(digest), tuple(lacks.split(",")) if lacks else ()


def _memory_document(memory: Memory, platforms: tuple[str, ...]) -> Manifest:
    lacks = {digest: _LACKS + ",".join(each) for digest, each in memory.missing.items()}
    entries = {str(digest): f"{each}{lacks.get(digest, '')}" for digest, each in memory.known.items()}
    return make_index((), {PLATFORMS_KEY: _key(platforms), **entries})


def remember(client: RegistryClient, route: Route, memory: Manifest) -> tuple[str, ...]:
    """Write the memory; a note when that is refused, which costs the next run the same reads again."""
    repository, tag = route.destination_repository, platform_cache_tag(route.mirror)
    try:
        client.put_manifest(repository, tag, memory)
    except RegistrySyncError as error:
        return (f"{repository} does not take {tag!r}, so that every run reads the platforms again ({error})",)
    return ()


def leave_out(selection: Selection, chosen: Chosen) -> Selection:
    """The selection without the tags that the choice of platforms decides about."""
    return replace(selection, selected=tuple(each for each in selection.selected if each not in chosen.left))


def add_choice(plan: Plan, chosen: Chosen) -> Plan:
    """The plan with what the choice of platforms decided."""
    decisions = [_explain(each, chosen) if isinstance(each, CopyTag) else each for each in plan.decisions]
    copied = {each.digest for each in decisions if isinstance(each, CopyTag)}
    made = {each.digest: each.source_digest for each in decisions if isinstance(each, CopyTag) and each.source_digest}
    subsets = {digest: PlatformIndex(source=source) for digest, source in made.items()}
    subsets |= {digest: each for digest, each in chosen.read.items() if digest in copied}
    return replace(
        plan,
        decisions=tuple(sorted((*decisions, *chosen.left.values()), key=lambda each: each.tag)),
        subsets=subsets,
        notes=(*plan.notes, *_notes(chosen.missing)),
        memory=chosen.memory,
    )


def _explain(copy: CopyTag, chosen: Chosen) -> CopyTag:
    source, missing = chosen.sources.get(copy.tag), chosen.missing.get(copy.tag)
    what = f"; made of {source.short} for the chosen platforms" if source else ""
    lack = f"; it has no {', '.join(missing)}" if missing else ""
    return replace(copy, source_digest=source, reason=f"{copy.reason}{what}{lack}")


def _notes(missing: Mapping[str, tuple[str, ...]], limit: int = 10) -> Iterable[str]:
    if missing:
        named = [f"{tag} ({', '.join(each)})" for tag, each in sorted(missing.items())]
        more = f" and {len(named) - limit} more" if len(named) > limit else ""
        yield f"{len(named)} tags lack a chosen platform: {', '.join(named[:limit])}{more}"
