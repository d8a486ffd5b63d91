"""Read YAML as plain values with their line numbers, for messages that name the line.

Strict and safe: Python tags and duplicate keys are refused, and the values that aliases multiply are bounded. Numbers,
booleans and nulls are those on which YAML 1.1 and 1.2 agree; everything else is text: ``on``, ``010``, ``1:30``, dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from registry_sync.config.reading.yaml_errors import LONGEST_LINE, Loader, explained, split_lines
from registry_sync.config.reading.yaml_slips import advice_for_line
from registry_sync.errors import MirrorsFileError
from registry_sync.text import quoted

Place = tuple[str | int, ...]
"""The path of keys and list positions to a value, such as ``("mirrors", "a", "repositories", 1)``."""

MAX_VALUES = 500_000
"""Most values of a document, with those behind each alias counted again."""

_YAML = "tag:yaml.org,2002:"

_FORMS = {
    "null": re.compile(r"(?:~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z"),
    "float": re.compile(r"(?:[-+]?(?:0|[1-9][0-9]*))?\.[0-9]+\Z"),
}
"""The scalars that are not text: https://yaml.org/spec/1.2.2/#103-core-schema without what YAML 1.1 reads otherwise."""


class _Loader(Loader):
    """PyYAML's loader, with our scalars only."""


_Loader.yaml_implicit_resolvers = {
    **{first: [(f"{_YAML}int", _FORMS["int"]), (f"{_YAML}float", _FORMS["float"])] for first in "-+0123456789."},
    **{first: [(f"{_YAML}bool", _FORMS["bool"])] for first in "tTfF"},
    **{first: [(f"{_YAML}null", _FORMS["null"])] for first in ("~", "n", "N", "")},
    "<": [(f"{_YAML}merge", re.compile(r"<<\Z"))],
}

_Entries = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass(slots=True)
class Document:
    """A YAML document.

    ``value`` consists of dicts, tuples and scalars. ``lines`` has the line of every place, ``texts`` every scalar as it
    is written: ``1.10`` is read as the number 1.1. ``problems`` are duplicate keys and the like, beside which the rest
    is readable. ``empty_variables`` has the places whose text uses a variable that is empty in the environment.
    ``files`` has the file of every key at the top and of every entry below, in a document merged from several files.
    """

    name: str
    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    texts: dict[Place, str] = field(default_factory=dict)
    problems: list[tuple[Place, str]] = field(default_factory=list)
    empty_variables: dict[Place, str] = field(default_factory=dict)
    files: dict[Place, str] = field(default_factory=dict)

    def file(self, place: Place) -> str:
        """The name of the file that has a place; of a merged document, its folder's where no file has it."""
        return self.files.get(place[:2]) or self.files.get(place[:1]) or self.name

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest enclosing place that exists."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def at(self, place: Place) -> str:
        """``file:line`` of a place, or of the nearest enclosing place that exists; only the name of a folder."""
        file = self.file(place)
        return file if self.files and file == self.name else f"{file}:{self.line(place)}"

    def line_text(self, place: Place) -> str:
        """A place in another part of the document: ``line 3``, and ``file:3`` where there are several files."""
        return self.at(place) if self.files else f"line {self.line(place)}"


def show_place(place: Place) -> str:
    """A place as text.

    >>> show_place(("mirrors", "a", "repositories", 1, "tags"))
    'mirrors.a.repositories[1].tags'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


def read_yaml(text: str, name: str, *, advises: bool = True) -> Document:
    """Read a text of one document. ``name`` is the file's name in messages.

    :param advises: quote the corrected text of a line that is not valid YAML. Not for files that may hold passwords.
    :raises MirrorsFileError: with the line, when it is not valid YAML.
    """
    with explained(text, name, advises=advises), _loaded(_Loader(text)) as loader:
        document = Document(name)
        node = loader.get_single_node()
        return document if node is None else _read_node(node, document, split_lines(text))


def read_all_yaml(text: str, name: str) -> list[Any]:
    """The values of all documents in ``text``.

    :raises MirrorsFileError: with the line, when it is not valid YAML or has a duplicate key.
    """
    lines = split_lines(text)
    with explained(text, name), _loaded(_Loader(text)) as loader:
        documents = [_read_node(node, Document(name), lines) for node in _nodes(loader)]
    problems = tuple(
        f"{document.at(place)}: {show_place(place)}: {problem}"
        for document in documents
        for place, problem in document.problems
    )
    if problems:
        raise MirrorsFileError(problems)
    return [document.value for document in documents]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A scalar and its position in the text: the characters from ``start`` up to ``end``, with quotes.

    ``document`` is the number of its document in the text, from 0.
    """

    place: Place
    value: str
    start: int
    end: int
    line: int
    document: int = 0


def read_spans(text: str, name: str) -> list[Span]:
    """Every scalar value of all documents in ``text``. An alias repeats the scalars of its anchor.

    :raises MirrorsFileError: with the line, when it is not valid YAML.
    """
    # PyYAML's own loader: libyaml does not count a byte order mark
    with explained(text, name), _loaded(yaml.SafeLoader(text)) as loader:
        spans = list(islice(_all_spans(loader), MAX_VALUES + 1))
    if len(spans) > MAX_VALUES:
        raise MirrorsFileError((_too_many(f"{name}:1"),))
    return spans


def _too_many(line: str) -> str:
    return f"{line}: more than {MAX_VALUES} values; do aliases multiply them?"


@contextmanager
def _loaded(loader: Any) -> Iterator[Any]:
    try:
        yield loader
    finally:
        loader.dispose()


def _nodes(loader: Any) -> Iterator[yaml.Node]:
    while loader.check_node():
        yield loader.get_node()


