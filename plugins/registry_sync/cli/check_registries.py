"""Check the access to each registry of a mirrors file: log in, list, read. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule, Rule
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import route_of
from registry_sync.sync.named_tags import unpinned_names

OpenClient = Callable[[Registry], RegistryClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a registry. ``problem`` is empty when it passed."""

    registry: Registry
    name: str
    problem: str = ""


def check_registries(file: MirrorsFile, open_client: OpenClient) -> Iterator[Check]:
    """Check each registry: log in, then list one page at a source, and send one HEAD to a destination.

    Where a rule has only ``names``, its first tag is read instead, because such a source need not permit listings.

    Permission to push is not checked, because Quay creates a repository when a token for pushing to it is requested.
    """
    for registry in file.registries.values():
        yield from _check_registry(registry, file, open_client)


def _check_registry(registry: Registry, file: MirrorsFile, open_client: OpenClient) -> Iterator[Check]:
    access = "log in" if registry.connection else "anonymous access"
    try:
        client = open_client(registry)
    except RegistrySyncError as error:
        yield Check(registry=registry, name=access, problem=str(error))
        return
    with closing(client):
        login = _check(registry, access, client.ping)
        yield login
        if not login.problem:
            yield from _check_mirrors(registry, file, client)


def _check_mirrors(registry: Registry, file: MirrorsFile, client: RegistryClient) -> Iterator[Check]:
    """Check the registry's part in each mirror."""
    for mirror in file.mirrors.values():
        if mirror.source == registry.name:
            yield from (_check_source(registry, mirror, rule, client) for rule in _first_rules(mirror))
        elif registry.name in mirror.destinations:
            yield _check_destination(registry, mirror, file.registries[mirror.source], client)


def _first_rules(mirror: Mirror) -> Iterator[Rule]:
    """The first namespace and the first repository. To list all of them would take as long as a run."""
    for form in (NamespaceRule, RepositoryRule):
        yield from islice((rule for rule in mirror.rules if isinstance(rule, form)), 1)


def _check_source(registry: Registry, mirror: Mirror, rule: Rule, client: RegistryClient) -> Check:
    if isinstance(rule, NamespaceRule):
        namespace = rule.namespace
        repositories = client.list_repositories(namespace, include_private=rule.include_private)
        name = f"list repositories of {namespace} (mirror {mirror.name})"
        return _check(registry, name, lambda: _require_one(repositories, namespace))
    repository = Repository.at(registry.host, rule.repository)
    if rule.settings.tags.named and unpinned_names(rule.settings) is not None:
        tag, pin = next(iter(rule.settings.tags.named.items()))
        name = f"read {repository.name}:{tag} (mirror {mirror.name})"
        return _check(registry, name, lambda: _require_manifest(client, repository, pin or tag))
    name = f"list tags of {repository.name} (mirror {mirror.name})"
    return _check(registry, name, lambda: next(iter(client.list_tags(repository)), None))


def _require_manifest(client: RegistryClient, repository: Repository, target: str | Digest) -> None:
    """:raises ConfigurationError: when the source does not have it."""
    if client.head_manifest(repository, target) is None:
        raise ConfigurationError(f"{repository} does not have {str(target)!r}, which names lists; correct one of them")


def _require_one(repositories: Iterable[object], namespace: str) -> None:
    """:raises ConfigurationError: when the listing is empty."""
    if next(iter(repositories), None) is None:
        raise ConfigurationError(
            f"no repository found in namespace {namespace!r}; check its name, and that this user may list it"
        )


def _check_destination(registry: Registry, mirror: Mirror, source: Registry, client: RegistryClient) -> Check:
    rule = mirror.rules[0]
    source_name = f"{rule.namespace}/any" if isinstance(rule, NamespaceRule) else rule.repository
    repository = route_of(mirror, rule, source, registry, source_name).destination_repository
    name = f"read {repository.name} (mirror {mirror.name})"
    return _check(registry, name, lambda: client.head_manifest(repository, "latest"))


def _check(registry: Registry, name: str, call: Callable[[], object]) -> Check:
    try:
        call()
    except RegistrySyncError as error:
        return Check(registry=registry, name=name, problem=str(error))
    return Check(registry=registry, name=name)
