"""Which images have to be where for nodes to start, and with which digests: what the checks are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from registry_sync.config.model import MirrorsFile, Registry
from registry_sync.config.node_pools import BootstrapImage, NodePool
from registry_sync.errors import NotFound, RegistrySyncError, TemporaryError
from registry_sync.nodes.readiness.check import EndpointCheck, Expected, PoolPlace
from registry_sync.oci.reference import Digest, Reference, Repository
from registry_sync.registry.client import RegistryClient, TagEntry
from registry_sync.routes.graph import RouteMap
from registry_sync.tags.overwrite_policy import FOLLOW
from registry_sync.tags.rules import TagRules
from registry_sync.tags.select import rejection_reason, select_tags

T = TypeVar("T")

OpenClient = Callable[[Registry], RegistryClient]

Digests = Mapping[str, str]
"""What images named at their source: ``quay.io/giantswarm/pause:3.9`` to its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a run of a mirror found an image to be at its source, and copied; ``run`` is for people."""

    digest: str
    run: str


Reports = Callable[[], Mapping[str, Copied]]
"""Reads what mirrors copied after the digests of an earlier plan were asked for, by names like those."""


@dataclass(kw_only=True, slots=True)
class ReadinessPlan:
    """The checks of some pools.

    ``digests`` is what is known of the images now: kept, it stands in for a source that is down later. ``notes`` say
    where it did. ``asked_at`` is when the sources that answered were asked, by their repositories.
    """

    checks: list[EndpointCheck] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    asked_at: dict[str, datetime] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan_checks(
    file: MirrorsFile, pools: Sequence[NodePool], open_client: OpenClient, earlier: Digests, reports: Reports = dict
) -> ReadinessPlan:
    """Ask the source of each bootstrap image for its tags and digests, and list where each of them has to be.

    :param open_client: opens a source, with credentials: nodes need not be able to read it.
    :param earlier: ``digests`` of an earlier plan, for sources that are down.
    :param reports: called when a source is down; what it tells is later than ``earlier``.
    """
    planner = _Planner(file, open_client, earlier, cache(reports))
    for pool in pools:
        for image in pool.images:
            planner.add(pool, image)
    return replace(planner.plan, notes=list(dict.fromkeys(planner.plan.notes)))


def find_source(registry: Registry, repository: Repository, routes: RouteMap) -> tuple[Registry, Repository]:
    """Where the images of ``repository`` are pushed to before mirrors copy them on, over however many registries."""
    seen = {repository}
    while writer := next((each for each in routes.into(repository) if each.source_repository not in seen), None):
        registry, repository = writer.source, writer.source_repository
        seen.add(repository)
    return registry, repository


class _Planner:
    def __init__(self, file: MirrorsFile, open_client: OpenClient, earlier: Digests, reports: Reports) -> None:
        self._file, self._open_client, self._earlier, self._reports = file, open_client, earlier, reports
        self._routes = RouteMap.of(file)
        self._down: dict[str, RegistrySyncError] = {}
        self.plan = ReadinessPlan()

    def add(self, pool: NodePool, image: BootstrapImage) -> None:
        """Plan the checks of one image at each registry that the pool pulls from."""
        registry = self._file.registries[pool.registry]
        repository = Repository.at(registry.host, image.repository)
        expected = self._expect(*find_source(registry, repository, self._routes), image.tags or TagRules())
        for name, resolves in pool.pull_order:
            self.plan.checks.append(self._check(pool, self._file.registries[name], repository.name, expected, resolves))

    def _check(
        self, pool: NodePool, registry: Registry, name: str, expected: list[Expected], resolves: bool
    ) -> EndpointCheck:
        repository = Repository(registry.host, name)
        if resolves and (why := self._why_another(repository)):
            expected = [each if each.problem else replace(each, digest=None, said_by=why) for each in expected]
        route = next(self._routes.into(repository), None)
        return EndpointCheck(
            pool=pool.name,
            registry=registry,
            repository=repository,
            tags=tuple(expected),
            resolves=resolves,
            copied_by=route.mirror if route else None,
            on_moved_tag=route.settings.on_moved_tag if route else FOLLOW,
            place=_place(pool, registry),
        )

    def _why_another(self, repository: Repository) -> str:
        """Why the digest there is not that of the source; empty when it is. Made of some platforms, it is another."""
        seen = {repository}
        while route := next(
            (each for each in self._routes.into(repository) if each.source_repository not in seen), None
        ):
            if route.settings.platforms:
                return (
                    f"since {route.mirror!r} mirrors {', '.join(route.settings.platforms)} alone, under another digest"
                )
            repository = route.source_repository
            seen.add(repository)
        return ""

    def _expect(self, source: Registry, repository: Repository, rules: TagRules) -> list[Expected]:
        """The tags that nodes need and their digests, by the source, or by what it said when it last answered.

        There is always one, so that an image of which nothing is known is not taken for one that is not needed.
        """
        asked_at = datetime.now(UTC)
        try:
            expected = self._ask(source, repository, rules)
            self.plan.asked_at[str(repository)] = asked_at
        except RegistrySyncError as error:
            self.plan.notes.append(f"{repository} could not be asked for its digests: {error}")
            expected = self._remember(repository, rules)
        known = {str(Reference(repository, each.tag)): str(each.digest) for each in expected if each.digest}
        self.plan.digests |= known
        return expected

    def _ask(self, source: Registry, repository: Repository, rules: TagRules) -> list[Expected]:
        """A source that does not answer is not asked again for each of its images."""
        if source.name in self._down:
            raise self._down[source.name]
        try:
            with closing(self._open_client(source)) as client:
                return _expected(client, repository, rules)
        except TemporaryError as error:
            self._down[source.name] = error
            raise

    def _remember(self, repository: Repository, rules: TagRules) -> list[Expected]:
        """What an earlier plan knew, and what mirrors have copied since. Of new tags, the latter count by name only.

        Without an earlier plan, what mirrors copied is all that is known of tags that are not written by name.
        """
        known = _of(repository, self._earlier)
        copied = _of(repository, self._reports())
        chosen = [
            each for each in dict.fromkeys([*(known or copied), *rules.by_name]) if not rejection_reason(each, rules)
        ]
        expected = [_remembered(repository, tag, known.get(tag), copied.get(tag)) for tag in chosen]
        down = f"{repository.host} does not answer, and no earlier check is known"
        advice = "write its tags by their names, or keep what nodes check --json prints"
        return expected or [_unknown(f"which tags of it nodes need is not known: {down}; {advice}")]


def _place(pool: NodePool, registry: Registry) -> PoolPlace:
    if registry.name != pool.registry:
        return "mirror"
    return "fallback" if any(each.trust == "pull+resolve" for each in pool.pool_mirrors) else "sole"


def _of(repository: Repository, named: Mapping[str, T]) -> dict[str, T]:
    """By tags, what stands there for a repository."""
    prefix = f"{repository}:"
    return {name.removeprefix(prefix): each for name, each in named.items() if name.startswith(prefix)}


def _remembered(repository: Repository, tag: str, known: str | None, copied: Copied | None) -> Expected:
    if copied:
        return Expected(tag=tag, digest=Digest.parse(copied.digest), said_by=f"{repository.host} in {copied.run}")
    if known:
        return Expected(tag=tag, digest=Digest.parse(known), said_by=f"{repository.host} when it last answered")
    unknown = f"since {repository.host} does not answer and no earlier check is known"
    return Expected(tag=tag, digest=None, said_by=unknown)


ANY_TAG = "*"
"""Stands for the tags of an image of which none is known."""


def _unknown(problem: str) -> Expected:
    return Expected(tag=ANY_TAG, digest=None, problem=problem)


def _expected(client: RegistryClient, repository: Repository, rules: TagRules) -> list[Expected]:
    """The tags by the rules, and what they name. Where all are written by their names, nothing is listed."""
    entries = {each: TagEntry(name=each) for each in rules.by_name}
    listed = {} if rules.is_all_by_name else _list(client, repository)
    entries |= listed
    has_push_times = client.lists_push_times and not rules.is_all_by_name
    selection = select_tags(entries.values(), rules, now=datetime.now(UTC), has_push_times=has_push_times)
    digests = {**{name: each.digest for name, each in entries.items()}, **selection.pins}
    found = [_found(client, repository, tag, digests.get(tag)) for tag in selection.selected]
    found += [Expected(tag=tag, digest=None, problem=why) for tag, why in selection.failed.items()]
    where = f"the {len(listed)} tags of {repository}"
    return found or [_unknown(f"the rules of the bootstrap image choose none of {where}; mend them")]


def _list(client: RegistryClient, repository: Repository) -> dict[str, TagEntry]:
    """The tags of a repository; none, where the source says that there is no such repository."""
    try:
        return {each.name: each for each in client.list_tags(repository)}
    except NotFound:
        return {}


def _found(client: RegistryClient, repository: Repository, tag: str, listed: Digest | None) -> Expected:
    digest = listed or client.head_manifest(repository, tag)
    if digest:
        return Expected(tag=tag, digest=digest, said_by=repository.host)
    missing = f"{Reference(repository, tag)} is not there, so that nothing says what it should be elsewhere"
    return Expected(tag=tag, digest=None, problem=f"{missing}; push it, or mend the tags of the bootstrap image")
