"""Names of images at the registry of a pool, derived from the mirrors' routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import NodePool
from registry_sync.oci.reference import Repository, without_default_port
from registry_sync.registry.same_registry import same_registry
from registry_sync.routes.graph import RouteMap, why_not
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.routes.route import Route
from registry_sync.tags.name_forms import NamePattern


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamedImage:
    """The repository of the pool's registry that holds an image, and the routes that copy it there."""

    repository: Repository
    routes: tuple[Route, ...] = ()

    def why_not_copied(self, tag: str) -> str:
        """The reason why a route skips ``tag``; empty when it is copied."""
        reasons = ((route.mirror, why_not(route, tag)) for route in self.routes)
        return next((f"mirror {mirror!r} skips the tag {tag!r}: {reason}" for mirror, reason in reasons if reason), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """A line of the map: a name, or with ``*`` all names of ``namespace`` except those of ``excluded`` within it."""

    image: str
    becomes: str
    mirrors: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    namespace: str = ""


class NameMap:
    """Maps names of images at any registry to their names at the registry of a pool."""

    def __init__(self, file: MirrorsFile, pool: NodePool) -> None:
        self.registry = file.registries[pool.registry]
        self._registries = file.registries.values()
        self._routes = RouteMap.of(file)

    def parse(self, name: str) -> Repository:
        """Parse an image's name. The default port of a registry in the mirrors file is dropped, as it is there.

        :raises ConfigurationError: when it is not a valid name.
        """
        repository = Repository.parse(name)
        for registry in self._registries:
            if without_default_port(repository.host, tls=registry.tls) == registry.host:
                return Repository.at(registry.host, repository.name)
        return repository

    def find(self, image: Repository) -> RenamedImage | None:
        """The same image at the pool's registry: a copy of it, or of the source that it was copied from."""
        paths: list[tuple[Repository, tuple[Route, ...]]] = [(image, ())]
        seen = {image}
        for repository, routes in paths:  # grows while it is walked: breadth first, so the shortest path wins
            if same_registry(repository.host, self.registry.host):
                return RenamedImage(repository=Repository(self.registry.host, repository.name), routes=routes)
            for neighbour, path in self._neighbours(repository, routes):
                if neighbour not in seen:
                    seen.add(neighbour)
                    paths.append((neighbour, path))
        return None

    def _neighbours(
        self, repository: Repository, routes: tuple[Route, ...]
    ) -> Iterator[tuple[Repository, tuple[Route, ...]]]:
        """The copies of a repository, then its sources. A path begins again at a source, with no routes."""
        yield from ((route.destination_repository, (*routes, route)) for route in self._routes.out_of(repository))
        yield from ((route.source_repository, ()) for route in self._routes.into(repository))

    def rows(self) -> list[NameRow]:
        """All names that the mirrors file gives, in alphabetical order."""
        rows = {row.image: row for row in (*self._listed_rows(), *self._namespace_rows())}
        return [rows[image] for image in sorted(rows)]

    def _listed_rows(self) -> Iterator[NameRow]:
        for route in (entry.route for entry in self._routes.listed):
            for repository in (route.source_repository, route.destination_repository):
                renamed = self.find(repository)
                if renamed and repository.host != self.registry.host:
                    yield NameRow(image=str(repository), becomes=str(renamed.repository), mirrors=_mirrors(renamed))

    def _namespace_rows(self) -> Iterator[NameRow]:
        for routes in self._routes.namespaces:
            for pattern in routes.included():
                example, glob = _example(routes, pattern), pattern.pattern.text
                for host in {routes.source.host, routes.destination.host} - {self.registry.host}:
                    if example and (renamed := self.find(Repository(host, example))):
                        yield NameRow(
                            image=f"{host}/{routes.rule.namespace}/{glob}",
                            becomes=_with_glob(str(renamed.repository), routes.rule.namespace, example, glob),
                            mirrors=_mirrors(renamed),
                            excluded=tuple(map(str, routes.rule.exclude or ())),
                            namespace=routes.rule.namespace,
                        )


def _mirrors(renamed: RenamedImage) -> tuple[str, ...]:
    return tuple(route.mirror for route in renamed.routes)


def _with_glob(becomes: str, namespace: str, example: str, glob: str) -> str:
    """The new name of ``example``, generalized to all names of ``glob``."""
    before, _, after = becomes.rpartition(example.removeprefix(f"{namespace}/"))
    return f"{before}{glob}{after}"


def _example(routes: NamespaceRoutes, pattern: NamePattern) -> str:
    """A name that a glob and its rule choose; empty when none is found. Expressions cannot be part of a name."""
    names = () if pattern.pattern.is_expression else routes.examples_of(pattern)
    return next(filter(routes.route, names), "")
