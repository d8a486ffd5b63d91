"""Check the access to each registry of a mirrors file: log in, list, read. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule, Rule
from registry_sync.errors import ConfigurationError, DeniedError, LoginRejected, RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.kinds import deletion_privilege
from registry_sync.routes.route import Route, route_of
from registry_sync.sync.reading.named_tags import unpinned_names

OpenClient = Callable[[Registry], RegistryClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a registry. ``problem`` is empty when it passed, and ``remark`` when there is nothing to add."""

    registry: Registry
    name: str
    problem: str = ""
    remark: str = ""


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
            yield from _check_mirrors(registry, file, client, open_client)


def _check_mirrors(
    registry: Registry, file: MirrorsFile, client: RegistryClient, open_client: OpenClient
) -> Iterator[Check]:
    """Check the registry's part in each mirror."""
    for mirror in file.mirrors.values():
        if mirror.source == registry.name:
            yield from (_check_source(registry, mirror, rule, client) for rule in _first_rules(mirror))
        elif registry.name in mirror.destinations:
            yield from _check_destination(registry, mirror, file.registries[mirror.source], client, open_client)


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


def _check_destination(
    registry: Registry, mirror: Mirror, source: Registry, client: RegistryClient, open_client: OpenClient
) -> Iterator[Check]:
    """Read a repository that a route of the mirror writes, and check the privilege to delete where that is known."""
    route = _first_route(mirror, source, registry, open_client)
    if route is not None:
        yield _check_repository(registry, mirror, route.destination_repository, client)
    if any(rule.settings.deletes_tags for rule in mirror.rules):
        remark = f"not tried; needs {deletion_privilege(registry.api_kind)}"
        name = f"delete tags (mirror {mirror.name})"
        yield Check(registry=registry, name=name, problem=client.delete_fault(), remark=remark)


def _first_route(mirror: Mirror, source: Registry, destination: Registry, open_client: OpenClient) -> Route | None:
    """A route of the mirror, of a repository that exists; ``None`` when the source lists none, which its check says."""
    written = next((rule for rule in mirror.rules if isinstance(rule, RepositoryRule)), None)
    if written is not None:
        return route_of(mirror, written, source, destination, written.repository)
    try:
        with closing(open_client(source)) as client:
            for rule in mirror.rules:
                if isinstance(rule, NamespaceRule):
                    listed = client.list_repositories(rule.namespace, include_private=rule.include_private)
                    for name in (entry.name for entry in listed if rule.chooses(entry.name)):
                        return route_of(mirror, rule, source, destination, name)
    except RegistrySyncError:
        return None
    return None


def _check_repository(registry: Registry, mirror: Mirror, repository: Repository, client: RegistryClient) -> Check:
    """Send a HEAD. Quay denies robot accounts what does not exist, also if they may create it.

    A token for pushing would tell, but at Quay it creates the repository.
    """
    name, remark = f"read {repository.name} (mirror {mirror.name})", ""
    try:
        client.head_manifest(repository, "latest")
    except LoginRejected as error:
        return Check(registry=registry, name=name, problem=str(error))
    except DeniedError:
        remark = "missing, or hidden from this user"
    except RegistrySyncError as error:
        return Check(registry=registry, name=name, problem=str(error))
    try:
        fault = client.write_fault(repository)
    except RegistrySyncError as error:
        fault = str(error)
    return Check(registry=registry, name=name, problem=fault, remark=remark)


def _check(registry: Registry, name: str, call: Callable[[], object]) -> Check:
    try:
        call()
    except RegistrySyncError as error:
        return Check(registry=registry, name=name, problem=str(error))
    return Check(registry=registry, name=name)
