"""Find the routes of a mirror, by name or by listing namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.config.model import (
    Mirror,
    NamespaceRule,
    Registry,
    RepositoryRule,
)
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route, name_problem, route_of
from registry_sync.tags.patterns import first_match, parse_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route, and when a tag was last pushed to its source repository (``None``: unknown)."""

    route: Route
    modified_at: datetime | None = None


ListRepositories = Callable[[str, bool], Mapping[str, datetime | None]]
"""From a namespace, and whether private ones are wanted, to the repositories there and when each was last pushed to."""


def expand_routes(
    mirror: Mirror, source: Registry, destination: Registry, list_repositories: ListRepositories
) -> list[FoundRoute]:
    """The routes of a mirror to one destination, in the order of their labels.

    A repository that is written by its name is not found a second time through its namespace.

    :param list_repositories: asks the source.
    :raises ConfigurationError: when a namespace gives no repository, or two routes would write one repository.
    """
    routes = [FoundRoute(route=each) for each in listed_routes(mirror, source, destination)]
    known = {each.route.source_repository.name for each in routes}
    for rule in mirror.rules:
        if isinstance(rule, NamespaceRule):
            found = _discover(rule, source, list_repositories)
            for name in sorted(found.keys() - known):
                route = replace(route_of(mirror, rule, source, destination, name), is_discovered=True)
                routes.append(FoundRoute(route=route, modified_at=found[name]))
            known |= found.keys()
    check_destinations(each.route for each in routes)
    return sorted(routes, key=lambda each: each.route.label)


def listed_routes(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[Route]:
    """The routes of the repositories that are written by name, in the order of the file."""
    for rule in mirror.rules:
        if isinstance(rule, RepositoryRule):
            yield route_of(mirror, rule, source, destination, rule.repository)


def _discover(
    rule: NamespaceRule, source: Registry, list_repositories: ListRepositories
) -> Mapping[str, datetime | None]:
    found = list_repositories(rule.namespace, rule.include_private)
    chosen = {name: modified_at for name, modified_at in found.items() if rule.chooses(name)}
    if not chosen:
        seen = f"{len(found)} repositories, of which include and exclude leave none" if found else "no repository"
        raise ConfigurationError(f"namespace {rule.namespace!r} of {source.host} has {seen}; mend the rule or its name")
    return chosen


def select_routes(routes: Sequence[FoundRoute], globs: Sequence[str]) -> list[FoundRoute]:
    """The routes whose source repository matches one of ``globs``; all when there is none.

    :raises ConfigurationError: when a glob matches no repository, since then less would be done than was asked for.
    """
    names = [each.route.source_repository.name for each in routes]
    patterns = list(map(parse_pattern, globs))
    if idle := [pattern.text for pattern in patterns if not any(map(pattern.matches, names))]:
        raise ConfigurationError(f"no repository of this mirror matches {idle}; it has {sorted(set(names))}")
    named = zip(names, routes, strict=True)
    return [route for name, route in named if not globs or first_match(patterns, name)]


def check_destinations(routes: Iterable[Route]) -> None:
    """:raises ConfigurationError: when two routes write one repository, or one writes its own source."""
    writers: dict[Repository, Route] = {}
    for route in routes:
        if problem := name_problem(route):
            raise ConfigurationError(problem)
        first = writers.setdefault(route.destination_repository, route)
        if first is not route:
            both = f"{first.source_repository} and {route.source_repository}"
            raise ConfigurationError(f"{both} would both be mirrored to {route.destination_repository}; rename one")
