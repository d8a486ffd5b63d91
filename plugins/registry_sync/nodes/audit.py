"""Look over the pools of a mirrors file: where each bootstrap image comes from, and what that costs in an outage.

What must not be at all, such as a mirror that others can push to, is refused when the file is read: pool_checks.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry_sync.config.model import MirrorsFile, Registry
from registry_sync.config.node_pools import NodePool
from registry_sync.oci.reference import Repository
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """One place where machines look for a bootstrap image, and the routes that bring it there.

    ``is_home``: no route has to, since routes read it from there.
    """

    image: Repository
    endpoint: Registry
    repository: Repository
    routes: tuple[Route, ...]
    is_home: bool

    @property
    def is_there(self) -> bool:
        return bool(self.routes) or self.is_home


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAudit:
    """What there is to say about a pool: ``problems`` to mend, and ``notes`` to know."""

    pool: NodePool
    supplies: tuple[Supply, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def audit_pool(file: MirrorsFile, pool: NodePool) -> PoolAudit:
    """Follow each bootstrap image of ``pool`` to all places that it is pulled from."""
    routes = RouteMap.of(file)
    supplies = tuple(each for image in pool.images for each in _supplies(image.repository, file, pool, routes))
    return PoolAudit(
        pool=pool,
        supplies=supplies,
        problems=tuple(_problems(file, pool, supplies, routes)),
        notes=tuple(_notes(file, pool, supplies)),
    )


def _supplies(name: str, file: MirrorsFile, pool: NodePool, routes: RouteMap) -> list[Supply]:
    """In the order in which machines ask."""
    registry = file.registries[pool.registry]
    image = Repository.at(registry.host, name)
    return [_supply(image, file.registries[name], routes) for name, _ in pool.pull_order]


def _supply(image: Repository, endpoint: Registry, routes: RouteMap) -> Supply:
    repository = Repository(endpoint.host, image.name)
    coming = tuple(routes.into(repository))
    is_home = not coming and any(routes.out_of(repository))
    return Supply(image=image, endpoint=endpoint, repository=repository, routes=coming, is_home=is_home)


def _problems(file: MirrorsFile, pool: NodePool, supplies: tuple[Supply, ...], routes: RouteMap) -> list[str]:
    """The mirrors themselves have been checked at load; here it is what machines fall back to."""
    registry = file.registries[pool.registry]
    problems = []
    for last in (each for each in supplies if each.endpoint is registry):
        origins = {
            each.endpoint.name: _origins(each.repository, routes) for each in supplies if each.image == last.image
        }
        if not last.is_there:
            problems.append(
                f"no route brings {last.repository} to {registry.name!r}: machines that fall back to it do not find it "
                f"there, or find what somebody else pushed; mirror it there"
            )
        elif len(set(map(frozenset, origins.values()))) > 1:
            shown = ", ".join(f"at {name} from {' and '.join(sorted(map(str, o)))}" for name, o in origins.items())
            problems.append(
                f"{last.image} is not the same everywhere: {shown}; machines that fall back get another image"
            )
    return problems


def _origins(repository: Repository, routes: RouteMap) -> set[Repository]:
    """What ``repository`` is a copy of in the end; itself when it is none."""
    sources = {each.source_repository for each in routes.into(repository)}
    return {origin for each in sources for origin in _origins(each, routes)} if sources else {repository}


def _notes(file: MirrorsFile, pool: NodePool, supplies: tuple[Supply, ...]) -> list[str]:
    registry = file.registries[pool.registry]
    notes = []
    if not pool.images:
        notes.append("it has no bootstrap_images, so nothing shows whether its machines would start")
    if not pool.pool_mirrors:
        notes.append(f"all comes from {registry.host}: while that is down, no machine pulls anything")
    untrusted = [each.registry for each in pool.pool_mirrors if each.trust == "pull"]
    if untrusted and len(untrusted) == len(pool.pool_mirrors):
        notes.append(f"its mirrors are trusted with bytes only: while {registry.host} is down, no tag can be pulled")
    by_hand = {route.mirror for each in supplies for route in each.routes if not file.mirrors[route.mirror].schedule}
    notes += [
        f"mirror {each!r} has no schedule: what it brings is as old as its last run by hand" for each in sorted(by_hand)
    ]
    return notes
