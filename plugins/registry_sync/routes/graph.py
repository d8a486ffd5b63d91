"""The mirror graph: every route of a mirrors file, as far as the file determines it without contacting a registry."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

from registry_sync.config.explain_errors import Problem
from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule
from registry_sync.config.yaml_source import Place
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route, route_of
from registry_sync.tags.patterns import Pattern, may_overlap, parse_pattern
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
class NamespaceRoutes:
    """The routes of a namespace rule to one destination, for whatever repositories the source has.

    ``listed``: source repositories that the mirror lists by name; the rule does not apply to them.
    ``earlier``: namespace rules before this one in the mirror; the first rule that finds a repository applies.
    """

    place: Place
    mirror: Mirror
    rule: NamespaceRule
    source: Registry
    destination: Registry
    listed: frozenset[str]
    earlier: tuple[NamespaceRule, ...] = ()

    def make_route(self, name: str) -> Route:
        """The route of the source repository ``name``, without a look at the rule's patterns.

        :raises ConfigurationError: when it gets no valid name at the destination.
        """
        return replace(route_of(self.mirror, self.rule, self.source, self.destination, name), is_discovered=True)

    def route(self, name: str) -> Route | None:
        """The route of the source repository ``name``, if this is the rule that applies to it."""
        is_taken = name in self.listed or any(_finds(rule, name) for rule in self.earlier)
        return None if is_taken else self.route_by_rule(name)

    def route_by_rule(self, name: str) -> Route | None:
        """The route of the source repository ``name``, as if the mirror had no other rule."""
        try:
            return self.make_route(name) if _finds(self.rule, name) else None
        except ConfigurationError:  # it gets no valid name at the destination, which the run reports
            return None

    def route_into(self, name: str) -> Route | None:
        """The route that writes the destination repository ``name``."""
        routes = map(self.route, self._possible_sources(name))
        return next((route for route in routes if route and route.destination_repository.name == name), None)

    def may_write(self, other: Route) -> bool:
        """True if the rule may find a repository that goes to the destination of ``other`` too."""
        repository = other.destination_repository
        if repository.host != self.destination.host:
            return False
        sources = (other.source_repository.name, *self._possible_sources(repository.name))
        routes = map(self.route_by_rule, sources)
        return any(route.destination_repository == repository for route in routes if route)

    def may_meet(self, other: NamespaceRoutes) -> bool:
        """True if both rules may write the same repository: an example shows it, or their patterns may overlap."""
        if self.destination.host != other.destination.host:
            return False
        pairs = (
            (self.route_by_rule(name), other.route_by_rule(name)) for name in (*self.examples(), *other.examples())
        )
        is_shown = any(one and two and one.destination_repository == two.destination_repository for one, two in pairs)
        return is_shown or (self._patterns_may_overlap(other) and self._names_alike(other))

    def examples(self) -> list[str]:
        """Source repositories that the rule would find, one for each of its patterns."""
        names = (f"{self.rule.namespace}/{_example(pattern)}" for pattern in self.rule.include or _EVERY_NAME)
        return list(filter(self.rule.chooses, names))

    def _patterns_may_overlap(self, other: NamespaceRoutes) -> bool:
        """True if both rules may choose one name. A pattern that either rule excludes as a whole does not count."""
        excluded = {*(self.rule.exclude or ()), *(other.rule.exclude or ())}
        ours, theirs = (
            [pattern for pattern in rule.include or _EVERY_NAME if pattern not in excluded]
            for rule in (self.rule, other.rule)
        )
        return any(may_overlap(one, two) for one, two in product(ours, theirs))

    def _names_alike(self, other: NamespaceRoutes) -> bool:
        """True if both rules would give one repository of both namespaces the same name at the destination."""
        sample = f"{max(self.rule.namespace, other.rule.namespace, key=len)}/{_SAMPLE}"
        if not all(sample.startswith(f"{rule.namespace}/") for rule in (self.rule, other.rule)):
            return False
        try:
            return self.make_route(sample).destination_repository == other.make_route(sample).destination_repository
        except ConfigurationError:  # no valid name at the destination, which is reported elsewhere
            return False

    def _possible_sources(self, name: str) -> Iterator[str]:
        """Names at the source that may become ``name`` at the destination; the caller checks each.

        A sample does not show all: Docker Hub adds ``library/`` to short names, and templates may have filters.
        """
        if source := self._invert(name):
            yield source
        settings = self.rule.settings
        yield settings.strip_prefix + name.removeprefix(settings.prefix)
        yield name
        yield f"{self.rule.namespace}/{name.rpartition('/')[2]}"

    def _invert(self, name: str) -> str | None:
        """The source name of ``name``, read off from what becomes of a sample."""
        try:
            made = self.make_route(f"{self.rule.namespace}/{_SAMPLE}").destination_repository.name
        except ConfigurationError:
            return None
        before, *rest = map(re.escape, made.split(_SAMPLE))
        match = re.fullmatch(f"{before}(?P<name>.+){'(?P=name)'.join(rest)}", name) if rest else None
        return f"{self.rule.namespace}/{match['name']}" if match else None


_SAMPLE = "0sample0"
"""Stands for any name within a namespace, to see where it appears in the name at the destination."""


_EVERY_NAME = (parse_pattern("*"),)

_SET = re.compile(r"\[([^!\]])[^\]]*\]")
"""A set of a glob, and its first member."""


def _example(pattern: Pattern) -> str:
    """A name that a glob matches. For a regular expression none is known, and the result does not match."""
    return _SET.sub(r"\1", pattern.text).replace("*", "any").replace("?", "a")


def _finds(rule: NamespaceRule, name: str) -> bool:
    return name.startswith(f"{rule.namespace}/") and rule.chooses(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMap:
    """All routes of a mirrors file. Mirrors that use an unknown registry are excluded.

    ``listed``: the routes of repositories that are listed by name, in the order of the file.
    ``by_source``, ``by_destination``: the same, by either repository.
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

    def into(self, repository: Repository) -> Iterator[Route]:
        """The routes that write ``repository``."""
        yield from (entry.route for entry in self.by_destination.get(repository, ()))
        for namespace in self.namespaces:
            if namespace.destination.host == repository.host and (route := namespace.route_into(repository.name)):
                yield route

    def out_of(self, repository: Repository) -> Iterator[Route]:
        """The routes that read ``repository``."""
        yield from (entry.route for entry in self.by_source.get(repository, ()))
        for namespace in self.namespaces:
            if namespace.source.host == repository.host and (route := namespace.route(repository.name)):
                yield route

    def possible_routes(self, repository: Repository) -> Iterator[PlacedRoute]:
        """The routes that may read ``repository``, of each rule as if it stood alone in its mirror."""
        yield from self.by_source.get(repository, ())
        for namespace in self.namespaces:
            if namespace.source.host == repository.host and (route := namespace.route_by_rule(repository.name)):
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
        groups[repository].append(entry)
    return {repository: tuple(entries) for repository, entries in groups.items()}


def find_cycle(start: Repository, routes: RouteMap) -> tuple[Repository, ...]:
    """The repositories on a path from ``start`` back to itself; empty when there is none.

    Also finds namespaces that would re-read their own copies under ever longer names: a path that uses one namespace
    rule twice, although it never returns to ``start``.
    """
    paths: list[tuple[tuple[Repository, ...], frozenset[Place]]] = [((start,), frozenset())]
    seen = {start}
    while paths:
        path, places = paths.pop()
        for entry in routes.possible_routes(path[-1]):
            following = entry.route.destination_repository
            is_back = following == start != path[-1]
            if is_back or entry.place in places:
                return (*path, following)
            if following not in seen:
                seen.add(following)
                paths.append(((*path, following), places | {entry.place}))
    return ()
