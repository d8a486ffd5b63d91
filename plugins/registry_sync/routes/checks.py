"""Problems of a mirrors file that no entry shows by itself: unknown names, and routes that disturb each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice

from registry_sync.config.document import MirrorsFile
from registry_sync.config.explain_errors import Problem
from registry_sync.config.fields import NO_PROXY
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.yaml_source import Place, show_place
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import LISTS_PUSH_TIMES, other_registry
from registry_sync.routes.cycles import find_cycle, find_cycle_by_texts, find_possible_cycle, hosts_before_cycles
from registry_sync.routes.graph import (
    NamespaceRoutes,
    PlacedRoute,
    RouteMap,
    rule_place,
    uses_known_registries,
)
from registry_sync.routes.route import Route, name_problem, settings_at
from registry_sync.routes.sharing import sharing_problem
from registry_sync.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A mirrors file with its graph.

    ``registry_names``: all registries that are written in it, also those with a problem of their own.
    ``line``: gives a place as text, such as ``line 3``.
    """

    file: MirrorsFile
    routes: RouteMap
    registry_names: Collection[str]
    line: Callable[[Place], str]

    def usable_mirrors(self) -> Iterator[Mirror]:
        """The mirrors whose registries exist."""
        registries = self.file.registries
        return (mirror for mirror in self.file.mirrors.values() if uses_known_registries(mirror, registries))


def check_mirrors(checked: CheckedFile) -> list[Problem]:
    """The problems of all mirrors, by every check of :data:`CHECKS`."""
    return list(chain.from_iterable(check(checked) for check in CHECKS))


def _check_registry_names(checked: CheckedFile) -> Iterator[Problem]:
    for mirror in checked.file.mirrors.values():
        places = [(option_place(mirror, "source"), mirror.source)]
        places += [
            ((*option_place(mirror, "destinations"), index), name) for index, name in enumerate(mirror.destinations)
        ]
        yield from unknown_registries(places, checked.registry_names)


def option_place(mirror: Mirror, option: str) -> Place:
    """The place where an option of mirrors is written: at the mirror or in ``defaults``."""
    return ("defaults", option) if mirror.inherits(option) else ("mirrors", mirror.name, option)


def unknown_registries(places: Iterable[tuple[Place, str]], names: Collection[str]) -> Iterator[Problem]:
    """A problem for each place that names a registry outside ``names``."""
    for place, name in places:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"the file has {', '.join(names) or 'none'}"
            yield Problem(place, f"no registry named {name!r}; {advice}")


def _check_destinations_differ(checked: CheckedFile) -> Iterator[Problem]:
    for mirror in checked.file.mirrors.values():
        for index, name in enumerate(mirror.destinations):
            place = (*option_place(mirror, "destinations"), index)
            earlier = mirror.destinations[:index]
            if name in earlier:
                yield Problem(place, f"{name!r} is listed twice; keep one")
            elif other := _same_host(name, earlier, checked.file.registries):
                host = checked.file.registries[name].host
                yield Problem(place, f"{other!r} and {name!r} are the same registry, {host}; keep one")


def _same_host(name: str, others: Iterable[str], registries: Mapping[str, Registry]) -> str | None:
    """The first of ``others`` that is another name of the registry ``name``."""
    valid = (other for other in others if {name, other} <= registries.keys())
    return next((other for other in valid if registries[other].host == registries[name].host), None)


def _check_default_destinations(checked: CheckedFile) -> Iterator[Problem]:
    """Destinations of ``defaults`` that are the source of a mirror."""
    for mirror in checked.usable_mirrors():
        if mirror.inherits("destinations") and (
            name := _same_host(mirror.source, mirror.destinations, checked.file.registries)
        ):
            line = checked.line(("defaults", "destinations", mirror.destinations.index(name)))
            problem = f"the source is also a destination in defaults: ({line}); write destinations: here"
            yield Problem(("mirrors", mirror.name), f"{mirror.source!r}: {problem}")


def _check_catchup(checked: CheckedFile) -> Iterator[Problem]:
    for mirror in checked.file.mirrors.values():
        if mirror.catchup and not (mirror.schedule and mirror.start_date):
            here = "; write catchup: false here" if mirror.inherits("catchup") else ""
            problem = f"catchup needs a schedule and a start_date, from which to catch up{here}"
            yield Problem(("mirrors", mirror.name), problem)


def _check_deep_check(checked: CheckedFile) -> Iterator[Problem]:
    """Only scheduled runs do deep checks. A mirror without a schedule may inherit one from ``defaults``."""
    for mirror in checked.file.mirrors.values():
        if mirror.deep_check.schedule and not mirror.schedule and not mirror.inherits("deep_check"):
            problem = "deep_check needs a schedule, because only scheduled runs do it; write one, or remove it"
            yield Problem(("mirrors", mirror.name), problem)


