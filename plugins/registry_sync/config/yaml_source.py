"""YAML as plain values that remember where they stand, so that a message can name the line.

Safe and strict: no tags of Python's, no duplicate keys, no aliases that multiply without bound; a date stays the text
that was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
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

_YAML = "tag:yaml.org,2002:"

_SCALARS = frozenset(f"{_YAML}{each}" for each in ("int", "float", "bool", "null"))

_TEXT = frozenset({f"{_YAML}str", f"{_YAML}timestamp"})

_Entries = dict[str, tuple[yaml.Node, yaml.Node]]


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
    with _explained(text, name):
        return _read_document(text, Document(name))


def read_all_yaml(text: str, name: str) -> list[Any]:
    """The values of all documents in ``text``.

    :raises MirrorsFileError: when it is no YAML, or has a key twice, with the line.
    """
    with _explained(text, name):
        loader = _Loader(text)
        try:
            documents = [_read_node(loader, node, Document(name)) for node in _nodes(loader)]
        finally:
            loader.dispose()
    found = ((each, place, problem) for each in documents for place, problem in each.problems)
    if problems := tuple(f"{each.at(place)}: {show_place(place)}: {problem}" for each, place, problem in found):
        raise MirrorsFileError(problems)
    return [each.value for each in documents]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A scalar, and where it stands in its text: characters from ``start`` to ``end``, quotes included."""

    place: Place
    value: str
    start: int
    end: int
    line: int


def read_spans(text: str, name: str) -> list[Span]:
    """Every scalar value of all documents in ``text``; for an alias, what it stands for once more.

    :raises MirrorsFileError: when it is no YAML, with the line.
    """
    with _explained(text, name):
        loader = yaml.SafeLoader(text)  # libyaml does not count a byte order mark
        try:
            spans = (each for node in _nodes(loader) for each in _spans(node, ()))
            found = list(islice(spans, MAX_VALUES + 1))
        finally:
            loader.dispose()
    if len(found) > MAX_VALUES:
        raise MirrorsFileError((f"{name}:1: more than {MAX_VALUES} values; do aliases multiply here?",))
    return found


def _nodes(loader: Any) -> Iterator[yaml.Node]:
    while loader.check_node():
        yield loader.get_node()


def _spans(node: yaml.Node, place: Place) -> Iterator[Span]:
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    problem = "a key must be a plain word (is this a template? Render it first)"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                yield from _spans(value, (*place, key.value))
        case yaml.SequenceNode():
            for index, each in enumerate(node.value):
                yield from _spans(each, (*place, index))
        case yaml.ScalarNode():
            start, end = node.start_mark, node.end_mark
            yield Span(place=place, value=node.value, start=start.index, end=end.index, line=start.line + 1)


@contextmanager
def _explained(text: str, name: str) -> Iterator[None]:
    """What PyYAML raises, as an error that names the line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else 1
        begun = error.context_mark.line + 1 if error.context_mark else line
        problem = " ".join(filter(None, (error.context, f"(line {begun})" if begun != line else "", error.problem)))
        raise MirrorsFileError((f"{name}:{line}: this is not valid YAML: {problem}",)) from error
    except yaml.reader.ReaderError as error:
        character = chr(error.character) if isinstance(error.character, int) else str(error.character)
        line = text.partition(character)[0].count("\n") + 1
        problem = f"{name}:{line}: the control character {character!r} is not allowed in YAML; remove it"
        raise MirrorsFileError((problem,)) from error
    except RecursionError as error:
        raise MirrorsFileError((f"{name}:1: nested too deeply; does an alias stand within its own anchor?",)) from error


def _read_document(text: str, document: Document) -> Document:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        document.value = _Reader(loader, document).read(node, ()) if node is not None else None
    finally:
        loader.dispose()
    return document


def _read_node(loader: Any, node: yaml.Node, document: Document) -> Document:
    document.value = _Reader(loader, document).read(node, ())
    return document


class _Reader:
    """Turns nodes into values and notes where they stand."""

    def __init__(self, loader: Any, document: Document) -> None:
        self._loader, self._document = loader, document
        self._known_entries: dict[int, _Entries] = {}

    def read(self, node: yaml.Node, place: Place) -> Any:
        document = self._document
        document.lines.setdefault(place, node.start_mark.line + 1)
        if len(document.lines) > MAX_VALUES:
            raise MirrorsFileError((f"{document.at(place)}: more than {MAX_VALUES} values; do aliases multiply here?",))
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map", place)
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", place)
            return tuple(self.read(each, (*place, index)) for index, each in enumerate(node.value))
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Mapping[str, Any]:
        self._check_keys(node, place)
        values: dict[str, Any] = {}
        for name, (key, value) in self._entries(node).items():
            here = (*place, name)
            self._document.lines[here] = key.start_mark.line + 1
            values[name] = self.read(value, here)
        return values

    def _check_keys(self, node: yaml.MappingNode, place: Place) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._document.lines[*place, "?"] = line
                self._document.problems.append(((*place, "?"), "a key must be a plain word"))
            elif key.value in first:
                problem = f"{key.value!r} is written twice, in line {first[key.value]} and line {line}; keep one"
                self._document.problems.append(((*place, key.value), problem))
            else:
                first[key.value] = line

    def _entries(self, node: yaml.MappingNode) -> _Entries:
        """Key and value by the key's text, with those that ``<<`` merges in.

        Each key once and each mapping once, so that neither duplicate keys nor merges multiply what is read.
        """
        if id(node) not in self._known_entries:
            merged: _Entries = {}
            own: _Entries = {}
            for key, value in node.value:
                if key.tag == f"{_YAML}merge":
                    merged |= self._merged(value)
                elif isinstance(key, yaml.ScalarNode):
                    own[key.value] = (key, value)
            self._known_entries[id(node)] = merged | own
        return self._known_entries[id(node)]

    def _merged(self, value: yaml.Node) -> _Entries:
        """What ``<<: value`` adds; of several mappings an earlier one wins (https://yaml.org/type/merge.html)."""
        entries: _Entries = {}
        for each in reversed(value.value) if isinstance(value, yaml.SequenceNode) else (value,):
            if not isinstance(each, yaml.MappingNode):
                problem = "<< takes a mapping, or a list of them"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=each.start_mark)
            entries |= self._entries(each)
        return entries

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text = self._document.texts[place] = str(node.value)
        if node.tag in _SCALARS:
            try:
                return self._loader.construct_object(node)
            except (ValueError, KeyError, IndexError):  # what PyYAML lets through, such as !!int abc
                self._document.problems.append((place, f"{text[:40]!r} is no {_shown(node.tag)}"))
        elif node.tag not in _TEXT:
            self._refuse_tag(node, place)
        return text

    def _check_tag(self, node: yaml.Node, kind: str, place: Place) -> None:
        if node.tag != f"{_YAML}{kind}":
            self._refuse_tag(node, place)

    def _refuse_tag(self, node: yaml.Node, place: Place) -> None:
        problem = f"YAML's type {_shown(node.tag)} is not used here; write the value without it, or in quotes"
        self._document.problems.append((place, problem))


def _shown(tag: str) -> str:
    """A type as people write it: ``!!int``."""
    return tag.replace(_YAML, "!!")
