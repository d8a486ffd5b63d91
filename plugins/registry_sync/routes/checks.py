"""Problems of a mirrors file that no entry shows by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any

from registry_sync.config.explain_errors import (
    Problem,
)
from registry_sync.config.model import (
    Mirror,
    MirrorsFile,
    NamespaceRule,
    Registry,
    RepositoryRule,
)
from registry_sync.config.yaml_source import Document, Place, show_place
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import LISTS_PUSH_TIMES
from registry_sync.routes.check_node_pools import check_pools
from registry_sync.routes.route import Route, name_problem, route_of
from registry_sync.tags.patterns import Pattern, may_overlap, parse_pattern


def uses_known_registries(mirror: Mirror, registries: Mapping[str, Registry]) -> bool:
    """Whether the file has every registry that a mirror names."""
    return all(each in registries for each in (mirror.source, *mirror.destinations))


def check_mirrors(file: MirrorsFile, document: Document) -> list[Problem]:
    """What no entry shows by itself: names that do not exist, and routes that disturb each other."""
    written = document.value["registries"]
    problems = [each for mirror in file.mirrors.values() for each in _check_names(mirror, file.registries, written)]
    problems += [Problem(("mirrors", name), _RESERVED[name]) for name in file.mirrors if name in _RESERVED]
    known = [each for each in file.mirrors.values() if uses_known_registries(each, file.registries)]
    placed = [each for mirror in known for each in _placed_routes(mirror, file.registries)]
    routes = [(place, route) for place, route in placed if isinstance(route, Route)]
    named = [Problem(place, problem) for place, route in placed if (problem := _problem_of(route))]
    named += [each for mirror in known for each in _check_push_times(mirror, file.registries[mirror.source])]
    return [*problems, *named, *_check_writers(routes), *_check_cycles(file, routes), *_check_pruned(file, routes)]


_RESERVED = {
    "readiness": "its DAG would be mirror_readiness, which looks whether nodes would start; give it another name"
}
"""Names of mirrors whose DAG is there already."""


def _check_names(mirror: Mirror, registries: Mapping[str, Registry], written: Mapping[str, Any]) -> Iterator[Problem]:
    """``written`` are all registries of the file, also those with a problem of their own."""
    places: list[tuple[Place, str]] = [(("mirrors", mirror.name, "source"), mirror.source)]
    for index, name in enumerate(mirror.destinations):
        place: Place = ("mirrors", mirror.name, "destinations", index)
        places.append((place, name))
        if name in mirror.destinations[:index]:
            yield Problem(place, f"{name!r} is written twice; keep one")
            continue
        host = registries[name].host if name in registries else None
        for other in mirror.destinations[:index]:
            if other in registries and registries[other].host == host:
                yield Problem(place, f"{other!r} and {name!r} are both {host}; keep one")
    yield from _unknown_registries(places, written)


def _unknown_registries(places: Iterable[tuple[Place, str]], written: Mapping[str, Any]) -> Iterator[Problem]:
    for place, name in places:
        if name not in written:
            close = get_close_matches(name, written, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(written) or 'none'}"
            yield Problem(place, f"there is no registry {name!r}; {advice}")


def check_pools_of_file(file: MirrorsFile, document: Document, *, is_whole: bool) -> Iterator[Problem]:
    """``is_whole``: no mirror was left out for a problem of its own, so that a route that is missing is truly so."""
    for pool in file.node_pools.values():
        names = [each.registry for each in pool.pool_mirrors]
        places: list[tuple[Place, str]] = [(("nodes", pool.name, "registry"), pool.registry)]
        places += [(("nodes", pool.name, "mirrors", index), name) for index, name in enumerate(names)]
        yield from _unknown_registries(places, document.value["registries"])
    yield from (Problem(place, what) for place, what in check_pools(file, with_routes=is_whole))


def check_options(mirror: Mirror) -> Iterator[Problem]:
    """Options that say nothing without another."""
    here: Place = ("mirrors", mirror.name)
    for index, rule in enumerate(mirror.rules):
        rule_place: Place = (*here, "repositories", index)
        settings = rule.settings
        if settings.registries_d and not settings.policy:
            place = rule_place if rule.written_options & {"policy", "registries_d"} else here
            what = f"registries_d {str(settings.registries_d)!r} is where a policy finds signatures"
            yield Problem(place, f"{what}, and there is no policy; write policy: too, or registries_d: null")


def _check_push_times(mirror: Mirror, source: Registry) -> Iterator[Problem]:
    """Rules that go by what the source does not tell."""
    if source.api_kind in LISTS_PUSH_TIMES:
        return
    for index, rule in enumerate(mirror.rules):
        for key in rule.settings.tags.push_time_keys:
            has_tags = "tags" in rule.written_options
            place: Place = ("mirrors", mirror.name, *(("repositories", index) if has_tags else ()))
            advice = "newest_by: semver or name needs none" if key == "newest" else "remove it"
            problem = f"{key} goes by push times, which a source of kind {source.api_kind!r} does not tell; {advice}"
            yield Problem((*place, "tags"), problem)


def _problem_of(route: Route | ConfigurationError) -> str:
    return str(route) if isinstance(route, ConfigurationError) else _prefix_problem(route) or name_problem(route)


def _prefix_problem(route: Route) -> str:
    """A name that was copied with its registry; empty when it was not."""
    name, host = route.source_repository.name, route.source_repository.host
    if name.startswith(f"{host}/"):
        return f"{name!r} has its registry in it, which source: names already; write {name.removeprefix(f'{host}/')!r}"
    name, host = route.destination_repository.name, route.destination_repository.host
    if name.startswith(f"{host}/"):
        return f"its name at the destination, {name!r}, has the registry in it, which destinations: names already"
    return ""


def _placed_routes(
    mirror: Mirror, registries: Mapping[str, Registry]
) -> Iterator[tuple[Place, Route | ConfigurationError]]:
    """The routes of the repositories that are written by name, or what is wrong with them, each with where that is.

    Of a namespace there is no more to say than whether the names of examples can be made.
    """
    source = registries[mirror.source]
    for name in dict.fromkeys(mirror.destinations):
        for index, rule in enumerate(mirror.rules):
            place: Place = ("mirrors", mirror.name, "repositories", index)
            try:
                if isinstance(rule, RepositoryRule):
                    yield place, route_of(mirror, rule, source, registries[name], rule.repository)
                else:
                    _check_names_differ(mirror, rule, source, registries[name])
            except ConfigurationError as error:
                yield place, error


def _check_names_differ(mirror: Mirror, rule: NamespaceRule, source: Registry, destination: Registry) -> None:
    """:raises ConfigurationError: when two repositories of a namespace would have one name, or none can be made."""
    examples = [f"{rule.namespace}/{name}" for name in ("any", "other")]
    first, second = (route_of(mirror, rule, source, destination, each).destination_repository for each in examples)
    if first == second:
        raise ConfigurationError(
            f"all repositories of the namespace would be mirrored to {first}; write a template such as "
            f"rename: {first.name}/{{{{ name }}}}"
        )


def _check_writers(routes: list[tuple[Place, Route]]) -> Iterator[Problem]:
    writers: dict[Repository, tuple[Place, Route]] = {}
    for place, route in routes:
        first_place, first = writers.setdefault(route.destination_repository, (place, route))
        if first is route or first_place == place:
            continue
        if first.source_repository != route.source_repository:
            other = f"{first.source_repository} ({show_place(first_place)})"
            problem = f"{other} is mirrored to {route.destination_repository} too, and would overwrite it; rename one"
            yield Problem(place, problem)
        elif first.mirror == route.mirror:
            problem = f"{route.source_repository} is written twice, first as {show_place(first_place)}; keep one"
            yield Problem(place, problem)
        elif first.settings.tags == route.settings.tags and _platforms(first) != _platforms(route):
            both = f"{show_place(first_place)} has the same tags there with other platforms"
            problem = f"{both}, and each would overwrite what the other made; rename one, or choose other tags"
            yield Problem(place, problem)


def _platforms(route: Route) -> frozenset[str]:
    return frozenset(route.settings.platforms)


def _check_cycles(file: MirrorsFile, routes: list[tuple[Place, Route]]) -> Iterator[Problem]:
    """Mirrors that lead back to where they started would overwrite what was just pushed there."""
    writes: dict[Repository, list[Repository]] = {}
    for _, route in routes:
        writes.setdefault(route.source_repository, []).append(route.destination_repository)
    namespaces = [_Namespace.of(file, mirror, rule) for mirror, rule in _namespace_rules(file)]
    for each in namespaces:
        if any(example in each.writes(example) for example in each.examples()):
            problem = f"namespace {each.rule.namespace!r} would be mirrored to itself; choose another destination"
            yield Problem(("mirrors", each.mirror), problem)
    starts = [(place, route.source_repository) for place, route in routes]
    starts += [(("mirrors", each.mirror), example) for each in namespaces for example in each.examples()]
    reported: set[Repository] = set()
    for place, start in starts:
        path = _way_back(start, writes, namespaces)
        if path and reported.isdisjoint(path):
            reported.update(path)
            yield Problem(place, f"a circle of mirrors: {' → '.join(map(str, path))}; remove one of them")


def _check_pruned(file: MirrorsFile, routes: list[tuple[Place, Route]]) -> Iterator[Problem]:
    """What another mirror writes to a repository would be pruned as a stray."""
    namespaces = [_Namespace.of(file, mirror, rule) for mirror, rule in _namespace_rules(file)]
    written: dict[Repository, list[tuple[Place, Route]]] = {}
    for place, route in routes:
        written.setdefault(route.destination_repository, []).append((place, route))
    for place, route in routes:
        if route.settings.deletes_tags:
            others = [show_place(other) for other, _ in written[route.destination_repository] if other != place]
            others += [each.shown for each in namespaces if each.mirror != route.mirror and each.may_write(route)]
            yield from _pruned_by_two(place, str(route.destination_repository), others)
    for each in namespaces:
        if each.rule.settings.deletes_tags:
            others = [
                show_place(place) for place, route in routes if route.mirror != each.mirror and each.may_write(route)
            ]
            others += [other.shown for other in namespaces if other.mirror != each.mirror and each.meets(other)]
            yield from _pruned_by_two(("mirrors", each.mirror), f"namespace {each.rule.namespace!r}", others)


def _pruned_by_two(place: Place, what: str, others: list[str]) -> Iterator[Problem]:
    if others:
        advice = "give it a destination of its own, or write prune: {tags: none} for it"
        yield Problem(place, f"{what} is pruned here and written by {others[0]} too; {advice}")


_EVERY_NAME = (parse_pattern("*"),)

_SET = re.compile(r"\[([^!\]])[^\]]*\]")
"""A set of a glob, and its first member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Namespace:
    """A namespace rule, and the registries that it reads from and writes to."""

    entry: Mirror
    rule: NamespaceRule
    source: Registry
    goals: tuple[Registry, ...]

    @classmethod
    def of(cls, file: MirrorsFile, mirror: Mirror, rule: NamespaceRule) -> _Namespace:
        goals = tuple(file.registries[each] for each in mirror.destinations)
        return cls(entry=mirror, rule=rule, source=file.registries[mirror.source], goals=goals)

    @property
    def mirror(self) -> str:
        return self.entry.name

    @property
    def host(self) -> str:
        return self.source.host

    def examples(self) -> list[Repository]:
        """Repositories that it may find, one for each of its patterns."""
        names = map(self._example, self.rule.include or _EVERY_NAME)
        return [self._at(name) for name in names if name]

    def _example(self, pattern: Pattern) -> str | None:
        """``None`` for a regular expression, or when ``exclude`` has the example."""
        name = _SET.sub(r"\1", pattern.text).replace("*", "any").replace("?", "a")
        return name if self.rule.chooses(self._at(name).name) else None

    def _at(self, name: str) -> Repository:
        return Repository(self.host, f"{self.rule.namespace}/{name}")

    @property
    def shown(self) -> str:
        return f"namespace {self.rule.namespace!r} of mirrors.{self.mirror}"

    def may_write(self, route: Route) -> bool:
        """Whether it may find a repository that it then mirrors to the route's destination."""
        settings, there = self.rule.settings, route.destination_repository.name
        last = f"{self.rule.namespace}/{there.rpartition('/')[2]}"
        names = {route.source_repository.name, there, settings.strip_prefix + there.removeprefix(settings.prefix), last}
        return any(route.destination_repository in self.writes(Repository(self.host, name)) for name in names)

    def meets(self, other: _Namespace) -> bool:
        """Return whether both may write one repository: as an example shows, or because patterns may overlap."""
        examples = [each.name for each in (*self.examples(), *other.examples())]
        return any(
            set(self.writes(Repository(self.host, name))) & set(other.writes(Repository(other.host, name)))
            for name in examples
        ) or bool(self.sample_goals() & other.sample_goals() and self._may_choose_with(other))

    def sample_goals(self) -> set[Repository]:
        """The destinations of a name within the namespace, whether the patterns choose it or not."""
        return {goal for registry in self.goals if (goal := self._goal(registry, self._at("any")))}

    def _may_choose_with(self, other: _Namespace) -> bool:
        """Return whether both may choose one name. A pattern that either excludes as a whole does not count."""
        excluded = (*(self.rule.exclude or ()), *(other.rule.exclude or ()))
        return any(
            may_overlap(ours, theirs) and ours not in excluded and theirs not in excluded
            for ours, theirs in product(self.rule.include or _EVERY_NAME, other.rule.include or _EVERY_NAME)
        )

    def writes(self, repository: Repository) -> list[Repository]:
        is_read = repository.host == self.host and repository.name.startswith(f"{self.rule.namespace}/")
        found = is_read and self.rule.chooses(repository.name)
        return [goal for each in self.goals if (goal := self._goal(each, repository))] if found else []

    def _goal(self, registry: Registry, repository: Repository) -> Repository | None:
        """``None`` when its name there cannot be made, which is said elsewhere."""
        try:
            return route_of(self.entry, self.rule, self.source, registry, repository.name).destination_repository
        except ConfigurationError:
            return None


