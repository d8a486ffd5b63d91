"""YAML as plain values that remember where they stand, so that a message can name the line.

Safe and strict: no tags of Python's, no duplicate keys, no aliases that multiply without bound; a date stays the text
that was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from registry_sync.errors import MirrorsFileError

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value, such as ``("mirrors", "a", "repositories", 1)``."""

MAX_VALUES = 500_000
_PLAIN = {f"tag:yaml.org,2002:{each}" for each in ("str", "int", "float", "bool", "null")}
_TEXT = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"})


@dataclass(slots=True)
class Document:
    """A YAML document: its ``value`` of dicts, tuples and scalars; ``lines`` and ``texts`` by place.

    ``texts`` has scalars as they are written, since ``1.10`` is read as the number 1.1. ``problems`` are duplicate keys
    and the like, which do not keep the rest from being read.
    """

    name: str
    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    texts: dict[Place, str] = field(default_factory=dict)
    problems: list[tuple[Place, str]] = field(default_factory=list)

    def at(self, place: Place) -> str:
        """``file:line`` of a place, or of the nearest place around it that exists."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines.get(place, 1)}"


def show_place(place: Place) -> str:
    """A place as text.

    >>> show_place(("mirrors", "a", "repositories", 1, "tags"))
    'mirrors.a.repositories[1].tags'
    """
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place).removeprefix(".")


def read_yaml(text: str, name: str) -> Document:
    """Read one document; ``name`` stands for the file in messages.

    :raises MirrorsFileError: when it is no YAML, with the line.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        document = Document(name)
        document.value = _Reader(loader, document).read(node, ()) if node is not None else None
        return document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise MirrorsFileError((f"{name}:{line}: this is not valid YAML: {problem}",)) from error
    except yaml.YAMLError as error:
        raise MirrorsFileError((f"{name}:1: this is not valid YAML: {error}",)) from error
    except RecursionError as error:
        raise MirrorsFileError((f"{name}:1: nested too deeply; does an alias stand within its own anchor?",)) from error
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values and notes where they stand."""

    def __init__(self, loader: Any, document: Document) -> None:
        self._loader, self._document = loader, document

    def read(self, node: yaml.Node, place: Place) -> Any:
        document = self._document
        document.lines.setdefault(place, node.start_mark.line + 1)
        if len(document.lines) > MAX_VALUES:
            raise MirrorsFileError((f"{document.at(place)}: more than {MAX_VALUES} values; do aliases multiply here?",))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.read(each, (*place, index)) for index, each in enumerate(node.value))
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Mapping[str, Any]:
        self._find_duplicates(node, place)
        self._loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._document.problems.append((place, f"line {key.start_mark.line + 1}: a key must be a plain word"))
                continue
            here = (*place, key.value)
            self._document.lines[here] = key.start_mark.line + 1
            values[key.value] = self.read(value, here)
        return values

    def _find_duplicates(self, node: yaml.MappingNode, place: Place) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in first:
                problem = f"{key.value!r} is written twice, in line {first[key.value]} and line {line}; keep one"
                self._document.problems.append(((*place, key.value), problem))
            elif isinstance(key, yaml.ScalarNode):
                first[key.value] = line

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        self._document.texts[place] = str(node.value)
        if node.tag in _TEXT:
            return str(node.value)
        if node.tag in _PLAIN:
            return self._loader.construct_object(node)
        self._document.problems.append((place, f"YAML values of type {node.tag} are not used here; write plain text"))
        return None
