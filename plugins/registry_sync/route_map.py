"""Which routes lead to a repository and away from it, as far as a mirrors file tells without asking a registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_sync.mirrors import Mirror, MirrorsFile, NamespaceRule, Registry, Route, listed_routes
from registry_sync.reference import Repository
from registry_sync.tags import select_tags


def why_not(route: Route, tag: str) -> str:
    """Why ``route`` never copies ``tag``, judged by the tag's name; empty when it may."""
    return select_tags([tag], route.settings.tags).rejected.get(tag, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRoutes:
    """The routes that a namespace rule gives to one destination, for whatever repositories are there.

    ``listed``: source repositories that the mirror has by their names, so that the rule does not count for them.
    """

    mirror: Mirror
    rule: NamespaceRule
    source: Registry
    destination: Registry
    listed: frozenset[str]

    def route(self, name: str) -> Route | None:
        """The route of the repository ``name``, when the rule chooses it."""
        if name in self.listed or not name.startswith(f"{self.rule.namespace}/") or not self.rule.chooses(name):
            return None
        return Route(
            mirror=self.mirror.name,
            source=self.source,
            destination=self.destination,
            source_repository=Repository(self.source.host, name),
            destination_repository=Repository(self.destination.host, name),
            settings=self.mirror.settings(self.rule),
            is_discovered=True,
        )

    def route_into(self, name: str) -> Route | None:
        """The route that writes the repository ``name``; repositories of a namespace keep their names."""
        return self.route(name)


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
            routes = list(listed_routes(mirror, source, destination))
            self.listed += routes
            listed = frozenset(each.source_repository.name for each in routes)
            self.namespaces += (
                NamespaceRoutes(mirror=mirror, rule=rule, source=source, destination=destination, listed=listed)
                for rule in mirror.rules
                if isinstance(rule, NamespaceRule)
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