_RESERVED = {
    "readiness": "this name is reserved: the DAG mirror_readiness checks whether nodes can start; choose another name",
    "watch": "this name is reserved: the DAG mirror_watch notices runs that do not come; choose another name",
}
"""Names that a mirror cannot have because their DAG exists, each with the message."""


_RESERVED_END = "_pushes"


def _check_reserved_names(checked: CheckedFile) -> Iterator[Problem]:
    for name in checked.file.mirrors:
        if name in _RESERVED:
            yield Problem(("mirrors", name), _RESERVED[name])
        if name.endswith(_RESERVED_END):
            other = name.removesuffix(_RESERVED_END) or "NAME"
            problem = f"the DAG mirror_{name} is for pushes to the source of a mirror {other}"
            yield Problem(("mirrors", name), f"names that end with {_RESERVED_END} are reserved: {problem}; rename it")


def _check_repository_names(checked: CheckedFile) -> Iterator[Problem]:
    yield from checked.routes.unnamed
    for entry in checked.routes.listed:
        if problem := _prefix_problem(entry.route) or name_problem(entry.route):
            yield Problem(entry.place, problem)


def _prefix_problem(route: Route) -> str:
    """A problem when a name includes its registry; else empty."""
    name, host = route.source_repository.name, route.source_repository.host
    if name.startswith(f"{host}/"):
        return f"{name!r} includes the registry, which source: already names; write {name.removeprefix(f'{host}/')!r}"
    if other := other_registry(route.source.api_kind, name):
        advice = f"mirror it from a source with host: {other}, or remove {f'{other}/'!r}"
        return f"{name!r} begins with the name of a registry, and the source is {host}; {advice}"
    name, host = route.destination_repository.name, route.destination_repository.host
    if name.startswith(f"{host}/"):
        return (
            f"its name at the destination, {name!r}, includes the registry, which destinations: already names; "
            f"remove {f'{host}/'!r} from prefix or rename"
        )
    return ""


def _check_namespace_names(checked: CheckedFile) -> Iterator[Problem]:
    for namespace in checked.routes.namespaces:
        try:
            if problem := _prefix_problem(namespace.make_route(f"{namespace.rule.namespace}/any")):
                yield Problem(namespace.place, problem)
                continue
            first, second = (_name_at_destination(namespace, name) for name in ("any", "other"))
        except ConfigurationError as error:
            yield Problem(namespace.place, str(error))
            continue
        if first == second:
            advice = f"use a template such as rename: {first.name}/{{{{ name }}}}"
            problem = f"all repositories of the namespace would be mirrored to {first}; {advice}"
            yield Problem(namespace.place, problem)


def _name_at_destination(namespace: NamespaceRoutes, name: str) -> Repository:
    return namespace.make_route(f"{namespace.rule.namespace}/{name}").destination_repository


def _check_push_times(checked: CheckedFile) -> Iterator[Problem]:
    """Rules that need push times, of sources that do not report them."""
    for mirror in checked.usable_mirrors():
        source = checked.file.registries[mirror.source]
        if source.api_kind not in LISTS_PUSH_TIMES:
            yield from _rules_by_push_time(mirror, source)


def _rules_by_push_time(mirror: Mirror, source: Registry) -> Iterator[Problem]:
    for index, rule in enumerate(mirror.rules):
        place = rule_place(mirror, index) if "tags" in rule.written_options else ("mirrors", mirror.name)
        for key in rule.settings.tags.push_time_keys:
            advice = "use newest_by: semver or newest_by: name" if key == "newest" else "remove it"
            problem = f"{key} needs push times, which a source of kind {source.api_kind!r} does not report; {advice}"
            yield Problem((*place, "tags"), problem)


def _check_writers(checked: CheckedFile) -> Iterator[Problem]:
    """Repositories that two rules write."""
    for writers in checked.routes.by_destination.values():
        for index, entry in enumerate(writers):
            earlier = (writer for writer in writers[:index] if writer.place != entry.place)
            if problem := next(filter(None, (_conflict(writer, entry.route) for writer in earlier)), ""):
                yield Problem(entry.place, problem)


def _conflict(first: PlacedRoute, route: Route) -> str:
    """The reason that ``route`` must not write the repository of ``first``; empty when it may."""
    place, other = show_place(first.place), first.route
    if other.source_repository != route.source_repository:
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


