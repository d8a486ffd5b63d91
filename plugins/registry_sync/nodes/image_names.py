"""Which name an image has at the registry that a pool of machines pulls from, derived from the mirrors' routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_sync.config.model import MirrorsFile
from registry_sync.config.node_pools import NodePool
from registry_sync.oci.reference import Repository
from registry_sync.routes.graph import NamespaceRoutes, RouteMap, why_not
from registry_sync.routes.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The repository of the pool's registry that holds an image, and the routes that bring it there."""

    repository: Repository
    routes: tuple[Route, ...] = ()

    def why_not(self, tag: str) -> str:
        """Why ``tag`` does not come along; empty when it does."""
        reasons = ((each.mirror, why_not(each, tag)) for each in self.routes)
        return next((f"{mirror!r} leaves the tag {tag!r} out: {why}" for mirror, why in reasons if why), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """A line of the map: a name, or with ``*`` all names of a namespace but those of ``excluded``."""

    image: str
    becomes: str
    mirrors: tuple[str, ...]
    excluded: tuple[str, ...] = ()


class NameMap:
    """From the names that images are known by, at whatever registry, to those at the registry of a pool."""

    def __init__(self, file: MirrorsFile, pool: NodePool) -> None:
        self.registry = file.registries[pool.registry]
        self._routes = RouteMap.of(file)

    def find(self, image: Repository) -> Found | None:
        """The same image at the pool's registry: a copy of it, or a copy of what it is a copy of itself."""
        ways: list[tuple[Repository, tuple[Route, ...]]] = [(image, ())]
        seen = {image}
        for here, routes in ways:  # grows while it is walked, so the shortest way is found first
            if here.host == self.registry.host:
                return Found(repository=here, routes=routes)
            for there, way in self._next(here, routes):
                if there not in seen:
                    seen.add(there)
                    ways.append((there, way))
        return None

    def _next(self, here: Repository, routes: tuple[Route, ...]) -> Iterator[tuple[Repository, tuple[Route, ...]]]:
        """Copies first. Back at the source, what was copied from there does not matter."""
        yield from ((each.destination_repository, (*routes, each)) for each in self._routes.out_of(here))
        yield from ((each.source_repository, ()) for each in self._routes.into(here))

    def rows(self) -> list[NameRow]:
        """All names that are known, in their order."""
        rows = {each.image: each for each in (*self._listed_rows(), *self._namespace_rows())}
        return [rows[image] for image in sorted(rows)]

    def _listed_rows(self) -> Iterator[NameRow]:
        for route in (entry.route for entry in self._routes.listed):
            for repository in (route.source_repository, route.destination_repository):
                found = self.find(repository)
                if found and repository.host != self.registry.host:
                    yield NameRow(image=str(repository), becomes=str(found.repository), mirrors=_mirrors(found))

    def _namespace_rows(self) -> Iterator[NameRow]:
        for each in self._routes.namespaces:
            for glob in [str(pattern) for pattern in each.rule.include or ("*",)]:
                example = _example(each, glob)
                for host in {each.source.host, each.destination.host} - {self.registry.host}:
                    if example and (found := self.find(Repository(host, example))):
                        yield NameRow(
                            image=f"{host}/{each.rule.namespace}/{glob}",
                            becomes=_with_glob(str(found.repository), each.rule.namespace, example, glob),
                            mirrors=_mirrors(found),
                            excluded=tuple(map(str, each.rule.exclude or ())),
                        )


def _mirrors(found: Found) -> tuple[str, ...]:
    return tuple(each.mirror for each in found.routes)


def _with_glob(becomes: str, namespace: str, example: str, glob: str) -> str:
    """What ``example`` has become, for all names of ``glob``."""
    before, _, after = becomes.rpartition(example.removeprefix(f"{namespace}/"))
    return f"{before}{glob}{after}"


def _example(routes: NamespaceRoutes, glob: str) -> str:
    """A name that ``glob`` and its rule choose; empty when there seems to be none."""
    fillings = ("any", "example", "0")
    names = (f"{routes.rule.namespace}/{glob.replace('*', each).replace('?', each[0])}" for each in fillings)
    return next((name for name in names if routes.route(name)), "")
