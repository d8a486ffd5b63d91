"""Which images have to be where for nodes to start, and with which digests: what the checks are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from registry_sync.errors import RegistrySyncError, TemporaryError
from registry_sync.mirrors import MirrorsFile, Registry
from registry_sync.node_pools import BootstrapImage, NodePool
from registry_sync.nodes.readiness import EndpointCheck, Expected
from registry_sync.reference import Digest, Reference, Repository
from registry_sync.registry.client import RegistryClient, TagEntry
from registry_sync.route_map import RouteMap
from registry_sync.selection import select_tags, why_not
from registry_sync.tags import TagRules

OpenClient = Callable[[Registry], RegistryClient]
Digests = Mapping[str, str]
"""What images named at their source: ``quay.io/giantswarm/pause:3.9`` to its digest."""


@dataclass(kw_only=True, slots=True)
class ReadinessPlan:
    """The checks of some pools. ``problems`` are images that cannot be checked at all.

    ``digests`` is what is known of the images now: kept, it stands in for a source that is down later. ``notes`` say
    where it did.
    """

    checks: list[EndpointCheck] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def plan_checks(
    file: MirrorsFile, pools: Sequence[NodePool], open_client: OpenClient, earlier: Digests
) -> ReadinessPlan:
    """Ask the source of each bootstrap image for its tags and digests, and list where each of them has to be.

    :param open_client: opens a source, with credentials: nodes need not be able to read it.
    :param earlier: ``digests`` of an earlier plan, for sources that are down.
    """
    planner = _Planner(file, open_client, earlier)
    for pool in pools:
        for image in pool.images:
            planner.add(pool, image)
    plan = planner.plan
    return replace(plan, notes=list(dict.fromkeys(plan.notes)), problems=list(dict.fromkeys(plan.problems)))


def find_source(registry: Registry, repository: Repository, routes: RouteMap) -> tuple[Registry, Repository]:
    """Where the images of ``repository`` are pushed to before mirrors copy them on, over however many registries."""
    seen = {repository}
    while writer := next((each for each in routes.into(repository) if each.source_repository not in seen), None):
        registry, repository = writer.source, writer.source_repository
        seen.add(repository)
    return registry, repository


class _Planner:
    def __init__(self, file: MirrorsFile, open_client: OpenClient, earlier: Digests) -> None:
        self._file, self._open_client, self._earlier = file, open_client, earlier
        self._routes = RouteMap(file)
        self._down: dict[str, RegistrySyncError] = {}
        self.plan = ReadinessPlan()

    def add(self, pool: NodePool, image: BootstrapImage) -> None:
        """Plan the checks of one image at each registry that the pool pulls from."""
        registry = self._file.registries[pool.registry]
        repository = Repository.at(registry.host, image.repository)
        expected = self._expect(*find_source(registry, repository, self._routes), image.tags or TagRules())
        if not expected:
            self.plan.problems.append(f"{pool.name}: no tag of {repository.name} is known, and so none was checked")
            return
        mirrors = [(each.registry, each.trust == "pull+resolve") for each in pool.pool_mirrors]
        for name, resolves in (*mirrors, (pool.registry, True)):
            self.plan.checks.append(self._check(pool, self._file.registries[name], repository.name, expected, resolves))

    def _check(
        self, pool: NodePool, registry: Registry, name: str, expected: list[Expected], resolves: bool
    ) -> EndpointCheck:
        repository = Repository(registry.host, name)
        return EndpointCheck(
            pool=pool.name,
            registry=registry,
            repository=repository,
            tags=tuple(expected),
            resolves=resolves,
            copied_by=next((each.mirror for each in self._routes.into(repository)), None),
        )

    def _expect(self, source: Registry, repository: Repository, rules: TagRules) -> list[Expected]:
        """The tags that nodes need and their digests, by the source, or by what it said when it last answered."""
        try:
            digests, said_by = self._ask(source, repository, rules), repository.host
        except RegistrySyncError as error:
            self.plan.notes.append(f"{repository} could not be asked for its digests: {error}")
            digests, said_by = self._remember(repository, rules), f"{repository.host} when it last answered"
        known = {str(Reference(repository, tag)): str(digest) for tag, digest in digests.items() if digest}
        self.plan.digests |= known
        unknown = f"since {repository.host} does not answer and no earlier check is known"
        return [
            Expected(tag=tag, digest=digest, said_by=said_by if digest else unknown) for tag, digest in digests.items()
        ]

    def _ask(self, source: Registry, repository: Repository, rules: TagRules) -> dict[str, Digest | None]:
        """A source that does not answer is not asked again for each of its images."""
        if source.name in self._down:
            raise self._down[source.name]
        try:
            with closing(self._open_client(source)) as client:
                found = _digests(client, repository, rules)
        except TemporaryError as error:
            self._down[source.name] = error
            raise
        self.plan.problems += [
            f"{Reference(repository, tag)} is a bootstrap image, and is not there" for tag in found if not found[tag]
        ]
        return {tag: digest for tag, digest in found.items() if digest}

    def _remember(self, repository: Repository, rules: TagRules) -> dict[str, Digest | None]:
        prefix = f"{repository}:"
        known = {name.removeprefix(prefix): each for name, each in self._earlier.items() if name.startswith(prefix)}
        chosen = [each for each in dict.fromkeys([*known, *rules.by_name]) if not why_not(each, rules)]
        return {tag: Digest.parse(known[tag]) if tag in known else None for tag in chosen}


def _digests(client: RegistryClient, repository: Repository, rules: TagRules) -> dict[str, Digest | None]:
    """The tags by the rules, and what they name. Where all are written by their names, nothing is listed."""
    entries = [TagEntry(name=each) for each in rules.by_name]
    if not rules.is_all_by_name:
        listed = {each.name: each for each in client.list_tags(repository)}
        entries = list({**{each.name: each for each in entries}, **listed}.values())
    has_push_times = client.lists_push_times and not rules.is_all_by_name
    selection = select_tags(entries, rules, now=datetime.now(UTC), has_push_times=has_push_times)
    digests = {**{each.name: each.digest for each in entries}, **selection.pins}
    return {tag: digests.get(tag) or client.head_manifest(repository, tag) for tag in selection.selected}
