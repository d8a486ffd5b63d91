"""Translate pydantic's errors into messages about a mirrors file, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from registry_sync.config.entries.deep_check import DeepCheckEntry
from registry_sync.config.entries.document import MirrorsDocument
from registry_sync.config.entries.events import EventsEntry, QueueEntry, WebhookEntry
from registry_sync.config.entries.mirror import MIRROR_OPTIONS, MirrorEntry, MirrorOptions
from registry_sync.config.entries.node_pools import BootstrapImageEntry, NodePoolEntry, PoolMirrorEntry
from registry_sync.config.entries.notify import NotifierEntry
from registry_sync.config.entries.prune_rules import PruneRulesEntry
from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.entries.rules import NamespaceEntry, RepositoryEntry
from registry_sync.config.entries.settings import RouteOptions, SkopeoEntry
from registry_sync.config.entries.tag_rules import TagRuleEntry
from registry_sync.config.reading.close_names import did_you_mean, how_to_write_bool, how_to_write_key, key_meant
from registry_sync.config.reading.yaml_source import Document, Place, show_place
from registry_sync.text import quoted


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a mirrors file, and its place in the file."""

    place: Place
    message: str

    def text(self, document: Document) -> str:
        """``file:line: place: message``, and the name of an empty variable that the value at the place comes from."""
        place = f"{show_place(self.place)}: " if self.place else ""
        name = document.empty_variables.get(self.place)
        remark = f" (${{{name}}} is empty in the environment)" if name else ""
        return f"{document.at(self.place)}: {place}{self.message}{remark}"


def problem_texts(problems: Iterable[Problem], document: Document) -> tuple[str, ...]:
    """The problems as text in the order of their files and lines, without duplicates."""
    in_order = sorted(problems, key=lambda problem: (document.file(problem.place), document.line(problem.place)))
    return tuple(dict.fromkeys(problem.text(document) for problem in in_order))


def find_empty_values(document: Document) -> Iterator[Problem]:
    """Keys without a value, as they remain when the lines below them are commented out.

    YAML reads them as null, which would mean all tags for ``include:``, and none for ``keep:``.
    """
    for place, text in document.texts.items():
        if place and not text and _is_null(document.value, place):
            advice = "null to turn off the inherited value" if _may_be_null(place) else "a value"
            yield Problem(place, f"it is empty; write {advice}, or remove it")


def _is_null(value: Any, place: Place) -> bool:
    """True if the value at a place is null. False if the place is no longer in ``value``."""
    for key in place[:-1]:
        value = value.get(key, {}) if isinstance(value, Mapping) else value[key]
    return (value.get(place[-1], "") if isinstance(value, Mapping) else value[place[-1]]) is None


_NULLABLE = ("schedule", "full_check", "notify", "start_date", "events")
"""Options of mirrors, beside those of rules, that null turns off."""


def _may_be_null(place: Place) -> bool:
    """True for the options that null turns off, where they may be written."""
    match place:
        case ("defaults", option) | ("mirrors", _, option):
            return option in RouteOptions.model_fields or option in _NULLABLE
        case ("mirrors", _, "repositories", _, option):
            return option in RouteOptions.model_fields
    return False


def find_missing_keys(document: Document) -> Iterator[Problem]:
    """The keys that neither a mirror nor ``defaults:`` has. A mirror that is written twice may have them elsewhere."""
    mirrors, defaults = document.value.get("mirrors"), document.value.get("defaults")
    twice = {place for place, _ in document.problems}
    inherited = defaults if isinstance(defaults, Mapping) else {}
    for name, entry in mirrors.items() if isinstance(mirrors, Mapping) else ():
        for key in ("source", "destinations"):
            if isinstance(entry, Mapping) and ("mirrors", name) not in twice and not {key} & {*entry, *inherited}:
                problem = f"{quoted(key)} is missing; write {key}: here, or under defaults:"
                yield Problem(("mirrors", name), problem)


def is_echo(error: ErrorDetails) -> bool:
    """True for ``too_short`` errors of lists that have items: pydantic reports it when the only item is invalid."""
    return error["type"] == "too_short" and bool(error["input"])


