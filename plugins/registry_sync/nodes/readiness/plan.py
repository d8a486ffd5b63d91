"""Plan the readiness checks: the registries that must have each bootstrap image, and its expected digests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import TypeVar

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import BootstrapImage, NodePool
from registry_sync.config.registry import Registry
from registry_sync.errors import NotFound, RateLimited, RegistrySyncError, TemporaryError
from registry_sync.nodes.readiness.known_digests import KnownDigests, Recall, when_read
from registry_sync.nodes.readiness.model import EndpointCheck, Expected, PoolRole
from registry_sync.nodes.readiness.unplaced import unplaced_notes
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.client import ListedTag, RegistryClient
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.route import Route
from registry_sync.tags.overwrite_policy import FOLLOW
from registry_sync.tags.rules import TagRule, TagRules
from registry_sync.tags.select import PushTimes, rejection_reason, select_tags

T = TypeVar("T")

OpenClient = Callable[[Registry], RegistryClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredDigest:
    """The digest that a run of a mirror read at an image's source, and copied; ``run`` names the run for people."""

    digest: Digest
    run: str


ReadMirroredDigests = Callable[[], Mapping[str, MirroredDigest]]
"""Reads the digests that mirrors have copied since an earlier plan read the sources, by the same names."""


@dataclass(kw_only=True, slots=True)
class ReadinessPlan:
    """The checks of some pools.

    ``digests`` are the images' digests at their sources; a later plan needs them while a source is down. ``notes`` name
    the sources that are down now. ``read_at`` is when each source repository was read.
    """

    checks: list[EndpointCheck] = field(default_factory=list)
    digests: dict[str, Digest] = field(default_factory=dict)
    read_at: dict[str, datetime] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan_checks(
    file: MirrorsFile,
    pools: Sequence[NodePool],
    open_client: OpenClient,
    recall: Recall,
    read_mirrored: ReadMirroredDigests = dict,
) -> ReadinessPlan:
    """Read tags and digests of each bootstrap image at its source, and list the registries that must have them.

    :param open_client: opens a source with credentials, because nodes need not be able to read it.
    :param recall: called when a source is down: what earlier plans read.
    :param read_mirrored: called when a source is down; its digests are newer than those.
    """
    planner = _Planner(file, open_client, cache(recall), cache(read_mirrored))
    for pool in pools:
        planner.plan.notes += unplaced_notes(file, pool)
        for image in pool.images:
            planner.add(pool, image)
    return replace(planner.plan, notes=list(dict.fromkeys(planner.plan.notes)))


def find_source(
    registry: Registry, repository: Repository, routes: RouteMap, tags: Collection[str] = ()
) -> tuple[Registry, Repository]:
    """The registry and repository that images of ``repository`` are first pushed to, over any number of mirrors.

    :param tags: the images' tags, if known: several sources may have different tags of one repository.
    """
    for route in _routes_upstream(repository, routes, tags):
        registry, repository = route.source, route.source_repository
    return registry, repository


def _routes_upstream(repository: Repository, routes: RouteMap, tags: Collection[str]) -> Iterator[Route]:
    """The route that writes ``repository``, the route that writes that route's source, and so on."""
    seen = {repository}
    while route := next(
        (route for route in routes.into(repository, tags) if route.source_repository not in seen), None
    ):
        yield route
        repository = route.source_repository
        seen.add(repository)


