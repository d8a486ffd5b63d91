"""Pydantic's errors in the words of a mirrors file, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from registry_sync.config.model import (
    MirrorEntry,
    MirrorsDocument,
    NamespaceEntry,
    RegistryEntry,
    RepositoryEntry,
)
from registry_sync.config.node_pools import BootstrapImageEntry, NodePoolEntry, PoolMirrorEntry
from registry_sync.config.prune_rules import PruneRulesEntry
from registry_sync.config.settings import RouteOptions
from registry_sync.config.tag_rules import TagRulesEntry
from registry_sync.config.yaml_source import Document, Place, show_place


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a mirrors file, and its place there."""

    place: Place
    what: str

    def text(self, document: Document) -> str:
        place = f"{show_place(self.place)}: " if self.place else ""
        return f"{document.at(self.place)}: {place}{self.what}"

    def line(self, document: Document) -> int:
        return int(document.at(self.place).rpartition(":")[2])


def problem_texts(problems: Iterable[Problem], document: Document) -> tuple[str, ...]:
    """The problems in the order of their lines, each once."""
    in_order = sorted(problems, key=lambda each: each.line(document))
    return tuple(dict.fromkeys(each.text(document) for each in in_order))


def find_empty_values(document: Document) -> Iterator[Problem]:
    """Keys with nothing behind them, as they are left by whoever comments out what stands below.

    YAML reads null. That would mean all tags for ``include:``, and none for ``keep:``.
    """
    for place, text in document.texts.items():
        if place and not text and _is_null(document.value, place):
            is_option = place[-1] in RouteOptions.model_fields and _is_level(place[:-1])
            advice = "null to turn off what an outer level has" if is_option else "a value"
            yield Problem(place, f"it is empty; write {advice}, or remove it")


def _is_null(value: Any, place: Place) -> bool:
    """Whether null stands at a place, if that is looked at at all."""
    for each in place[:-1]:
        value = value.get(each, {}) if isinstance(value, Mapping) else value[each]
    return (value.get(place[-1], "") if isinstance(value, Mapping) else value[place[-1]]) is None


def _is_level(place: Place) -> bool:
    """Whether options can stand there: in ``defaults``, a mirror, or an entry of ``repositories``."""
    match place:
        case ("defaults",) | ("mirrors", _) | ("mirrors", _, "repositories", _):
            return True
    return False


def is_echo(error: ErrorDetails) -> bool:
    """A list whose only entry is wrong is called too short as well."""
    return error["type"] == "too_short" and bool(error["input"])


def explain_error(error: ErrorDetails, document: Document) -> Problem:
    """An error of pydantic's in our words, at its place in the file."""
    place = _place(error["loc"])
    match error["type"]:
        case "missing":
            return Problem(place[:-1], f"{str(place[-1])!r} is missing")
        case "extra_forbidden":
            return Problem(place, _unknown_key(place, _form(error["loc"])))
    while place and place not in document.lines:
        place = place[:-1]
    if not place:
        return Problem(place, f"expected registries: and mirrors:, got {_got(error['input'], None)}")
    return Problem(place, _expectation(error, document, place))


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
    "repositories": {"repository": RepositoryEntry, "namespace": NamespaceEntry},
    "mirrors": {"mapping": PoolMirrorEntry},
    "bootstrap_images": {"mapping": BootstrapImageEntry},
}
"""Of the lists whose entries have several forms: the mappings among these, by what pydantic calls them."""


def _form(location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The form of the list entry that ``location`` is in, if it is in one."""
    return _FORMS.get(location[2], {}).get(location[4]) if len(location) > 4 else None


SECTION_MODELS: Mapping[str, type[BaseModel]] = {
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
        model = TagRulesEntry
    elif place[-1] == "prune" and place not in {("mirrors", "prune"), ("registries", "prune")}:
        model = PruneRulesEntry
    else:
        model = rule or SECTION_MODELS[str(place[0])]
    return list(model.model_fields)