def _check_cycles(checked: CheckedFile) -> Iterator[Problem]:
    """Mirrors that lead back to where they started, and would overwrite what was just pushed there."""
    hosts = hosts_before_cycles(checked.routes)
    listed = [entry for entry in checked.routes.listed if entry.route.source.host in hosts]
    namespaces = [namespace for namespace in checked.routes.namespaces if namespace.source.host in hosts]
    cycles = _distinct(_cycles_of_examples(listed, namespaces, checked.routes))
    cycles += _distinct(_cycles_by_texts(namespaces, checked.routes, [path for _, path in cycles]))
    for place, path in cycles:
        shown = " → ".join(map(str, path))
        yield Problem(place, f"these mirrors form a cycle: {shown}; remove one of them")
    reported = {place[:2] for place, _ in cycles}
    for namespace in namespaces:
        if _mirror_place(namespace) not in reported:
            yield from islice(_possible_cycles(namespace, checked.routes), 1)


_Path = tuple[Repository, ...]


def _distinct(cycles: Iterable[tuple[Place, _Path]]) -> list[tuple[Place, _Path]]:
    """The cycles that share no repository with an earlier one."""
    seen: set[Repository] = set()
    distinct: list[tuple[Place, _Path]] = []
    for place, path in cycles:
        if seen.isdisjoint(path):
            distinct.append((place, path))
            seen.update(path)
    return distinct


def _cycles_of_examples(
    listed: Iterable[PlacedRoute], namespaces: Iterable[NamespaceRoutes], routes: RouteMap
) -> Iterator[tuple[Place, _Path]]:
    """The first cycle of each listed route and each namespace."""
    starts = [(entry.place, [entry.route.source_repository]) for entry in listed]
    starts += [(_mirror_place(namespace), _example_starts(namespace)) for namespace in namespaces]
    for place, repositories in starts:
        if path := next(filter(None, (find_cycle(start, routes) for start in repositories)), ()):
            yield place, path


def _cycles_by_texts(
    namespaces: Iterable[NamespaceRoutes], routes: RouteMap, reported: list[_Path]
) -> Iterator[tuple[Place, _Path]]:
    """Cycles of names that only the patterns of several mirrors together show, in other places than ``reported``."""
    for namespace in namespaces:
        for pattern in namespace.included():
            hosts = {repositories.host for repositories in find_possible_cycle(namespace, pattern, routes)}
            is_new = hosts and not any(hosts <= _hosts(path) and _reads(namespace, path) for path in reported)
            if is_new and (path := find_cycle_by_texts(namespace, pattern, routes)):
                yield _mirror_place(namespace), path


def _hosts(path: _Path) -> set[str]:
    return {repository.host for repository in path}


def _reads(namespace: NamespaceRoutes, path: _Path) -> bool:
    host = namespace.source.host
    return any(repository.host == host and namespace.route_by_rule(repository.name) for repository in path)


def _possible_cycles(namespace: NamespaceRoutes, routes: RouteMap) -> Iterator[Problem]:
    """A problem for each pattern without an example name, unless its text rules a cycle out."""
    for pattern in namespace.included():
        if not namespace.examples_of(pattern) and (path := find_possible_cycle(namespace, pattern, routes)):
            shown = " → ".join(map(str, path))
            problem = (
                f"these mirrors may form a cycle for names that match {quoted(pattern.pattern.text)}: {shown}; write "
                "globs instead, or exclude the copies' names from one of them with a glob"
            )
            yield Problem(_mirror_place(namespace), problem)


def _mirror_place(namespace: NamespaceRoutes) -> Place:
    return ("mirrors", namespace.mirror.name)


def _example_starts(namespace: NamespaceRoutes) -> list[Repository]:
    return [Repository(namespace.source.host, name) for name in namespace.examples()]


def _check_namespaces_onto_themselves(checked: CheckedFile) -> Iterator[Problem]:
    for namespace in checked.routes.namespaces:
        if namespace.maps_onto_itself():
            problem = f"namespace {namespace.rule.namespace!r} would be mirrored to itself; choose another destination"
            yield Problem(_mirror_place(namespace), problem)


def _check_pruning(checked: CheckedFile) -> Iterator[Problem]:
    """Repositories that one rule prunes and another writes: it would delete the other's tags."""
    for entry in checked.routes.listed:
        if entry.route.settings.deletes_tags:
            others = _other_writers(entry, checked.routes)
            yield from _pruned_by_two(entry.place, str(entry.route.destination_repository), others)
    for namespace in checked.routes.namespaces:
        if namespace.rule.settings.deletes_tags:
            name = f"namespace {namespace.rule.namespace!r}"
            others = _other_writers_of_namespace(namespace, checked.routes)
            problems = [*_pruned_by_two(_mirror_place(namespace), name, others)]
            yield from problems or _perhaps_pruned_by_two(namespace, checked.routes)


