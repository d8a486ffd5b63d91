"""Audit the pools of a mirrors file: where each bootstrap image comes from, and how that works in an outage.

Loading the file already refuses wrong configurations, such as a mirror that others can push to:
``routes/checks/node_pools.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_sync.config.document import MirrorsFile
from registry_sync.config.node_pools import BootstrapImage, NodePool
from registry_sync.config.registry import Registry
from registry_sync.oci.reference import Repository
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """A registry that machines pull a bootstrap image from, and the routes that copy it there.

    ``tags``: the tags that machines need, if they are known. ``is_source``: routes read the image from there, and none
    has to copy it.
    """

    image: Repository
    tags: tuple[str, ...]
    endpoint: Registry
    repository: Repository
    routes: tuple[Route, ...]
    is_source: bool

    @property
    def is_fed(self) -> bool:
        """True when the image gets there: routes copy it, or it is pushed."""
        return bool(self.routes) or self.is_source


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAudit:
    """The findings about a pool: ``problems`` have to be fixed, ``notes`` are for information."""

    pool: NodePool
    supplies: tuple[Supply, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def audit_pool(file: MirrorsFile, pool: NodePool) -> PoolAudit:
    """Follow each bootstrap image of ``pool`` to all registries that it is pulled from."""
    routes = RouteMap.of(file)
    supplies = tuple(supply for image in pool.images for supply in _supplies(image, file, pool, routes))
    return PoolAudit(
        pool=pool,
        supplies=supplies,
        problems=tuple(_problems(file, pool, supplies, routes)),
        notes=tuple(_notes(file, pool, supplies)),
    )


def _supplies(bootstrap: BootstrapImage, file: MirrorsFile, pool: NodePool, routes: RouteMap) -> list[Supply]:
    """The registries that supply one image, in the order in which machines try them."""
    registry, rules = file.registries[pool.registry], bootstrap.tags
    image = Repository.at(registry.host, bootstrap.repository)
    tags = rules.by_name if rules and rules.is_all_by_name else ()
    return [_supply(image, tags, file.registries[endpoint], routes) for endpoint, _ in pool.pull_order]


def _supply(image: Repository, tags: tuple[str, ...], endpoint: Registry, routes: RouteMap) -> Supply:
    repository = Repository(endpoint.host, image.name)
    writers = tuple(routes.into(repository, tags))
    is_source = not writers and any(routes.out_of(repository))
    return Supply(image=image, tags=tags, endpoint=endpoint, repository=repository, routes=writers, is_source=is_source)


def _problems(file: MirrorsFile, pool: NodePool, supplies: tuple[Supply, ...], routes: RouteMap) -> Iterator[str]:
    """Problems of the pool's own registry, the fallback; and of images that a list names, at its mirrors.

    Images that the file itself names were checked at the mirrors when it was loaded.
    """
    registry = file.registries[pool.registry]
    for image in pool.unplaced:
        if image.tag:
            yield f"{image}: nothing brings it to {registry.name!r} ({registry.host}); mirror it there"
        else:
            yield (
                f"{image}: a digest without a tag cannot be mirrored or checked; name it as NAME:TAG@{image.digest}, "
                "with any TAG of your own"
            )
    listed = {Repository.at(registry.host, image.repository) for image in pool.images if image.is_named}
    for supply in supplies:
        if supply.image in listed and supply.endpoint is not registry and not supply.is_fed:
            yield (
                f"no route copies {supply.image} to {supply.endpoint.name!r}: machines find it only at the registries "
                "after it; mirror it there"
            )
    for fallback in (supply for supply in supplies if supply.endpoint is registry):
        if not fallback.is_fed:
            yield (
                f"no route copies {fallback.repository} to {registry.name!r}: machines that fall back to it find no "
                "image, or one that somebody else pushed; mirror it there"
            )
            continue
        origins = {
            supply.endpoint.name: _origins(supply.repository, supply.tags, routes)
            for supply in supplies
            if supply.image == fallback.image
        }
        if len(set(map(frozenset, origins.values()))) > 1:
            sources = ", ".join(
                f"at {name} from {' and '.join(sorted(map(str, repositories))) or 'a cycle of mirrors'}"
                for name, repositories in origins.items()
            )
            yield (
                f"{fallback.image} has several sources: {sources}; machines that fall back get another image; mirror "
                "it from one source"
            )


def _origins(repository: Repository, tags: tuple[str, ...], routes: RouteMap) -> set[Repository]:
    """The repositories that ``repository`` is copied from in the end; itself when no route writes it."""
    origins, seen, todo = set[Repository](), {repository}, [repository]
    while todo:
        copy = todo.pop()
        sources = {route.source_repository for route in routes.into(copy, tags)}
        if not sources:
            origins.add(copy)
        todo += sources - seen
        seen |= sources
    return origins


def _notes(file: MirrorsFile, pool: NodePool, supplies: tuple[Supply, ...]) -> Iterator[str]:
    host = file.registries[pool.registry].host
    if not pool.images:
        yield "no bootstrap_images: nodes check cannot show if its machines would start; list the images they need"
    if not pool.pool_mirrors:
        yield f"no mirrors: while {host} is down, its machines cannot pull anything"
    elif all(mirror.trust == "pull" for mirror in pool.pool_mirrors):
        yield f"no mirror is trusted with tags (trust: pull+resolve): while {host} is down, no tag can be pulled"
    mirrors = {route.mirror for supply in supplies for route in supply.routes}
    for mirror in sorted(mirrors):
        if not file.mirrors[mirror].schedule:
            yield f"mirror {mirror!r} has no schedule: its copies are as old as its last manual run"