class _Planner:
    def __init__(
        self, file: MirrorsFile, open_client: OpenClient, recall: Recall, read_mirrored: ReadMirroredDigests
    ) -> None:
        self._file, self._open_client = file, open_client
        self._recall_known, self._read_mirrored = recall, read_mirrored
        self._routes = RouteMap.of(file)
        self._down: dict[str, RegistrySyncError] = {}
        self.plan = ReadinessPlan()

    def add(self, pool: NodePool, image: BootstrapImage) -> None:
        """Plan the checks of one image at each registry that the pool pulls from."""
        registry = self._file.registries[pool.registry]
        repository = Repository.at(registry.host, image.repository)
        endpoints = [Repository(self._file.registries[name].host, repository.name) for name, _ in pool.pull_order]
        for rules in self._split(image.tags or TagRules(), [repository, *endpoints]):
            tags = rules.by_name if rules.is_all_by_name else ()
            expected = self._expect(*find_source(registry, repository, self._routes, tags), rules)
            for name, resolves in pool.pull_order:
                endpoint = self._file.registries[name]
                self.plan.checks.append(self._check(pool, endpoint, repository.name, expected, resolves))

    def _split(self, rules: TagRules, repositories: Sequence[Repository]) -> list[TagRules]:
        """``rules`` for the tags of each source, if one of ``repositories`` has several, which then list their tags."""
        shared = [repository for repository in repositories if len(self._sources(repository, ())) > 1]
        if not shared:
            return [rules]
        written = rules.by_name if rules.is_all_by_name else self._copied_tags(shared[0], rules)
        groups: dict[tuple[Repository, ...], list[str]] = {}
        for tag in written:
            sources = (source for repository in shared for source in self._sources(repository, (tag,)))
            groups.setdefault(tuple(sources), []).append(tag)
        return [_named(tags, rules) for tags in groups.values()] or [rules]

    def _sources(self, repository: Repository, tags: Collection[str]) -> list[Repository]:
        return list(dict.fromkeys(route.source_repository for route in self._routes.into(repository, tags)))

    def _copied_tags(self, repository: Repository, rules: TagRules) -> list[str]:
        """The tags that routes to ``repository`` list, and ``rules`` select by their names."""
        listed = (tag for route in self._routes.into(repository) for tag in route.settings.tags.by_name)
        return [tag for tag in dict.fromkeys(listed) if not rejection_reason(tag, rules)]

    def _check(
        self, pool: NodePool, registry: Registry, name: str, expected: list[Expected], resolves: bool
    ) -> EndpointCheck:
        repository, tags = Repository(registry.host, name), [tag.tag for tag in expected]
        if resolves and (reason := self._why_not_comparable(repository, tags)):
            expected = [
                tag if tag.problem or tag.is_pinned else replace(tag, digest=None, said_by="", not_compared=reason)
                for tag in expected
            ]
        route = next(chain(self._routes.into(repository, tags), self._routes.into(repository)), None)
        return EndpointCheck(
            pool=pool.name,
            registry=registry,
            repository=repository,
            tags=tuple(expected),
            resolves=resolves,
            copied_by=route.mirror if route else None,
            on_moved_tag=route.settings.on_moved_tag if route else FOLLOW,
            role=_role(pool, registry),
        )

    def _why_not_comparable(self, repository: Repository, tags: Collection[str]) -> str:
        """The reason that digests in ``repository`` differ from the source by design; empty when they must be equal."""
        for route in _routes_upstream(repository, self._routes, tags):
            if platforms := route.settings.platforms:
                return f"the mirror {route.mirror!r} copies only {', '.join(platforms)}, which changes the digest"
        return ""

    def _expect(self, source: Registry, repository: Repository, rules: TagRules) -> list[Expected]:
        """The tags that nodes need and their digests: from the source, or from its last answer while it is down.

        The list is never empty: an image without any known tag has an entry with a problem, and so is not forgotten.
        """
        read_at = datetime.now(UTC)
        try:
            expected = self._read_source(source, repository, rules)
            if not all(tag.is_pinned for tag in expected):  # nothing is read for pins
                self.plan.read_at[str(repository)] = read_at
        except RegistrySyncError as error:
            known = self._recall_known()
            self.plan.notes.append(f"cannot read digests from {repository}: {error}{_knowledge(repository, known)}")
            expected = self._recall(repository, rules, known)
        self.plan.digests |= {
            str(Reference(repository, tag.tag)): tag.digest for tag in expected if tag.digest and not tag.is_pinned
        }
        return expected

    def _read_source(self, source: Registry, repository: Repository, rules: TagRules) -> list[Expected]:
        """Read the tags and digests of a source. After a source did not answer, its other images are not tried."""
        if source.name in self._down:
            raise self._down[source.name]
        try:
            with closing(self._open_client(source)) as client:
                return _read_expected(client, repository, rules)
        except (TemporaryError, RateLimited) as error:
            self._down[source.name] = error
            raise

    def _recall(self, repository: Repository, rules: TagRules, known: KnownDigests) -> list[Expected]:
        """The tags and digests of an earlier plan, updated by those that mirrors have copied since.

        Mirrors may copy tags that nodes do not need. They add a tag only without an earlier plan, or if ``rules`` name
        it.
        """
        earlier = _tags_of(repository, known.digests)
        read_at = known.read_at.get(str(repository))
        mirrored = _tags_of(repository, self._read_mirrored())
        names = dict.fromkeys([*(earlier or mirrored), *rules.by_name])
        chosen = [tag for tag in names if not rejection_reason(tag, rules)]
        expected = [
            _pinned(tag, pin)
            if (pin := rules.named.get(tag))
            else _recalled(repository, tag, earlier.get(tag), read_at, mirrored.get(tag))
            for tag in chosen
        ]
        seen = f"its tags are unknown: {repository.host} does not answer, and there is no earlier check"
        advice = "list the tags by name, or pass the output of an earlier nodes check --json with --expect"
        return expected or [Expected.unknown(ANY_TAG, seen, advice)]


