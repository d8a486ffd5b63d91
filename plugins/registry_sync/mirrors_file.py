"""Read a mirrors file: strict, with every problem at once, each with its line and what to write instead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from registry_sync.errors import ConfigurationError, MirrorsFileError
from registry_sync.fields import Word
from registry_sync.kinds import LISTS_PUSH_TIMES
from registry_sync.mirrors import (
    Mirror,
    MirrorEntry,
    MirrorsFile,
    NamespaceRule,
    Registry,
    RegistryEntry,
    RepositoryRule,
    Route,
    RouteOptions,
    name_problem,
    route_of,
)
from registry_sync.node_pools import BootstrapImage, NodePool, NodePoolEntry, PoolMirror
from registry_sync.pool_checks import check_pools
from registry_sync.prune import PruneRules
from registry_sync.reference import Repository
from registry_sync.tags import TagRules
from registry_sync.yaml_document import Document, Place, read_yaml, show_place

PATH_VARIABLE = "REGISTRY_SYNC_MIRRORS_FILE"


class MirrorsDocument(BaseModel):
    """Container registries, and what is kept in step between them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", title="Mirrors file of registry_sync")

    registries: Mapping[Word, RegistryEntry] = Field(
        description="The registries, by a name of your choice", json_schema_extra={"additionalProperties": False}
    )
    defaults: RouteOptions = Field(RouteOptions(), description="Options of all mirrors that do not write their own")
    mirrors: Mapping[Word, MirrorEntry] = Field(
        description="What to mirror; each becomes the DAG mirror_NAME",
        json_schema_extra={"additionalProperties": False},
    )
    nodes: Mapping[Word, NodePoolEntry] = Field(
        {}, description="Pools of machines, and what they pull by", json_schema_extra={"additionalProperties": False}
    )


def mirrors_path(project: Path) -> Path:
    """Where the mirrors file is: ``include/mirrors.yaml`` in ``project``, unless the environment names another."""
    return Path(os.environ.get(PATH_VARIABLE) or project / "include" / "mirrors.yaml")


def load_mirrors(path: Path) -> MirrorsFile:
    """Read a mirrors file.

    :raises MirrorsFileError: with all that is wrong with it.
    """
    file, problems = load_healthy_mirrors(path)
    if problems:
        raise MirrorsFileError(problems)
    return file


def load_healthy_mirrors(path: Path, only: str | None = None) -> tuple[MirrorsFile, tuple[str, ...]]:
    """Read a mirrors file without the mirrors and node pools that have a problem, and all problems as text.

    :param only: the name of one mirror; the others are then not even looked at, which is fast.
    :raises MirrorsFileError: when nothing of it can be used.
    """
    document = read_yaml(_read(path), path.name)
    if only is not None and isinstance(document.value, dict) and isinstance(document.value.get("mirrors"), dict):
        document.value["mirrors"] = {name: each for name, each in document.value["mirrors"].items() if name == only}
        document.value.pop("nodes", None)
    problems = [_Problem(place, text) for place, text in document.problems]
    written = _validate(document, problems)
    registries = {name: Registry(name=name, **dict(each)) for name, each in written.registries.items()}
    mirrors = {
        name: Mirror(name=name, defaults=written.defaults, **{key: getattr(each, key) for key in each.model_fields_set})
        for name, each in written.mirrors.items()
    }
    pools = {name: NodePool(name=name, **dict(each)) for name, each in written.nodes.items()}
    file = MirrorsFile(path=path, registries=registries, mirrors=mirrors, node_pools=pools)
    problems += _check(file, document)
    problems += [each for mirror in mirrors.values() for each in _check_options(mirror, document)]
    broken = {each.place[1] for each in problems if each.place[0] == "mirrors"}
    healthy = {name: each for name, each in mirrors.items() if name not in broken and _uses_known(each, registries)}
    problems += _check_pools(file, document, is_whole=all(each.place[0] == "nodes" for each in problems))
    sick = {each.place[1] for each in problems if each.place[0] == "nodes" and len(each.place) > 1}
    pools = {name: each for name, each in pools.items() if name not in sick}
    sound = MirrorsFile(path=path, registries=registries, mirrors=healthy, node_pools=pools)
    return sound, _texts(problems, document)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a mirrors file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MirrorsDocument.model_json_schema()}