def explain_error(error: ErrorDetails, document: Document) -> Problem:
    """Translate one of pydantic's errors into a problem at its place in the file."""
    place = _place(error["loc"])
    match error["type"]:
        case "missing":
            return Problem(place[:-1], f"{quoted(str(place[-1]))} is missing")
        case "extra_forbidden":
            return Problem(place, _unknown_key(place, _form(error["loc"])))
    while place and place not in document.lines:
        place = place[:-1]
    if not place:
        return Problem(place, f"expected registries: and mirrors:, got {_got(error['input'], None)}")
    return Problem(place, _expectation(error, document, place))


def _place(location: tuple[str | int, ...]) -> Place:
    """The location without pydantic's additions: tags of union members, and ``[key]`` after an invalid key."""
    parts = [part for part in location if part not in ("[key]", "[mapping]", "[list]")]
    if len(parts) > 4 and parts[2] in _FORMS:
        del parts[4]
    return tuple(parts)


_UNITS: Mapping[str | int, tuple[str, ...]] = {
    **dict.fromkeys(("fresh_within", "repeat", "older_than", "younger_than"), ("h", "d", "w")),
    "settle": ("s", "m"),
}
"""Keys whose values are durations, with the units of each."""

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
    """The message for an invalid value: the expected kind of value, and the one in the file."""
    text = document.texts.get(place)
    got = f"{_got(error['input'], text)}{_how_to_write(error, place, text)}"
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error":
            expected = error["ctx"]["expected"]
            return f"expected {expected}, got {got}{did_you_mean(error['input'], expected)}"
        case "too_short" if place[-1] == "notify":
            return "it is empty; write a notifier, or null for no messages"
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


def _how_to_write(error: ErrorDetails, place: Place, text: str | None) -> str:
    """The way to write a value where a string is expected, for values that YAML reads as something else."""
    match error["input"]:
        case int() | float() if error["type"] == "string_type" and place[-1] in _UNITS:
            *first, last = (f"{error['input']}{unit}" for unit in _UNITS[place[-1]])
            return f" without a unit; write {', '.join(first)} or {last}"
        case int() | float() if error["type"] == "string_type":
            return f' (quote it: "{error["input"] if text is None else text}")'
        case None if error["type"] == "string_type" and text and isinstance(place[-1], int):
            return f' (quote it: "{text}")'
        case tuple() if error["type"] in ("string_type", "union_tag_not_found") and isinstance(place[-1], int):
            return "; remove one '-', or the inner [ ]"
        case tuple() if error["type"] == "string_type":
            return "; write one name" if place[-1] == "source" else "; write one value"
        case dict() as entry if error["type"] == "union_tag_not_found":
            return _meant_form(entry)
        case str() | int() | float() if error["type"] == "bool_type":
            return how_to_write_bool(error["input"])
        case str() as value if (number := _NUMBERS.get(error["type"])) and re.fullmatch(number, value, re.ASCII):
            return "; remove the quotes"
        case str() | int() | float() if error["type"] == "model_type" and "tags" in place[-2:]:
            tag = quoted(str(error["input"] if text is None else text))
            return f"; write {{include: [{tag}]}} or {{names: [{tag}]}}"
    return ""


_NUMBERS = {"int_type": r"0|[1-9]\d*", "float_type": r"(?:0|[1-9]\d*)(?:\.\d+)?"}
"""Texts that are numbers without quotes, in all versions of YAML."""


def _meant_form(entry: Mapping[str, Any]) -> str:
    """The keys of an entry of ``repositories`` without a name, and the key that was meant."""
    keys = [str(key) for key in entry]
    meant = [f"; write {key}: in place of {quoted(name)}" for name in keys if (key := key_meant(name, _NAMES))]
    return f" with {', '.join(map(quoted, keys))}{''.join(meant[:1])}" if keys else ""


_NAMES = ("repository", "namespace")


def _got(value: Any, text: str | None) -> str:
    """A value as messages show it; ``text`` is a scalar as it is written."""
    match value:
        case None:
            return text or "nothing"
        case bool():
            return f"the boolean {text or value}"
        case int() | float():
            return f"the number {text or value}"
        case str():
            return quoted(value)
        case dict():
            return "a mapping"
        case tuple():
            return "a list"
    return repr(value)