def _namespace_rules(file: MirrorsFile) -> Iterator[tuple[Mirror, NamespaceRule]]:
    for mirror in file.mirrors.values():
        if uses_known_registries(mirror, file.registries):
            yield from ((mirror, rule) for rule in mirror.rules if isinstance(rule, NamespaceRule))


def _way_back(
    start: Repository, writes: Mapping[Repository, list[Repository]], namespaces: list[_Namespace]
) -> tuple[Repository, ...]:
    """The repositories on a way from ``start`` to itself by two mirrors or more; empty when there is none.

    Or to where a namespace is read a second time, under a name that has grown meanwhile: so it would for ever.
    """
    ways: list[tuple[tuple[Repository, ...], frozenset[int]]] = [((start,), frozenset())]
    seen = set[Repository]()
    while ways:
        way, used = ways.pop()
        here = way[-1]
        steps = [(there, used) for there in writes.get(here, ())]
        for number, each in enumerate(namespaces):
            steps += [(there, used | {number}) for there in each.writes(here) if there != here]
            if number in used and each.writes(here):
                return (*way, *each.writes(here)[:1])
        for there, passed in steps:
            if there == start and here != start:
                return (*way, there)
            if there not in seen:
                seen.add(there)
                ways.append(((*way, there), passed))
    return ()