@dataclass(frozen=True, slots=True)
class _Problem:
    place: Place
    what: str

    def text(self, document: Document) -> str:
        place = f"{show_place(self.place)}: " if self.place else ""
        return f"{document.at(self.place)}: {place}{self.what}"

    def line(self, document: Document) -> int:
        return int(document.at(self.place).rpartition(":")[2])


def _texts(problems: Iterable[_Problem], document: Document) -> tuple[str, ...]:
    """The problems in the order of their lines, each once."""
    in_order = sorted(problems, key=lambda each: each.line(document))
    return tuple(dict.fromkeys(each.text(document) for each in in_order))


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        advice = f"is there a file? {PATH_VARIABLE} names another place"
        raise MirrorsFileError((f"{path}: the mirrors file cannot be read ({error}); {advice}",)) from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"{path.name}:{line}: this is not UTF-8 text ({error.reason}); save it with that encoding"
        raise MirrorsFileError((problem,)) from error


def _validate(document: Document, problems: list[_Problem]) -> MirrorsDocument:
    """The document's sound entries; what is wrong with the others is added to ``problems``.

    :raises MirrorsFileError: when something is wrong outside any entry of registries, mirrors or nodes.
    """
    try:
        written = MirrorsDocument.model_validate(document.value)
    except ValidationError as error:
        known = {each.place for each in problems}
        found = [_explain(each, document) for each in error.errors(include_url=False) if not _is_echo(each)]
        problems += [each for each in found if each.place not in known]
    else:
        if not problems:
            return written
    broken = {each.place[:2] for each in problems} - {("nodes",)}
    if any(len(each) < 2 or each[0] not in _MODELS.keys() - {"defaults"} for each in broken):
        raise MirrorsFileError(_texts(problems, document))
    sound = dict(document.value)
    if not isinstance(sound.get("nodes"), Mapping):
        sound.pop("nodes", None)
    for section in sound.keys() & {"registries", "mirrors", "nodes"}:
        sound[section] = {name: each for name, each in sound[section].items() if (section, name) not in broken}
    return MirrorsDocument.model_validate(sound)


def _is_echo(error: ErrorDetails) -> bool:
    """A list whose only entry is wrong is called too short as well."""
    return error["type"] == "too_short" and bool(error["input"])


def _explain(error: ErrorDetails, document: Document) -> _Problem:
    """An error of pydantic's in our words, at its place in the file."""
    place = _place(error["loc"])
    match error["type"]:
        case "missing":
            return _Problem(place[:-1], f"{str(place[-1])!r} is missing")
        case "extra_forbidden":
            return _Problem(place, _unknown_key(place, _form(error["loc"])))
    while place and place not in document.lines:
        place = place[:-1]
    if not place:
        return _Problem(place, f"expected registries: and mirrors:, got {_got(error['input'], None)}")
    return _Problem(place, _expectation(error, document, place))


def _place(location: tuple[str | int, ...]) -> Place:
    """Without what pydantic adds to a location: the form of a rule, and the mark of a bad key."""
    parts = [each for each in location if each != "[key]"]
    if len(parts) > 4 and parts[2] in _FORMS:
        del parts[4]
    return tuple(parts)


_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "mapping_type": "a mapping (name: ...)",
    "dict_type": "a mapping (name: ...)",
    "path_type": "a string",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "union_tag_not_found": "a repository name, or a mapping with either repository: or namespace:",
    "string_pattern_mismatch": "a name of letters, digits, '_' and '-'",
}


