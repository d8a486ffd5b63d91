"""Find the routes of a mirror: those of listed repositories, and those that its namespaces have at the source.

Whoever may create a repository in a namespace chooses its name. A name that cannot be mirrored fails alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, DeniedError, NotFound, RefusedError, RegistrySyncError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route, name_problem, route_of
from registry_sync.routes.sharing import sharing_problem
from registry_sync.tags.patterns import Pattern, first_match, parse_pattern
from registry_sync.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route, and when a tag was last pushed to its source repository (``None``: unknown)."""

    route: Route
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRepository:
    """A repository of a namespace that gets no route, or a namespace that cannot be listed; ``error`` has the remedy.

    :ivar name: the name as the source lists it, for patterns.
    :ivar source: the repository with its host, for people.
    :ivar settings: of the rule that finds it, where that is known.
    """

    name: str
    source: str
    error: RegistrySyncError
    settings: RouteSettings | None = None

    def is_disabled(self, now: datetime | None) -> bool:
        """Return whether its rule is known to be disabled at a time (aware UTC)."""
        return now is not None and self.settings is not None and self.settings.is_disabled(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The routes of a mirror to one destination, in the order of their labels, and the repositories that get none.

    :ivar unlisted: namespaces that could not be listed.
    :ivar listed: namespaces that the source listed.
    """

    routes: tuple[FoundRoute, ...]
    failures: tuple[FailedRepository, ...] = ()
    unlisted: tuple[str, ...] = ()
    listed: frozenset[str] = frozenset()


ListRepositories = Callable[[str, bool], Mapping[str, datetime | None]]
"""Lists a namespace, with private repositories or without: each repository, and when it was last pushed to."""


def expand_routes(
    mirror: Mirror,
    source: Registry,
    destination: Registry,
    list_repositories: ListRepositories,
    now: datetime | None = None,
) -> Discovery:
    """The routes of a mirror to one destination, also those that are disabled.

    A repository belongs to the rule that lists it by name, else to the first namespace rule that finds it, or that
    would find it if its namespace could be listed.

    :param list_repositories: lists a namespace of the source.
    :param now: the time (aware UTC) at which rules count as disabled. An error of a disabled rule fails that rule
        alone, even a temporary error.
    :raises ConfigurationError: when two repositories that are listed by name would write one repository.
    :raises RegistrySyncError: when a namespace cannot be listed, for a temporary reason or because nothing can be.
    """
    written = list(listed_routes(mirror, source, destination))
    check_destinations(written)
    names = {route.source_repository.name for route in written}
    found = _find_in_namespaces(mirror, source, destination, list_repositories, names, now)
    unlisted = (failure for failure in found.failures if failure.name in found.unlisted)
    failure = next((failure for failure in unlisted if not failure.is_disabled(now)), None)
    if failure and not written and not found.routes:
        raise failure.error
    collisions = _collisions(written, found.routes)
    routes = [FoundRoute(route=route) for route in written]
    routes += [candidate for candidate in found.routes if candidate.route.source_repository.name not in collisions]
    settings = {candidate.route.source_repository.name: candidate.route.settings for candidate in found.routes}
    failures = [
        *found.failures,
        *(failed_repository(source, name, error, settings[name]) for name, error in collisions.items()),
    ]
    return Discovery(
        routes=tuple(sorted(routes, key=lambda candidate: candidate.route.label)),
        failures=tuple(sorted(failures, key=lambda failure: failure.name)),
        unlisted=found.unlisted,
        listed=found.listed,
    )


def _find_in_namespaces(
    mirror: Mirror,
    source: Registry,
    destination: Registry,
    list_repositories: ListRepositories,
    written: Collection[str],
    now: datetime | None,
) -> Discovery:
    """The routes of the namespace rules. Repositories in ``written`` belong to a rule that lists them by name."""
    taken, unlisted = set(written), list[NamespaceRule]()
    routes, failures = list[FoundRoute](), list[FailedRepository]()
    for rule in (rule for rule in mirror.rules if isinstance(rule, NamespaceRule)):
        is_disabled = now is not None and rule.settings.is_disabled(now)
        try:
            repositories = _discover(rule, source, list_repositories)
        except RegistrySyncError as error:
            if not (is_disabled or isinstance(error, ConfigurationError | DeniedError | RefusedError | NotFound)):
                raise
            failures.append(failed_repository(source, rule.namespace, error, rule.settings))
            unlisted.append(rule)
            continue
        taken |= {name for name in repositories if any(other.finds(name) for other in unlisted)}
        for name in sorted(repositories.keys() - taken):
            try:
                route = _discovered_route(mirror, rule, source, destination, name)
            except ConfigurationError as error:
                failures.append(failed_repository(source, name, error, rule.settings))
            else:
                routes.append(FoundRoute(route=route, modified_at=repositories[name]))
        taken |= repositories.keys()
    namespaces = {rule.namespace for rule in mirror.rules if isinstance(rule, NamespaceRule)}
    return Discovery(
        routes=tuple(routes),
        failures=tuple(failures),
        unlisted=tuple(rule.namespace for rule in unlisted),
        listed=frozenset(namespaces.difference(rule.namespace for rule in unlisted)),
    )


def _discovered_route(mirror: Mirror, rule: NamespaceRule, source: Registry, destination: Registry, name: str) -> Route:
    """:raises ConfigurationError: when the source's name, or the one at the destination, cannot be mirrored."""
    try:
        route = replace(route_of(mirror, rule, source, destination, name), is_discovered=True)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; exclude it from namespace {rule.namespace!r}, or rename it") from error
    if problem := name_problem(route):
        raise ConfigurationError(problem)
    return route


def _collisions(written: Iterable[Route], discovered: Iterable[FoundRoute]) -> dict[str, ConfigurationError]:
    """Discovered repositories with a destination that another route writes, too. A written one keeps its destination.

    Among discovered repositories all fail: otherwise a new repository could take over the name of another one.
    """
    writers: defaultdict[Repository, list[Route]] = defaultdict(list)
    routes = [found.route for found in discovered]
    for route in (*written, *routes):
        writers[route.destination_repository].append(route)
    collisions: dict[str, ConfigurationError] = {}
    for route in routes:
        others = (other for other in writers[route.destination_repository] if other is not route)
        other = next((other for other in others if _disturb_each_other(other, route)), None)
        if other is not None:
            collisions[route.source_repository.name] = _collision(route, other)
    return collisions


def _disturb_each_other(first: Route, second: Route) -> bool:
    """Return whether two sources of one repository write a common tag, or one may delete the tags of the other."""
    prunes = first.settings.deletes_tags or second.settings.deletes_tags
    return prunes or bool(sharing_problem(first, second))


def _collision(route: Route, other: Route) -> ConfigurationError:
    both = f"{route.source_repository} and {other.source_repository} would both be mirrored to"
    result = "none of them is" if other.is_discovered else "only the second, which is written by name, is"
    remedy = "exclude or rename one" if other.is_discovered else "exclude or rename the first"
    return ConfigurationError(f"{both} {route.destination_repository}, so {result}; {remedy}")


def failed_repository(
    source: Registry, name: str, error: RegistrySyncError, settings: RouteSettings | None = None
) -> FailedRepository:
    """The failure of a repository, or of a namespace, with the name that ``source`` lists."""
    text = one_line(f"{source.host}/{name}", 300)
    return FailedRepository(name=name, source=text, error=error, settings=settings)


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


def select_routes(found: Discovery, globs: Sequence[str]) -> Discovery:
    """The routes and failures whose source repository matches one of ``globs``; without globs all.

    :raises ConfigurationError: when a glob matches no repository: the run would do less than requested.
    """
    if not globs:
        return found
    names = {entry.route.source_repository.name: entry.route.source_repository.short_name for entry in found.routes}
    names |= {failure.name: failure.name for failure in found.failures}
    patterns = list(map(parse_pattern, globs))
    matched = {name for name, short in names.items() if first_match(patterns, name) or first_match(patterns, short)}
    if unmatched := [pattern.text for pattern in patterns if not _matches_any(pattern, names.items())]:
        has = ", ".join(sorted({entry.route.source_repository.short_name for entry in found.routes})) or "none"
        raise ConfigurationError(f"no repository of this mirror matches {', '.join(unmatched)}; it has {has}")
    return replace(
        found,
        routes=tuple(entry for entry in found.routes if entry.route.source_repository.name in matched),
        failures=tuple(failure for failure in found.failures if failure.name in matched),
    )


def _matches_any(pattern: Pattern, names: Iterable[tuple[str, str]]) -> bool:
    """True if a pattern matches one of the names, whole or short."""
    return any(pattern.matches(name) for both in names for name in both)


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
