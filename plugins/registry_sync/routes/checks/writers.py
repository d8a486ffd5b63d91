"""Repositories that two rules write, or that one prunes and another writes."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place, show_place
from registry_sync.registry.same_registry import repository_key, same_repository
from registry_sync.routes.checks.checked_file import CheckedFile, mirror_place
from registry_sync.routes.checks.near_names import NearNames
from registry_sync.routes.graph import PlacedRoute, RouteMap
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.routes.route import Route
from registry_sync.routes.sharing import sharing_problem


def check_writers(checked: CheckedFile) -> Iterator[Problem]:
    """Repositories that two rules write."""
    for writers in checked.routes.by_destination.values():
        for index, entry in enumerate(writers):
            earlier = (writer for writer in writers[:index] if writer.place != entry.place)
            if problem := next(filter(None, (_conflict(writer, entry.route) for writer in earlier)), ""):
                yield Problem(entry.place, problem)


def _conflict(first: PlacedRoute, route: Route) -> str:
    """The reason that ``route`` must not write the repository of ``first``; empty when it may."""
    place, other = show_place(first.place), first.route
    if not same_repository(other.source_repository, route.source_repository):
        remedy = sharing_problem(other, route)
        source = f"{other.source_repository} ({place})"
        problem = f"{source} is also mirrored to {route.destination_repository} and would overwrite it; {remedy}"
        return problem if remedy else ""
    if other.mirror == route.mirror:
        return (
            f"{route.source_repository} is listed twice, first as {place}; keep one, whose tags: may be a list of rules"
        )
    has_same_tags = other.settings.tags == route.settings.tags
    if has_same_tags and set(other.settings.platforms) != set(route.settings.platforms):
        both = f"{place} copies the same tags to {route.destination_repository} with other platforms"
        return f"{both}, and each would overwrite the other's images; rename one, or select other tags"
    return ""


def check_namespaces_onto_themselves(checked: CheckedFile) -> Iterator[Problem]:
    """Namespaces that would be mirrored to themselves."""
    for namespace in checked.routes.namespaces:
        if namespace.maps_onto_itself():
            problem = f"namespace {namespace.rule.namespace!r} would be mirrored to itself; choose another destination"
            yield Problem(mirror_place(namespace), problem)


def check_pruning(checked: CheckedFile) -> Iterator[Problem]:
    """Repositories that one rule prunes and another writes: it would delete the other's tags."""
    routes = checked.routes
    pruned = any(entry.route.settings.deletes_tags for entry in routes.listed)
    if not (pruned or any(namespace.rule.settings.deletes_tags for namespace in routes.namespaces)):
        return
    near = NearNames.of(routes)
    for number, entry in enumerate(routes.listed):
        if entry.route.settings.deletes_tags:
            others = _other_writers(number, routes, near)
            yield from _pruned_by_two(entry.place, str(entry.route.destination_repository), others)
    for number, namespace in enumerate(routes.namespaces):
        if namespace.rule.settings.deletes_tags:
            name = f"namespace {namespace.rule.namespace!r}"
            found = _other_writers_of_namespace(number, routes, near)
            problems = [*_pruned_by_two(mirror_place(namespace), name, found)]
            yield from problems or _perhaps_pruned_by_two(number, routes, near)


def _other_writers(number: int, routes: RouteMap, near: NearNames) -> Iterator[str]:
    place, route = routes.listed[number].place, routes.listed[number].route
    for other in routes.by_destination[repository_key(route.destination_repository)]:
        if other.place != place:
            yield show_place(other.place)
    for namespace in map(routes.namespaces.__getitem__, near.of_listed.get(number, ())):
        if namespace.mirror.name != route.mirror and namespace.may_write(route):
            yield show_namespace(namespace)


def _other_writers_of_namespace(number: int, routes: RouteMap, near: NearNames) -> Iterator[str]:
    namespace = routes.namespaces[number]
    for entry in map(routes.listed.__getitem__, near.listed.get(number, ())):
        if entry.route.mirror != namespace.mirror.name and namespace.may_write(entry.route):
            yield show_place(entry.place)
    for other in map(routes.namespaces.__getitem__, near.namespaces.get(number, ())):
        if namespace.meets(other):
            yield show_namespace(other)


def _perhaps_pruned_by_two(number: int, routes: RouteMap, near: NearNames) -> Iterator[Problem]:
    """A problem when the patterns of another mirror's namespace do not rule out that it writes a repository too."""
    namespace = routes.namespaces[number]
    others = map(routes.namespaces.__getitem__, near.namespaces.get(number, ()))
    if other := next(filter(namespace.may_meet, others), None):
        problem = (
            f"namespace {namespace.rule.namespace!r} is pruned here, and {show_namespace(other)} may write the same "
            "repositories; separate them by globs, such as include: ['a-*'] here and exclude: ['a-*'] there, give it "
            "a destination of its own, or set prune: {tags: none} for it"
        )
        yield Problem(mirror_place(namespace), problem)


def show_namespace(namespace: NamespaceRoutes) -> str:
    """A namespace rule in words."""
    return f"namespace {namespace.rule.namespace!r} of mirrors.{namespace.mirror.name}"


def _pruned_by_two(place: Place, name: str, others: Iterator[str]) -> Iterator[Problem]:
    if other := next(others, None):
        advice = "give it a destination of its own, or set prune: {tags: none} for it"
        yield Problem(place, f"{name} is pruned here but also written by {other}; {advice}")
