"""The mirror graph: every route of a mirrors file, as far as the file determines it without contacting a registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.same_registry import name_at, repository_key
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.routes.route import Route, route_of
from registry_sync.tags.select import rejection_reason


def why_not(route: Route, tag: str) -> str:
    """Return why ``route`` never copies ``tag``, judged by the tag's name; empty when it may."""
    return rejection_reason(tag, route.settings.tags)


def uses_known_registries(mirror: Mirror, registries: Mapping[str, Registry]) -> bool:
    """True if ``registries`` has the source and all destinations of a mirror."""
    return {mirror.source, *mirror.destinations} <= registries.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRoute:
    """A route, and the place of its rule in the mirrors file."""

    place: Place
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMap:
    """All routes of a mirrors file. Mirrors that use an unknown registry are excluded.

    ``listed``: the routes of repositories that are listed by name, in the order of the file.
    ``by_source``, ``by_destination``: the same, by :func:`repository_key` of either repository.
    ``namespaces``: the routes that namespace rules may give.
    ``unnamed``: rules for one repository that get no valid name at a destination.
    """

    listed: tuple[PlacedRoute, ...]
    by_source: Mapping[Repository, tuple[PlacedRoute, ...]]
    by_destination: Mapping[Repository, tuple[PlacedRoute, ...]]
    namespaces: tuple[NamespaceRoutes, ...]
    unnamed: tuple[Problem, ...]

    @classmethod
    def of(cls, file: MirrorsFile) -> Self:
        """Build the graph of a mirrors file."""
        listed: list[PlacedRoute] = []
        namespaces: list[NamespaceRoutes] = []
        unnamed: list[Problem] = []
        for mirror, source, destination in _connections(file):
            routes = list(_routes_by_name(mirror, source, destination))
            found = [entry for entry in routes if isinstance(entry, PlacedRoute)]
            listed += found
            unnamed += (entry for entry in routes if isinstance(entry, Problem))
            names = frozenset(entry.route.source_repository.name for entry in found)
            namespaces += _routes_by_namespace(mirror, source, destination, names)
        return cls(
            listed=tuple(listed),
            by_source=_grouped((entry.route.source_repository, entry) for entry in listed),
            by_destination=_grouped((entry.route.destination_repository, entry) for entry in listed),
            namespaces=tuple(namespaces),
            unnamed=tuple(unnamed),
        )

    def into(self, repository: Repository, tags: Collection[str] = ()) -> Iterator[Route]:
        """The routes that write ``repository``. With ``tags``, those that may copy one of them."""
        routes = self._all_into(repository)
        return (route for route in routes if not tags or not all(why_not(route, tag) for tag in tags))

    def _all_into(self, repository: Repository) -> Iterator[Route]:
        yield from (entry.route for entry in self.by_destination.get(repository_key(repository), ()))
        for namespace in self.namespaces:
            name = name_at(repository, namespace.destination.host)
            if name and (route := namespace.route_into(name)):
                yield route

    def out_of(self, repository: Repository) -> Iterator[Route]:
        """The routes that read ``repository``."""
        yield from (entry.route for entry in self.by_source.get(repository_key(repository), ()))
        for namespace in self.namespaces:
            name = name_at(repository, namespace.source.host)
            if name and (route := namespace.route(name)):
                yield route

    def possible_routes(self, repository: Repository) -> Iterator[PlacedRoute]:
        """The routes that may read ``repository``, of each rule as if it stood alone in its mirror."""
        yield from self.by_source.get(repository_key(repository), ())
        for namespace in self.namespaces:
            name = name_at(repository, namespace.source.host)
            if name and (route := namespace.route_by_rule(name)):
                yield PlacedRoute(place=namespace.place, route=route)


def _connections(file: MirrorsFile) -> Iterator[tuple[Mirror, Registry, Registry]]:
    """Every mirror whose registries exist, with its source and each of its destinations."""
    for mirror in file.mirrors.values():
        if uses_known_registries(mirror, file.registries):
            for name in dict.fromkeys(mirror.destinations):
                yield mirror, file.registries[mirror.source], file.registries[name]


def rule_place(mirror: Mirror, index: int) -> Place:
    """The place of an entry of ``repositories``."""
    return ("mirrors", mirror.name, "repositories", index)


def _routes_by_name(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[PlacedRoute | Problem]:
    for index, rule in enumerate(mirror.rules):
        if isinstance(rule, RepositoryRule):
            try:
                route = route_of(mirror, rule, source, destination, rule.repository)
            except ConfigurationError as error:
                yield Problem(rule_place(mirror, index), str(error))
            else:
                yield PlacedRoute(place=rule_place(mirror, index), route=route)


def _routes_by_namespace(
    mirror: Mirror, source: Registry, destination: Registry, listed: frozenset[str]
) -> Iterator[NamespaceRoutes]:
    earlier: tuple[NamespaceRule, ...] = ()
    for index, rule in enumerate(mirror.rules):
        if isinstance(rule, NamespaceRule):
            yield NamespaceRoutes(
                place=rule_place(mirror, index),
                mirror=mirror,
                rule=rule,
                source=source,
                destination=destination,
                listed=listed,
                earlier=earlier,
            )
            earlier += (rule,)


def _grouped(pairs: Iterable[tuple[Repository, PlacedRoute]]) -> dict[Repository, tuple[PlacedRoute, ...]]:
    groups: defaultdict[Repository, list[PlacedRoute]] = defaultdict(list)
    for repository, entry in pairs:
        groups[repository_key(repository)].append(entry)
    return {repository: tuple(entries) for repository, entries in groups.items()}