def _unknown_key(place: Place, form: type[BaseModel] | None) -> str:
    """The message for an unknown key. ``form`` is the model of the list entry that ``place`` is in, if any."""
    key, allowed = str(place[-1]), _allowed_keys(place[:-1], form)
    name, colon, value = key.partition(":")
    if colon and name in allowed:
        return f"unknown key {quoted(key)}; write a space after the colon: '{name}: {value}'"
    if _is_rule(place[:-1]) and key in MIRROR_OPTIONS:
        advice = "a mirror is one DAG; write it at the mirror, or give this entry a mirror of its own"
        return f"unknown key {quoted(key)} of a repository; {advice}"
    if place[0] == "defaults" and len(place) == 2 and key in MirrorEntry.model_fields:
        return f"unknown key {quoted(key)}; write it in each mirror, not in defaults"
    if len(place) == 1 and key in MirrorOptions.model_fields:
        return f"unknown key {quoted(key)}; write it under defaults: for all mirrors, or in a mirror"
    if key in _OF_CONNECTIONS and "connection" in allowed:
        advice = "it belongs into the Airflow Connection whose id is connection: (docs/connections.md)"
        return f"unknown key {quoted(key)} of a registry; {advice}"
    if meant := how_to_write_key(key, allowed):
        return f"unknown key {quoted(key)}; {meant}"
    close = get_close_matches(key, allowed, n=1)
    others = "" if place[:-1] else ", and x-... for anchors"
    advice = f"did you mean {quoted(close[0])}?" if close else f"allowed are {', '.join(allowed)}{others}"
    return f"unknown key {quoted(key)}; {advice}"


_OF_CONNECTIONS = frozenset(
    {
        *("user", "username", "login", "password", "token", "secret", "credentials", "auth", "role", "role_arn"),
        *("access_key", "secret_key", "profile", "region", "region_name", "key_path", "tenant_id", "client_id"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "client_secret", "service_account"),
    }
)
"""Keys that people write for the login to a registry."""


def _is_rule(place: Place) -> bool:
    """True for an entry of ``repositories``."""
    return len(place) == 4 and place[0] == "mirrors" and place[2] == "repositories"


_FORMS: Mapping[str | int, Mapping[str | int, type[BaseModel]]] = {
    "repositories": {"repository": RepositoryEntry, "namespace": NamespaceEntry},
    "mirrors": {"mapping": PoolMirrorEntry},
    "bootstrap_images": {"mapping": BootstrapImageEntry},
}
"""The models of list entries that are mappings, by the list's key and pydantic's tag of the union member."""


def _form(location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model of the list entry that ``location`` is in, if any."""
    return _FORMS.get(location[2], {}).get(location[4]) if len(location) > 4 else None


SECTION_MODELS: Mapping[str, type[BaseModel]] = {
    "registries": RegistryEntry,
    "defaults": MirrorOptions,
    "mirrors": MirrorEntry,
    "nodes": NodePoolEntry,
}
"""The model of an entry of each section; ``defaults`` is a single one."""


_OPTION_MODELS: Mapping[str | int, type[BaseModel]] = {
    "deep_check": DeepCheckEntry,
    "events": EventsEntry,
    "webhook": WebhookEntry,
    "queue": QueueEntry,
    "notify": NotifierEntry,
    "tags": TagRuleEntry,
    "prune": PruneRulesEntry,
    "skopeo": SkopeoEntry,
}
"""The models of options that are mappings."""


def _allowed_keys(place: Place, form: type[BaseModel] | None) -> list[str]:
    """The keys that the mapping at ``place`` can have."""
    if not place:
        return list(MirrorsDocument.model_fields)
    is_entry = len(place) == 2 and place[0] != "defaults"  # an entry may have the name of an option
    key = place[-2] if isinstance(place[-1], int) else place[-1]
    option = None if is_entry else _OPTION_MODELS.get(key)
    fields = (option or form or SECTION_MODELS[str(place[0])]).model_fields
    return [field.alias or name for name, field in fields.items()]