def _role(pool: NodePool, registry: Registry) -> PoolRole:
    if registry.name != pool.registry:
        return "mirror"
    return "fallback" if any(mirror.trust == "pull+resolve" for mirror in pool.pool_mirrors) else "sole"


def _tags_of(repository: Repository, by_name: Mapping[str, T]) -> dict[str, T]:
    """The entries for images of ``repository``, by tag."""
    prefix = f"{repository}:"
    return {name.removeprefix(prefix): entry for name, entry in by_name.items() if name.startswith(prefix)}


def _knowledge(repository: Repository, known: KnownDigests) -> str:
    """The age of the digests that are used instead, as the end of a note; empty where none are known."""
    read_at = known.read_at.get(str(repository))
    return f"; compared with {when_read(repository.host, read_at, datetime.now(UTC))}" if read_at else ""


def _recalled(
    repository: Repository, tag: str, earlier: Digest | None, read_at: datetime | None, mirrored: MirroredDigest | None
) -> Expected:
    if mirrored:
        return Expected(tag=tag, digest=mirrored.digest, said_by=f"{repository.host} in {mirrored.run}")
    if earlier:
        return Expected(tag=tag, digest=earlier, said_by=when_read(repository.host, read_at, datetime.now(UTC)))
    return Expected(tag=tag, not_compared=f"{repository.host} does not answer, and there is no earlier check")


def _pinned(tag: str, digest: Digest) -> Expected:
    """The expectation of a pinned tag. Nodes pull the digest, so a registry that has moved the tag serves them too."""
    return Expected(tag=tag, digest=digest, said_by="its pin", is_pinned=True)


def _named(tags: Sequence[str], rules: TagRules) -> TagRules:
    """The rules for some tags of ``rules``, with their pins."""
    return TagRules((TagRule(named={tag: rules.named.get(tag) for tag in tags}),))


ANY_TAG = "*"
"""Stands for the tags of an image when none is known."""


def _read_expected(client: RegistryClient, repository: Repository, rules: TagRules) -> list[Expected]:
    """The tags that the rules choose, and their digests. Tags are listed only if the rules do not name all of them."""
    entries = {name: ListedTag(name=name) for name in rules.by_name}
    listed = {} if rules.is_all_by_name else _list_tags(client, repository)
    entries |= listed
    push_times = PushTimes(are_listed=client.lists_push_times and not rules.is_all_by_name)
    selection = select_tags(entries.values(), rules, now=datetime.now(UTC), push_times=push_times)
    expected = [
        _pinned(tag, pin)
        if (pin := selection.pins.get(tag))
        else _resolve(client, repository, tag, entries[tag].digest)
        for tag in selection.selected
    ]
    expected += [Expected(tag=tag, problem=reason) for tag, reason in selection.failed.items()]
    unmatched = f"tags: of the bootstrap image matches none of the {len(listed)} tags of {repository}"
    return expected or [Expected.unknown(ANY_TAG, unmatched, "fix its rules")]


def _list_tags(client: RegistryClient, repository: Repository) -> dict[str, ListedTag]:
    """The tags of a repository; empty when the source has no such repository."""
    try:
        return {entry.name: entry for entry in client.list_tags(repository)}
    except NotFound:
        return {}


def _resolve(client: RegistryClient, repository: Repository, tag: str, listed: Digest | None) -> Expected:
    digest = listed or client.head_manifest(repository, tag)
    if digest:
        return Expected(tag=tag, digest=digest, said_by=repository.host)
    missing = f"{Reference(repository, tag)} not found at the source, so the right digest is unknown"
    return Expected.unknown(tag, missing, "push it, or fix tags: of the bootstrap image")
