"""The routes of repositories that somebody pushed to, named by an event. Pure; names of events are not trusted.

A name that a mirror does not choose is left out. Where only the list of a namespace tells whether a repository is
chosen, that namespace is listed, and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import NAMES_TELL_ALL
from registry_sync.routes.discovery import Discovery, ListRepositories, expand_routes


def chosen_names(mirror: Mirror, source: Registry, names: Iterable[str]) -> dict[str, str]:
    """The repositories that a rule names, or may find in its namespace: the name at the source of each of ``names``."""
    written = _written(mirror, source)
    found = {name: parsed.name for name in names if (parsed := _parse(source, name))}
    return {name: whole for name, whole in found.items() if whole in written or any(_finding(mirror, [whole]))}


def _written(mirror: Mirror, source: Registry) -> frozenset[str]:
    rules = (rule for rule in mirror.rules if isinstance(rule, RepositoryRule))
    return frozenset(Repository.at(source.host, rule.repository).name for rule in rules)


def _parse(source: Registry, name: str) -> Repository | None:
    """The repository of a name in an event; ``None`` for one that is not valid."""
    try:
        return Repository.at(source.host, name)
    except ConfigurationError:
        return None


def _finding(mirror: Mirror, names: Collection[str]) -> Iterator[NamespaceRule]:
    """The namespace rules that may find one of the names."""
    rules = (rule for rule in mirror.rules if isinstance(rule, NamespaceRule))
    return (rule for rule in rules if any(map(rule.finds, names)))


def expand_pushed(
    mirror: Mirror,
    source: Registry,
    destination: Registry,
    names: Collection[str],
    list_repositories: ListRepositories,
    now: datetime,
) -> Discovery:
    """The routes of some repositories to one destination, also those that are disabled.

    :param names: whole names at the source, those of :func:`chosen_names`.
    :param list_repositories: lists a namespace of the source.
    :param now: the time (aware UTC) at which rules count as disabled. An error of a disabled rule fails that rule
        alone.
    :raises RegistrySyncError: as :func:`~registry_sync.routes.discovery.expand_routes`.
    """
    finding = tuple(_finding(mirror, frozenset(names) - _written(mirror, source)))
    rules = tuple(rule for rule in mirror.rules if isinstance(rule, RepositoryRule) or rule in finding)
    is_listed = _needs_listing(mirror, source)
    lister = list_repositories if is_listed else _only(names)
    found = expand_routes(replace(mirror, rules=rules), source, destination, lister, now)
    namespaces = {rule.namespace for rule in finding}
    return replace(
        found,
        routes=tuple(entry for entry in found.routes if entry.route.source_repository.name in names),
        failures=tuple(entry for entry in found.failures if entry.name in names or entry.name in namespaces),
        listed=found.listed if is_listed else frozenset(),
    )


def _needs_listing(mirror: Mirror, source: Registry) -> bool:
    """Return whether only the list of a namespace tells what its rule chooses.

    Vendors' lists tell private repositories from public ones, and repositories from names that do not exist. And where
    names change on the way, two repositories of namespaces may become one, of which neither is mirrored then.
    """
    return source.api_kind not in NAMES_TELL_ALL or not _keeps_names(mirror)


def _keeps_names(mirror: Mirror) -> bool:
    rules = [rule for rule in mirror.rules if isinstance(rule, NamespaceRule)]
    prefixes = {rule.settings.prefix for rule in rules}
    return len(prefixes) <= 1 and not any(rule.rename or rule.settings.strip_prefix for rule in rules)


def _only(names: Collection[str]) -> ListRepositories:
    """A lister of namespaces that finds these names only."""

    def list_repositories(namespace: str, include_private: bool) -> Mapping[str, datetime | None]:  # noqa: ARG001
        return {name: None for name in names if name.startswith(f"{namespace}/")}

    return list_repositories
