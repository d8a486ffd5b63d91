"""Cycles of mirrors: paths that lead back to their start, and namespaces that would find their own copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_sync.config.reading.yaml_source import Place
from registry_sync.oci.reference import Repository
from registry_sync.registry.same_registry import registry_key, repository_key, same_registry, storage_key
from registry_sync.routes.graph import PlacedRoute, RouteMap
from registry_sync.routes.namespace_routes import Forms, NamespaceRoutes
from registry_sync.tags.name_forms import NamePattern, form_text, forms_meet, forms_of, literal_form, literal_texts


def find_cycle(start: Repository, routes: RouteMap) -> tuple[Repository, ...]:
    """The repositories on a path from ``start`` back to itself; empty when there is none.

    Also finds namespaces that would re-read their own copies under ever longer names: a path that uses one namespace
    rule twice, although it never returns to ``start``.
    """
    paths: list[tuple[tuple[Repository, ...], frozenset[Place]]] = [((start,), frozenset())]
    seen = {repository_key(start)}
    while paths:
        path, places = paths.pop()
        for entry in routes.possible_routes(path[-1]):
            following = entry.route.destination_repository
            key = repository_key(following)
            is_back = key == repository_key(start) != repository_key(path[-1])
            if is_back or entry.place in places:
                return (*path, following)
            if key not in seen:
                seen.add(key)
                paths.append(((*path, following), places | {entry.place}))
    return ()


def hosts_before_cycles(routes: RouteMap) -> frozenset[str]:
    """The hosts, as :func:`storage_key`, from which rules lead into a cycle of hosts. Others are on no cycle."""
    pairs = {(entry.route.source.host, entry.route.destination.host) for entry in routes.listed}
    pairs |= {(namespace.source.host, namespace.destination.host) for namespace in routes.namespaces}
    steps = {(storage_key(source), storage_key(destination)) for source, destination in pairs}
    while True:
        hosts = frozenset(host for host, _ in steps)
        kept = {(host, following) for host, following in steps if following in hosts}
        if kept == steps:
            return hosts
        steps = kept


@dataclass(frozen=True, slots=True)
class Repositories:
    """All repositories whose names have all of the forms. ``host`` is the :func:`registry_key` of their registry."""

    host: str
    forms: Forms

    def __str__(self) -> str:
        return f"{self.host}/{form_text(self.forms[0])}"


def find_possible_cycle(namespace: NamespaceRoutes, pattern: NamePattern, routes: RouteMap) -> tuple[Repositories, ...]:
    """A path of the repositories that a rule may find by ``pattern``, on which a rule may be used twice.

    Empty when the forms of their names rule such a path out.
    """
    for form in pattern.forms():
        start = Repositories(registry_key(namespace.source.host), (form,))
        for first in _copies(namespace, start):
            if path := _find_second_use((start, first), namespace.place, routes):
                return path
    return ()


def _find_second_use(begin: tuple[Repositories, ...], place: Place, routes: RouteMap) -> tuple[Repositories, ...]:
    paths = [(begin, frozenset({place}))]
    seen = set[tuple[Place, Repositories]]()
    while paths:
        path, places = paths.pop()
        for next_place, following in _possible_copies(path[-1], routes):
            if next_place in places:
                return (*path, following)
            if (next_place, following) not in seen:
                seen.add((next_place, following))
                paths.append(((*path, following), places | {next_place}))
    return ()


def _possible_copies(repositories: Repositories, routes: RouteMap) -> Iterator[tuple[Place, Repositories]]:
    """The copies that rules may make of some of ``repositories``."""
    for entry in routes.listed:
        if same_registry(entry.route.source.host, repositories.host) and _may_read(entry, repositories.forms):
            copy = entry.route.destination_repository
            yield entry.place, Repositories(registry_key(copy.host), (literal_form(copy.name),))
    for namespace in routes.namespaces:
        if same_registry(namespace.source.host, repositories.host):
            yield from ((namespace.place, copies) for copies in _copies(namespace, repositories))


def _may_read(entry: PlacedRoute, forms: Forms) -> bool:
    name = literal_form(entry.route.source_repository.name)
    return all(forms_meet(form, name) for form in forms)


def _copies(namespace: NamespaceRoutes, repositories: Repositories) -> Iterator[Repositories]:
    """The copies that a rule may make, without those onto themselves, which are another problem."""
    copied = namespace.copied_forms(repositories.forms)
    copies = (Repositories(registry_key(namespace.destination.host), forms) for forms in copied)
    return (copy for copy in copies if copy != repositories)


def find_cycle_by_texts(namespace: NamespaceRoutes, pattern: NamePattern, routes: RouteMap) -> tuple[Repository, ...]:
    """A cycle that begins at a name that ``pattern`` matches, with a text of the other patterns for its wildcards."""
    forms = (form for other in routes.namespaces for one in other.included() for form in forms_of(one.pattern))
    texts = tuple(dict.fromkeys(text for form in forms for text in literal_texts(form)))
    starts = (Repository(namespace.source.host, name) for name in namespace.examples_with(pattern, texts))
    return next(filter(None, (find_cycle(start, routes) for start in starts)), ())