def _expectation(error: ErrorDetails, document: Document, place: Place) -> str:
    got = _got(error["input"], document.texts.get(place))
    match error["type"]:
        case "string_type" if isinstance(error["input"], int | float):
            return f'expected a string, got {got} (quote it: "{document.texts.get(place, error["input"])}")'
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error":
            return f"expected {error['ctx']['expected']}, got {got}"
        case "too_short" | "string_too_short":
            return "it is empty; write a value, or remove it"
        case "string_too_long":
            return f"it has {len(error['input'])} characters, at most {error['ctx']['max_length']} are allowed"
        case "greater_than_equal":
            return f"expected {error['ctx']['ge']} or more, got {got}"
        case "greater_than":
            return f"expected more than {error['ctx']['gt']:g}, got {got}"
        case "less_than_equal":
            return f"expected {error['ctx']['le']} or less, got {got}"
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}, got {got}"
    return f"{error['msg'].removeprefix('Input ')}, got {got}"


def _got(value: Any, text: str | None) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {text or value}"
        case int() | float():
            return f"the number {text or value}"
        case str():
            return repr(value)
        case dict():
            return "a mapping"
        case tuple():
            return "a list"
    return repr(value)


def _unknown_key(place: Place, rule: type[BaseModel] | None) -> str:
    """``rule`` is the form of the rule that ``place`` is in, if it is in one."""
    key, known = str(place[-1]), _known_keys(place[:-1], rule)
    close = get_close_matches(key, known, n=1)
    return f"unknown key {key!r}; " + (f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}")


_FORMS: Mapping[str | int, Mapping[str | int, type[BaseModel]]] = {
    "repositories": {"repository": RepositoryRule, "namespace": NamespaceRule},
    "mirrors": {"mapping": PoolMirror},
    "bootstrap_images": {"mapping": BootstrapImage},
}
"""Of the lists whose entries have several forms: the mappings among these, by what pydantic calls them."""