def _other_writers(entry: PlacedRoute, routes: RouteMap) -> Iterator[str]:
    route = entry.route
    for other in routes.by_destination[route.destination_repository]:
        if other.place != entry.place:
            yield show_place(other.place)
    for namespace in routes.namespaces:
        if namespace.mirror.name != route.mirror and namespace.may_write(route):
            yield _show_namespace(namespace)


def _other_writers_of_namespace(namespace: NamespaceRoutes, routes: RouteMap) -> Iterator[str]:
    name = namespace.mirror.name
    for entry in routes.listed:
        if entry.route.mirror != name and namespace.may_write(entry.route):
            yield show_place(entry.place)
    for other in routes.namespaces:
        if other.mirror.name != name and namespace.meets(other):
            yield _show_namespace(other)


def _perhaps_pruned_by_two(namespace: NamespaceRoutes, routes: RouteMap) -> Iterator[Problem]:
    """A problem when the patterns of another mirror's namespace do not rule out that it writes a repository too."""
    mirrors = (other for other in routes.namespaces if other.mirror.name != namespace.mirror.name)
    if other := next(filter(namespace.may_meet, mirrors), None):
        problem = (
            f"namespace {namespace.rule.namespace!r} is pruned here, and {_show_namespace(other)} may write the same "
            "repositories; separate them by globs, such as include: ['a-*'] here and exclude: ['a-*'] there, give it "
            "a destination of its own, or set prune: {tags: none} for it"
        )
        yield Problem(_mirror_place(namespace), problem)


def _show_namespace(namespace: NamespaceRoutes) -> str:
    return f"namespace {namespace.rule.namespace!r} of mirrors.{namespace.mirror.name}"


def _pruned_by_two(place: Place, name: str, others: Iterator[str]) -> Iterator[Problem]:
    if other := next(others, None):
        advice = "give it a destination of its own, or set prune: {tags: none} for it"
        yield Problem(place, f"{name} is pruned here but also written by {other}; {advice}")


def _check_signature_lookup(checked: CheckedFile) -> Iterator[Problem]:
    """``registries_d`` without ``policy``."""
    for mirror in checked.file.mirrors.values():
        for index, rule in enumerate(mirror.rules):
            settings = rule.settings
            if settings.registries_d and not settings.policy:
                is_at_rule = bool(rule.written_options & {"policy", "registries_d"})
                place = rule_place(mirror, index) if is_at_rule else ("mirrors", mirror.name)
                yield Problem(
                    place, "registries_d has no effect without policy; add policy:, or set registries_d: null"
                )


def _check_mover(checked: CheckedFile) -> Iterator[Problem]:
    """``transfer: direct`` with ``policy``."""
    registries = checked.file.registries
    for mirror in checked.file.mirrors.values():
        known = [name for name in mirror.destinations if name in registries]
        for index, rule in enumerate(mirror.rules):
            direct = [name for name in known if settings_at(rule, registries[name]).transfer == "direct"]
            if rule.settings.policy and direct:
                problem = (
                    f"policy cannot be used with transfer: direct (to {direct[0]!r}), because only skopeo checks "
                    "policies; write transfer: skopeo for this rule, or set policy: null"
                )
                yield Problem(rule_place(mirror, index), problem)


def _check_proxies(checked: CheckedFile) -> Iterator[Problem]:
    """A source and a destination whose written proxies one skopeo cannot use both: it has one environment."""
    registries = checked.file.registries
    for mirror in checked.usable_mirrors():
        source, known = registries[mirror.source], [registries[name] for name in mirror.destinations]
        for index, rule in enumerate(mirror.rules):
            copied = (to for to in known if settings_at(rule, to).needs_skopeo and _need_two_proxies(source, to))
            if destination := next(copied, None):
                problem = (
                    f"source {source.name!r} has proxy: {source.proxy} and destination {destination.name!r} proxy: "
                    f"{destination.proxy}, but one skopeo cannot use both; write transfer: direct, or the same proxy"
                )
                yield Problem(rule_place(mirror, index), problem)


def _need_two_proxies(source: Registry, destination: Registry) -> bool:
    if source.proxy is None or destination.proxy in (None, NO_PROXY):
        return False
    return (source.proxy, source.proxy_connection) != (destination.proxy, destination.proxy_connection)


CHECKS: tuple[Callable[[CheckedFile], Iterator[Problem]], ...] = (
    _check_registry_names,
    _check_destinations_differ,
    _check_default_destinations,
    _check_catchup,
    _check_deep_check,
    _check_reserved_names,
    _check_repository_names,
    _check_namespace_names,
    _check_push_times,
    _check_writers,
    _check_namespaces_onto_themselves,
    _check_cycles,
    _check_pruning,
    _check_signature_lookup,
    _check_mover,
    _check_proxies,
)
"""Every check of mirrors. Problems are shown by line, and in this order within a line."""
