"""Which routes lead to a repository and away from it, as far as a mirrors file tells without asking a registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route, route_of
from registry_sync.tags.select import rejection_reason


def why_not(route: Route, tag: str) -> str:
    """Why ``route`` never copies ``tag``, judged by the tag's name; empty when it may."""
    return rejection_reason(tag, route.settings.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRoutes:
    """The routes that a namespace rule gives to one destination, for whatever repositories are there.

    ``listed``: source repositories that the mirror has by their names, so that the rule does not count for them.
    ``earlier``: rules of the mirror that stand before it; what one of them finds is not found again.
    """

    mirror: Mirror
    rule: NamespaceRule
    source: Registry
    destination: Registry
    listed: frozenset[str]
    earlier: tuple[NamespaceRule, ...] = ()

    def route(self, name: str) -> Route | None:
        """The route of the repository ``name``, when the rule chooses it."""
        if name in self.listed or not _finds(self.rule, name) or any(_finds(each, name) for each in self.earlier):
            return None
        try:
            route = route_of(self.mirror, self.rule, self.source, self.destination, name)
        except ConfigurationError:  # it has no name there; the run says so
            return None
        return replace(route, is_discovered=True)

    def route_into(self, name: str) -> Route | None:
        """The route that writes the repository ``name``: of the source repository whose name would become that."""
        try:
            made = route_of(self.mirror, self.rule, self.source, self.destination, f"{self.rule.namespace}/{_SAMPLE}")
        except ConfigurationError:
            return None
        before, *rest = map(re.escape, made.destination_repository.name.split(_SAMPLE))
        match = re.fullmatch(f"{before}(?P<name>.+){'(?P=name)'.join(rest)}", name) if rest else None
        route = self.route(f"{self.rule.namespace}/{match['name']}") if match else None
        return route if route and route.destination_repository.name == name else None


def _finds(rule: NamespaceRule, name: str) -> bool:
    return name.startswith(f"{rule.namespace}/") and rule.chooses(name)


_SAMPLE = "0sample0"
"""Stands for any name within a namespace, to see where it comes to stand at the destination."""


def _listed(mirror: Mirror, source: Registry, destination: Registry) -> Iterator[Route]:
    """The routes that are written by name, without those that have no name at the destination: reported elsewhere."""
    for rule in mirror.rules:
        if isinstance(rule, RepositoryRule):
            with suppress(ConfigurationError):
                yield route_of(mirror, rule, source, destination, rule.repository)


class RouteMap:
    """All routes of a mirrors file: those that are written by name, and those that its namespaces may give.

    Mirrors that name a registry which is not there are left out.
    """

    def __init__(self, file: MirrorsFile) -> None:
        self.listed: list[Route] = []
        self.namespaces: list[NamespaceRoutes] = []
        for mirror in file.mirrors.values():
            if {mirror.source, *mirror.destinations} <= file.registries.keys():
                self._add(mirror, file)

    def _add(self, mirror: Mirror, file: MirrorsFile) -> None:
        source = file.registries[mirror.source]
        for destination in (file.registries[each] for each in mirror.destinations):
            routes = list(_listed(mirror, source, destination))
            self.listed += routes
            listed = frozenset(each.source_repository.name for each in routes)
            rules = tuple(each for each in mirror.rules if isinstance(each, NamespaceRule))
            self.namespaces += (
                NamespaceRoutes(
                    mirror=mirror,
                    rule=rule,
                    source=source,
                    destination=destination,
                    listed=listed,
                    earlier=rules[:index],
                )
                for index, rule in enumerate(rules)
            )

    def into(self, repository: Repository) -> Iterator[Route]:
        """The routes that write ``repository``."""
        yield from (each for each in self.listed if each.destination_repository == repository)
        found = (n.route_into(repository.name) for n in self.namespaces if n.destination.host == repository.host)
        yield from (each for each in found if each)

    def out_of(self, repository: Repository) -> Iterator[Route]:
        """The routes that read ``repository``."""
        yield from (each for each in self.listed if each.source_repository == repository)
        found = (n.route(repository.name) for n in self.namespaces if n.source.host == repository.host)
        yield from (each for each in found if each)
