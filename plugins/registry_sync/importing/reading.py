"""Read the values of another tool's file by key, with their lines and without quoting secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_sync.config.reading.yaml_source import Document, Place, show_place
from registry_sync.importing.model import Remark
from registry_sync.text import one_line, quoted

_SECRET = re.compile(r"pass|token|secret|auth|cred|key", re.IGNORECASE)

_USER_INFO = re.compile(r"(?:(?<=//)|(?<![^\s'\"]))[^/\s@'\"]+:[^/\s@'\"]+@(?!sha\d+:)")


def shown(text: str) -> str:
    """A value as remarks quote it: in one line, and without the login of an address.

    >>> shown("https://robot:hunter2@quay.example/app")
    "'https://…@quay.example/app'"
    """
    return quoted(without_login(one_line(text, 120)))


def without_login(text: str) -> str:
    """A text without logins of addresses in it."""
    return _USER_INFO.sub("…@", text)


class NoCounterpart(Exception):
    """An entry has no counterpart in a mirrors file. ``line`` and the text are those of its remark."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of a file. Reading a key marks it as read; :meth:`unread` lists the others."""

    document: Document
    place: Place
    value: Mapping[str, Any]
    _read: set[str] = field(default_factory=set)

    @property
    def line(self) -> int:
        return self.document.line(self.place)

    def line_of(self, *keys: str | int) -> int:
        """The line of a key, or of a place below it."""
        return self.document.line((*self.place, *keys))

    def name_of(self, key: str) -> str:
        """The place of a key as text, such as ``sync[1].tags``."""
        return show_place((*self.place, key))

    def has(self, key: str) -> bool:
        """Return whether a key has a value. Marks it as read."""
        self._read.add(key)
        return self.value.get(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """A scalar as it is written. :raises NoCounterpart: when it is a list or a mapping."""
        self._read.add(key)
        value = self.value.get(key)
        if isinstance(value, Mapping | tuple):
            raise self._wrong(key, "a text", value)
        return default if value is None else self._scalar((*self.place, key), value)

    def required(self, key: str) -> str:
        """A required scalar. :raises NoCounterpart: when it is absent."""
        if text := self.text(key):
            return text
        raise self.no_counterpart("is missing", key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of scalars; a scalar alone is a list of one. :raises NoCounterpart: when it is something else."""
        self._read.add(key)
        value = self.value.get(key)
        if isinstance(value, Mapping) or (
            isinstance(value, tuple) and any(isinstance(v, Mapping | tuple) for v in value)
        ):
            raise self._wrong(key, "a list of texts", value)
        if not isinstance(value, tuple):
            return (self.text(key),) if value is not None else ()
        return tuple(self._scalar((*self.place, key, index), item) for index, item in enumerate(value))

    def flag(self, key: str) -> bool | None:
        """A boolean, also as YAML 1.1 writes it; ``None`` without one. :raises NoCounterpart: for other values."""
        text = self.text(key).lower()
        if text in ("", "true", "yes", "on", "false", "no", "off"):
            return text in ("true", "yes", "on") if text else None
        raise self._wrong(key, "true or false", self.value.get(key))

    def number(self, key: str) -> float | None:
        """A number; ``None`` when it is absent. :raises NoCounterpart: for other values."""
        text = self.text(key)
        if not text:
            return None
        if not re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", text):
            raise self._wrong(key, "a number", self.value.get(key))
        return float(text)

    def section(self, key: str) -> Section:
        """A mapping, empty when it is absent. :raises NoCounterpart: when it is something else."""
        self._read.add(key)
        value = self.value.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, "a mapping", value)
        return Section(self.document, (*self.place, key), value or {})

    def sections(self, key: str) -> tuple[Section, ...]:
        """A list of mappings, empty when it is absent. :raises NoCounterpart: when it is something else."""
        self._read.add(key)
        value = self.value.get(key)
        if value is None:
            return ()
        if not isinstance(value, tuple):
            raise self._wrong(key, "a list of mappings", value)
        return items(self.document, (*self.place, key), value)

    def unread(self) -> Iterator[str]:
        """The keys that were not read, except those for anchors."""
        return (key for key in self.value if key not in self._read and not key.startswith("x-"))

    def remark(self, text: str, key: str = "", *, is_lost: bool = True) -> Remark:
        """A remark at the section, or at a key of it; the remark then begins with the key."""
        if not key:
            return Remark(file=self.document.name, line=self.line, text=text, is_lost=is_lost)
        return Remark(
            file=self.document.name, line=self.line_of(key), text=f"{self.name_of(key)}: {text}", is_lost=is_lost
        )

    def no_counterpart(self, text: str, key: str = "") -> NoCounterpart:
        """The error for a section without a counterpart in a mirrors file, with a remark at a key."""
        remark = self.remark(text, key)
        return NoCounterpart(remark.line, remark.text)

    def _scalar(self, place: Place, value: Any) -> str:
        return self.document.texts.get(place, str(value))

    def _wrong(self, key: str, expected: str, value: Any) -> NoCounterpart:
        return self.no_counterpart(f"expected {expected}, got {_kind_of(key, value)}", key)


def _kind_of(key: str, value: Any) -> str:
    """A value of another kind than expected, which may be a secret."""
    match value:
        case Mapping():
            return "a mapping"
        case tuple():
            return "a list"
    return "another value" if _SECRET.search(key) else shown(str(value))


def items(document: Document, place: Place, value: tuple[Any, ...]) -> tuple[Section, ...]:
    """The mappings of a list. :raises NoCounterpart: when one is something else."""
    sections = []
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            here = (*place, index)
            raise NoCounterpart(document.line(here), f"{show_place(here)}: expected a mapping, got something else")
        sections.append(Section(document, (*place, index), item))
    return tuple(sections)


def whole(document: Document) -> Section:
    """The mapping that a document is. :raises NoCounterpart: when it is something else."""
    if not isinstance(document.value, Mapping):
        raise NoCounterpart(1, "expected a mapping, got something else")
    return Section(document, (), document.value)


def unread_remarks(section: Section) -> tuple[Remark, ...]:
    """A remark for each key that this import does not know."""
    return tuple(
        section.remark("this key is unknown to the import; look up its meaning", key) for key in section.unread()
    )