def _form(location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The form of the list entry that ``location`` is in, if it is in one."""
    return _FORMS.get(location[2], {}).get(location[4]) if len(location) > 4 else None


_MODELS: Mapping[str, type[BaseModel]] = {
    "registries": RegistryEntry,
    "defaults": RouteOptions,
    "mirrors": MirrorEntry,
    "nodes": NodePoolEntry,
}


def _known_keys(place: Place, rule: type[BaseModel] | None) -> list[str]:
    """The keys that the mapping at ``place`` can have."""
    model: type[BaseModel]
    if not place:
        model = MirrorsDocument
    elif place[-1] == "tags" and place not in {("mirrors", "tags"), ("registries", "tags"), ("nodes", "tags")}:
        model = TagRules
    elif place[-1] == "prune" and place not in {("mirrors", "prune"), ("registries", "prune")}:
        model = PruneRules
    else:
        model = rule or _MODELS[str(place[0])]
    return list(model.model_fields)


def _uses_known(mirror: Mirror, registries: Mapping[str, Registry]) -> bool:
    return all(each in registries for each in (mirror.source, *mirror.destinations))


def _check(file: MirrorsFile, document: Document) -> list[_Problem]:
    """What no entry shows by itself: names that do not exist, and routes that disturb each other."""
    written = document.value["registries"]
    problems = [each for mirror in file.mirrors.values() for each in _check_names(mirror, file.registries, written)]
    problems += [_Problem(("mirrors", name), _RESERVED[name]) for name in file.mirrors if name in _RESERVED]
    known = [each for each in file.mirrors.values() if _uses_known(each, file.registries)]
    placed = [each for mirror in known for each in _placed_routes(mirror, file.registries)]
    routes = [(place, route) for place, route in placed if isinstance(route, Route)]
    named = [_Problem(place, problem) for place, route in placed if (problem := _problem_of(route))]
    named += [each for mirror in known for each in _check_push_times(mirror, file.registries[mirror.source])]
    return [*problems, *named, *_check_writers(routes), *_check_cycles(file, routes), *_check_pruned(file, routes)]


_RESERVED = {
    "readiness": "its DAG would be mirror_readiness, which looks whether nodes would start; give it another name"
}
"""Names of mirrors whose DAG is there already."""


def _check_names(mirror: Mirror, registries: Mapping[str, Registry], written: Mapping[str, Any]) -> Iterator[_Problem]:
    """``written`` are all registries of the file, also those with a problem of their own."""
    places: list[tuple[Place, str]] = [(("mirrors", mirror.name, "source"), mirror.source)]
    for index, name in enumerate(mirror.destinations):
        place: Place = ("mirrors", mirror.name, "destinations", index)
        places.append((place, name))
        if name in mirror.destinations[:index]:
            yield _Problem(place, f"{name!r} is written twice; keep one")
            continue
        host = registries[name].host if name in registries else None
        for other in mirror.destinations[:index]:
            if other in registries and registries[other].host == host:
                yield _Problem(place, f"{other!r} and {name!r} are both {host}; keep one")
    yield from _unknown_registries(places, written)


def _unknown_registries(places: Iterable[tuple[Place, str]], written: Mapping[str, Any]) -> Iterator[_Problem]:
    for place, name in places:
        if name not in written:
            close = get_close_matches(name, written, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(written) or 'none'}"
            yield _Problem(place, f"there is no registry {name!r}; {advice}")


def _check_pools(file: MirrorsFile, document: Document, *, is_whole: bool) -> Iterator[_Problem]:
    """``is_whole``: no mirror was left out for a problem of its own, so that a route that is missing is truly so."""
    for pool in file.node_pools.values():
        names = [each.registry for each in pool.pool_mirrors]
        places: list[tuple[Place, str]] = [(("nodes", pool.name, "registry"), pool.registry)]
        places += [(("nodes", pool.name, "mirrors", index), name) for index, name in enumerate(names)]
        yield from _unknown_registries(places, document.value["registries"])
    yield from (_Problem(place, what) for place, what in check_pools(file, with_routes=is_whole))


def _check_options(mirror: Mirror, document: Document) -> Iterator[_Problem]:
    """Options that say nothing, or nothing without another."""
    here: Place = ("mirrors", mirror.name)
    rules = [((*here, "repositories", index), rule) for index, rule in enumerate(mirror.rules)]
    levels: list[tuple[Place, RouteOptions]] = [(("defaults",), mirror.defaults), (here, mirror), *rules]
    for place, level in levels:
        for name in sorted(level.written_options):
            if getattr(level, name) is None and document.texts.get((*place, name)) == "":
                advice = "write null to turn off what an outer level has, or remove it"
                yield _Problem((*place, name), f"it is empty; {advice}")
    for rule_place, rule in rules:
        settings = mirror.settings(rule)
        if settings.registries_d and not settings.policy:
            place = rule_place if rule.written_options & {"policy", "registries_d"} else here
            what = f"registries_d {str(settings.registries_d)!r} is where a policy finds signatures"
            yield _Problem(place, f"{what}, and there is no policy; write policy: too, or registries_d: null")


def _check_push_times(mirror: Mirror, source: Registry) -> Iterator[_Problem]:
    """Rules that go by what the source does not tell."""
    if source.api_kind in LISTS_PUSH_TIMES:
        return
    for index, rule in enumerate(mirror.rules):
        for key in mirror.settings(rule).tags.push_time_keys:
            place: Place = ("mirrors", mirror.name, "repositories", index) if rule.tags else ("mirrors", mirror.name)
            advice = "newest_by: semver or name needs none" if key == "newest" else "remove it"
            problem = f"{key} goes by push times, which a source of kind {source.api_kind!r} does not tell; {advice}"
            yield _Problem((*place, "tags"), problem)


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


def _check_writers(routes: list[tuple[Place, Route]]) -> Iterator[_Problem]:
    writers: dict[Repository, tuple[Place, Route]] = {}
    for place, route in routes:
        first_place, first = writers.setdefault(route.destination_repository, (place, route))
        if first is route or first_place == place:
            continue
        if first.source_repository != route.source_repository:
            other = f"{first.source_repository} ({show_place(first_place)})"
            problem = f"{other} is mirrored to {route.destination_repository} too, and would overwrite it; rename one"
            yield _Problem(place, problem)
        elif first.mirror == route.mirror:
            problem = f"{route.source_repository} is written twice, first as {show_place(first_place)}; keep one"
            yield _Problem(place, problem)
        elif first.settings.tags == route.settings.tags and _platforms(first) != _platforms(route):
            both = f"{show_place(first_place)} has the same tags there with other platforms"
            problem = f"{both}, and each would overwrite what the other made; rename one, or choose other tags"
            yield _Problem(place, problem)


def _platforms(route: Route) -> frozenset[str]:
    return frozenset(route.settings.platforms)


def _check_cycles(file: MirrorsFile, routes: list[tuple[Place, Route]]) -> Iterator[_Problem]:
    """Mirrors that lead back to where they started would overwrite what was just pushed there."""
    writes: dict[Repository, list[Repository]] = {}
    for _, route in routes:
        writes.setdefault(route.source_repository, []).append(route.destination_repository)
    namespaces = [_Namespace.of(file, mirror, rule) for mirror, rule in _namespace_rules(file)]
    for each in namespaces:
        if any(example in each.writes(example) for example in each.examples()):
            problem = f"namespace {each.rule.namespace!r} would be mirrored to itself; choose another destination"
            yield _Problem(("mirrors", each.mirror), problem)
    starts = [(place, route.source_repository) for place, route in routes]
    starts += [(("mirrors", each.mirror), example) for each in namespaces for example in each.examples()]
    reported: set[Repository] = set()
    for place, start in starts:
        path = _way_back(start, writes, namespaces)
        if path and reported.isdisjoint(path):
            reported.update(path)
            yield _Problem(place, f"a circle of mirrors: {' → '.join(map(str, (*path, start)))}; remove one of them")


def _check_pruned(file: MirrorsFile, routes: list[tuple[Place, Route]]) -> Iterator[_Problem]:
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
        if file.mirrors[each.mirror].settings(each.rule).deletes_tags:
            others = [
                show_place(place) for place, route in routes if route.mirror != each.mirror and each.may_write(route)
            ]
            others += [other.shown for other in namespaces if other.mirror != each.mirror and each.meets(other)]
            yield from _pruned_by_two(("mirrors", each.mirror), f"namespace {each.rule.namespace!r}", others)


def _pruned_by_two(place: Place, what: str, others: list[str]) -> Iterator[_Problem]:
    if others:
        advice = "give it a destination of its own, or write prune: {tags: none} for it"
        yield _Problem(place, f"{what} is pruned here and written by {others[0]} too; {advice}")


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
        """Repositories that it may find, one for each of its globs."""
        names = [each.replace("*", "any").replace("?", "a") for each in self.rule.include or ("*",)]
        return [Repository(self.host, f"{self.rule.namespace}/{name}") for name in names]

    @property
    def shown(self) -> str:
        return f"namespace {self.rule.namespace!r} of mirrors.{self.mirror}"

    def may_write(self, route: Route) -> bool:
        """Whether it may find a repository that it then mirrors to the route's destination."""
        names = {route.source_repository.name, route.destination_repository.name}
        return any(route.destination_repository in self.writes(Repository(self.host, name)) for name in names)

    def meets(self, other: _Namespace) -> bool:
        """Whether both may write one repository, as far as examples tell."""
        examples = [each.name for each in (*self.examples(), *other.examples())]
        return any(
            set(self.writes(Repository(self.host, name))) & set(other.writes(Repository(other.host, name)))
            for name in examples
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
        if _uses_known(mirror, file.registries):
            yield from ((mirror, rule) for rule in mirror.rules if isinstance(rule, NamespaceRule))


def _way_back(
    start: Repository, writes: Mapping[Repository, list[Repository]], namespaces: list[_Namespace]
) -> tuple[Repository, ...]:
    """The repositories on a way from ``start`` to itself by two mirrors or more; empty when there is none."""
    ways: list[tuple[Repository, ...]] = [(start,)]
    seen = set[Repository]()
    while ways:
        way = ways.pop()
        here = way[-1]
        for there in (*writes.get(here, ()), *(goal for each in namespaces for goal in each.writes(here))):
            if there == start and here != start:
                return way
            if there not in seen:
                seen.add(there)
                ways.append((*way, there))
    return ()