def _all_spans(loader: Any) -> Iterator[Span]:
    for document, node in enumerate(_nodes(loader)):
        yield from _spans(node, (), document)


def _spans(node: yaml.Node, place: Place, document: int) -> Iterator[Span]:
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    problem = "a key must be a plain string (if this is a template, render it first)"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                yield from _spans(value, (*place, key.value), document)
        case yaml.SequenceNode():
            for index, item in enumerate(node.value):
                yield from _spans(item, (*place, index), document)
        case yaml.ScalarNode():
            start, end = node.start_mark, node.end_mark
            yield Span(
                place=place,
                value=node.value,
                start=start.index,
                end=end.index,
                line=start.line + 1,
                document=document,
            )


def _read_node(node: yaml.Node, document: Document, lines: list[str]) -> Document:
    document.value = _Reader(document, lines).read(node, ())
    return document


class _Reader:
    """Converts nodes to values, and records their lines and texts in the document."""

    def __init__(self, document: Document, lines: list[str]) -> None:
        self._document, self._lines = document, lines
        self._entries_by_node: dict[int, _Entries] = {}

    def read(self, node: yaml.Node, place: Place) -> Any:
        document = self._document
        document.lines.setdefault(place, node.start_mark.line + 1)
        if len(document.lines) > MAX_VALUES:
            raise MirrorsFileError((_too_many(document.at(place)),))
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map", place)
            if glob := self._glob_read_as_key(node):
                problem = f"expected a string, got a mapping; put it in quotes: {quoted(glob)}"
                self._document.problems.append((place, problem))
                return glob
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", place)
            return tuple(self.read(item, (*place, index)) for index, item in enumerate(node.value))
        return self._scalar(node, place)

    def _glob_read_as_key(self, node: yaml.MappingNode) -> str:
        """The item of a list in brackets that begins with ``?``, which marks a key; empty for other mappings.

        https://yaml.org/spec/1.2.2/#example-single-pair-explicit-entry
        """
        start, end = node.start_mark, node.end_mark
        line = self._lines[start.line]
        is_item = node.flow_style and line[start.column : start.column + 1] == "?" and start.line == end.line
        return line[start.column : end.column].strip() if is_item else ""

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Mapping[str, Any]:
        self._check_keys(node, place)
        values: dict[str, Any] = {}
        for name, (key, value) in self._entries(node).items():
            key_place = (*place, name)
            self._document.lines[key_place] = key.start_mark.line + 1
            values[name] = self.read(value, key_place)
        return values

    def _check_keys(self, node: yaml.MappingNode, place: Place) -> None:
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._document.lines[*place, "?"] = line
                problem = f"a key must be a plain string{self._advice(key)}"
                self._document.problems.append(((*place, "?"), problem))
            elif key.value in first_lines:
                problem = (
                    f"duplicate key {quoted(key.value)}, in line {first_lines[key.value]} and line {line}; keep one"
                )
                self._document.problems.append(((*place, key.value), problem))
            else:
                first_lines[key.value] = line

    def _entries(self, node: yaml.MappingNode) -> _Entries:
        """The key and value nodes by the key's text, with those that ``<<`` merges in.

        Cached by node, and each key once: neither merges nor duplicate keys multiply the values.
        """
        if id(node) not in self._entries_by_node:
            merged: _Entries = {}
            own: _Entries = {}
            for key, value in node.value:
                if key.tag == f"{_YAML}merge":
                    merged |= self._merged(value)
                elif isinstance(key, yaml.ScalarNode):
                    own[key.value] = (key, value)
            self._entries_by_node[id(node)] = merged | own
        return self._entries_by_node[id(node)]

    def _merged(self, value: yaml.Node) -> _Entries:
        """The entries that ``<<: value`` adds; earlier mappings of a list win (https://yaml.org/type/merge.html)."""
        entries: _Entries = {}
        for mapping in reversed(value.value) if isinstance(value, yaml.SequenceNode) else (value,):
            if not isinstance(mapping, yaml.MappingNode):
                problem = "<< needs a mapping, or a list of mappings"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mapping.start_mark)
            entries |= self._entries(mapping)
        return entries

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text = self._document.texts[place] = str(node.value)
        kind = node.tag.removeprefix(_YAML)
        if kind in _FORMS:
            try:
                return _parse_scalar(kind, text)
            except ValueError:
                self._document.problems.append((place, f"{quoted(text[:40])} is not a valid {_shown(node.tag)}"))
        elif kind not in ("str", "merge"):
            self._refuse_tag(node, place)
        return text

    def _check_tag(self, node: yaml.Node, kind: str, place: Place) -> None:
        if node.tag != f"{_YAML}{kind}":
            self._refuse_tag(node, place)

    def _refuse_tag(self, node: yaml.Node, place: Place) -> None:
        advice = self._advice(node) or "; remove it, or quote the value"
        self._document.problems.append((place, f"the YAML tag {_shown(node.tag)} is not supported{advice}"))

    def _advice(self, node: yaml.Node) -> str:
        """The correction of a line that YAML reads as another kind of value than meant; empty when there is none."""
        line = self._lines[node.start_mark.line]
        advice = advice_for_line(line) if len(line) <= LONGEST_LINE else ""
        return f"; {advice}" if advice else ""


def _parse_scalar(kind: str, text: str) -> Any:
    """:raises ValueError: when ``text`` has another form, or more digits than Python reads."""
    if not _FORMS[kind].match(text):
        raise ValueError(text)
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
    return float(text)


def _shown(tag: str) -> str:
    """A tag in its short form, ``!!int``."""
    return tag.replace(_YAML, "!!")
