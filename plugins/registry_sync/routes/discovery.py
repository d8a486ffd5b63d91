"""Find the routes of a mirror: those of listed repositories, and those that its namespaces have at the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.config.model import Mirror, NamespaceRule, Registry, RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route, name_problem, route_of
from registry_sync.routes.sharing import sharing_problem
from registry_sync.tags.patterns import first_match, parse_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route, and when a tag was last pushed to its source repository (``None``: unknown)."""

    route: Route
    modified_at: datetime | None = None


ListRepositories = Callable[[str, bool], Mapping[str, datetime | None]]
"""Lists a namespace, with private repositories or without: each repository, and when it was last pushed to."""


def expand_routes(
    mirror: Mirror, source: Registry, destination: Registry, list_repositories: ListRepositories
) -> list[FoundRoute]:
    """The routes of a mirror to one destination, in the order of their labels.

    A repository belongs to the rule that lists it by name, else to the first namespace rule that finds it.

    :param list_repositories: lists a namespace of the source.
    :raises ConfigurationError: when a namespace rule finds no repository, or two routes would write one repository.
    """
    routes = [FoundRoute(route=route) for route in listed_routes(mirror, source, destination)]
    taken = {entry.route.source_repository.name for entry in routes}
    for rule in mirror.rules:
        if isinstance(rule, NamespaceRule):
            repositories = _discover(rule, source, list_repositories)
            for name in sorted(repositories.keys() - taken):
                route = replace(route_of(mirror, rule, source, destination, name), is_discovered=True)
                routes.append(FoundRoute(route=route, modified_at=repositories[name]))
            taken |= repositories.keys()
    check_destinations(entry.route for entry in routes)
    return sorted(routes, key=lambda entry: entry.route.label)


def listed_routes(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[Route]:
    """The routes of the repositories that are listed by name, in the order of the file."""
    for rule in mirror.rules:
        if isinstance(rule, RepositoryRule):
            yield route_of(mirror, rule, source, destination, rule.repository)


def _discover(
    rule: NamespaceRule, source: Registry, list_repositories: ListRepositories
) -> Mapping[str, datetime | None]:
    """The repositories that a rule chooses at the source.

    :raises ConfigurationError: when it chooses none.
    """
    listed = list_repositories(rule.namespace, rule.include_private)
    chosen = {name: modified_at for name, modified_at in listed.items() if rule.chooses(name)}
    if not chosen:
        seen = f"{len(listed)} repositories, but include and exclude select none" if listed else "no repositories"
        raise ConfigurationError(f"namespace {rule.namespace!r} of {source.host} has {seen}; fix the rule or its name")
    return chosen


def select_routes(routes: Sequence[FoundRoute], globs: Sequence[str]) -> list[FoundRoute]:
    """The routes whose source repository matches one of ``globs``; without globs all.

    :raises ConfigurationError: when a glob matches no repository: the run would do less than requested.
    """
    names = [entry.route.source_repository.name for entry in routes]
    patterns = list(map(parse_pattern, globs))
    if unmatched := [pattern.text for pattern in patterns if not any(map(pattern.matches, names))]:
        raise ConfigurationError(f"no repository of this mirror matches {unmatched}; it has {sorted(set(names))}")
    named = zip(names, routes, strict=True)
    return [route for name, route in named if not globs or first_match(patterns, name)]


def check_destinations(routes: Iterable[Route]) -> None:
    """:raises ConfigurationError: when two routes write the same tags, or one writes its own source."""
    writers: defaultdict[Repository, list[Route]] = defaultdict(list)
    for route in routes:
        if problem := name_problem(route):
            raise ConfigurationError(problem)
        for first in writers[route.destination_repository]:
            if remedy := sharing_problem(first, route):
                both = f"{first.source_repository} and {route.source_repository}"
                raise ConfigurationError(f"{both} would both be mirrored to {route.destination_repository}; {remedy}")
        writers[route.destination_repository].append(route)
