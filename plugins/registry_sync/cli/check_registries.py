"""Try out each registry of a mirrors file as a run would use it, without writing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule, Rule
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import route_of

OpenClient = Callable[[Registry], RegistryClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was tried at a registry, and how that went; ``problem`` is empty when it went well."""

    registry: Registry
    what: str
    problem: str = ""


def check_registries(file: MirrorsFile, open_client: OpenClient) -> Iterator[Check]:
    """Try each registry once: to log in, then one page of a listing where it is a source, one HEAD where it is not.

    Whether we may push is not tried: Quay creates a repository when somebody only asks for that right.
    """
    for registry in file.registries.values():
        yield from _check(registry, file, open_client)


def _check(registry: Registry, file: MirrorsFile, open_client: OpenClient) -> Iterator[Check]:
    what = "log in" if registry.connection else "answer to an anonymous user"
    try:
        client = open_client(registry)
    except RegistrySyncError as error:
        yield Check(registry=registry, what=what, problem=str(error))
        return
    with closing(client):
        login = _try(registry, what, client.ping)
        yield login
        if login.problem:
            return
        for mirror in file.mirrors.values():
            if mirror.source == registry.name:
                yield from (_check_source(registry, mirror, rule, client) for rule in _one_of_each(mirror))
            elif registry.name in mirror.destinations:
                yield _check_destination(registry, mirror, file.registries[mirror.source], client)


def _one_of_each(mirror: Mirror) -> Iterator[Rule]:
    """The first namespace and the first repository: listing all would be the work of a run."""
    for form in (NamespaceRule, RepositoryRule):
        yield from islice((each for each in mirror.rules if isinstance(each, form)), 1)


def _check_source(registry: Registry, mirror: Mirror, rule: Rule, client: RegistryClient) -> Check:
    if isinstance(rule, NamespaceRule):
        namespace, private = rule.namespace, rule.include_private
        listing = client.list_repositories(namespace, include_private=private)
        return _try(registry, f"list {namespace!r} ({mirror.name})", lambda: _first(listing, namespace))
    repository = Repository.at(registry.host, rule.repository)
    return _try(
        registry, f"list {repository.name} ({mirror.name})", lambda: next(iter(client.list_tags(repository)), None)
    )


def _first(listing: Iterable[object], namespace: str) -> object:
    for each in listing:
        return each
    raise ConfigurationError(f"namespace {namespace!r} has no repository that we may see; check its name")


def _check_destination(registry: Registry, mirror: Mirror, source: Registry, client: RegistryClient) -> Check:
    rule = mirror.rules[0]
    name = f"{rule.namespace}/any" if isinstance(rule, NamespaceRule) else rule.repository
    repository = route_of(mirror, rule, source, registry, name).destination_repository
    return _try(
        registry, f"look into {repository.name} ({mirror.name})", lambda: client.head_manifest(repository, "latest")
    )


def _try(registry: Registry, what: str, call: Callable[[], object]) -> Check:
    try:
        call()
    except RegistrySyncError as error:
        return Check(registry=registry, what=what, problem=str(error))
    return Check(registry=registry, what=what)
