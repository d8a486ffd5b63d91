"""Mirrors that lead back to where they started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place
from registry_sync.oci.reference import Repository
from registry_sync.registry.same_registry import name_at, registry_key, repository_key, storage_key
from registry_sync.routes.checks.checked_file import CheckedFile, mirror_place
from registry_sync.routes.checks.find_cycles import (
    find_cycle,
    find_cycle_by_texts,
    find_possible_cycle,
    hosts_before_cycles,
)
from registry_sync.routes.graph import PlacedRoute, RouteMap
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.text import quoted


def check_cycles(checked: CheckedFile) -> Iterator[Problem]:
    """Check for cycles of mirrors. A copy that comes back would overwrite a tag that was just pushed."""
    hosts = hosts_before_cycles(checked.routes)
    listed = [entry for entry in checked.routes.listed if storage_key(entry.route.source.host) in hosts]
    namespaces = [namespace for namespace in checked.routes.namespaces if storage_key(namespace.source.host) in hosts]
    cycles = _distinct(_cycles_of_examples(listed, namespaces, checked.routes))
    cycles += _distinct(_cycles_by_texts(namespaces, checked.routes, [path for _, path in cycles]))
    for place, path in cycles:
        shown = " → ".join(map(str, path))
        yield Problem(place, f"these mirrors form a cycle: {shown}; remove one of them")
    reported = {place[:2] for place, _ in cycles}
    for namespace in namespaces:
        if mirror_place(namespace) not in reported:
            yield from islice(_possible_cycles(namespace, checked.routes), 1)


_Path = tuple[Repository, ...]


def _distinct(cycles: Iterable[tuple[Place, _Path]]) -> list[tuple[Place, _Path]]:
    """The cycles that share no repository with an earlier one."""
    seen: set[Repository] = set()
    distinct: list[tuple[Place, _Path]] = []
    for place, path in cycles:
        keys = set(map(repository_key, path))
        if seen.isdisjoint(keys):
            distinct.append((place, path))
            seen.update(keys)
    return distinct


def _cycles_of_examples(
    listed: Iterable[PlacedRoute], namespaces: Iterable[NamespaceRoutes], routes: RouteMap
) -> Iterator[tuple[Place, _Path]]:
    """The first cycle of each listed route and each namespace."""
    starts = [(entry.place, [entry.route.source_repository]) for entry in listed]
    starts += [(mirror_place(namespace), _example_starts(namespace)) for namespace in namespaces]
    for place, repositories in starts:
        if path := next(filter(None, (find_cycle(start, routes) for start in repositories)), ()):
            yield place, path


def _cycles_by_texts(
    namespaces: Iterable[NamespaceRoutes], routes: RouteMap, reported: list[_Path]
) -> Iterator[tuple[Place, _Path]]:
    """Cycles that only show in the patterns of several mirrors together, at places that are not ``reported`` yet."""
    for namespace in namespaces:
        for pattern in namespace.included():
            hosts = {repositories.host for repositories in find_possible_cycle(namespace, pattern, routes)}
            is_new = hosts and not any(hosts <= _hosts(path) and _reads(namespace, path) for path in reported)
            if is_new and (path := find_cycle_by_texts(namespace, pattern, routes)):
                yield mirror_place(namespace), path


def _hosts(path: _Path) -> set[str]:
    return {registry_key(repository.host) for repository in path}


def _reads(namespace: NamespaceRoutes, path: _Path) -> bool:
    names = (name_at(repository, namespace.source.host) for repository in path)
    return any(name and namespace.route_by_rule(name) for name in names)


def _possible_cycles(namespace: NamespaceRoutes, routes: RouteMap) -> Iterator[Problem]:
    """A problem for each pattern without an example name, unless its text rules a cycle out."""
    for pattern in namespace.included():
        if not namespace.examples_of(pattern) and (path := find_possible_cycle(namespace, pattern, routes)):
            shown = " → ".join(map(str, path))
            problem = (
                f"these mirrors may form a cycle for names that match {quoted(pattern.pattern.text)}: {shown}; write "
                "globs instead, or exclude the copies' names from one of them with a glob"
            )
            yield Problem(mirror_place(namespace), problem)


def _example_starts(namespace: NamespaceRoutes) -> list[Repository]:
    return [Repository(namespace.source.host, name) for name in namespace.examples()]
