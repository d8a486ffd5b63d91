"""The header fields of a response, read quickly: parsing them as those of a mail, as Python does, is slow."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LONGEST_LINE_BYTES, _MOST_FIELDS = 65_536, 100
"""Limits of Python's own parser."""

_WELL_FORMED = re.compile(r"(?:[!-9;-~]+:[^\r\n]*\r?\n)*\r?\n")
"""A head without continued lines and other oddities."""

_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:([^\n]*)\n", re.MULTILINE)

_ODD = ((re.compile(r"\r?\n[ \t]+"), " "), (re.compile(r"\r(?!\n)"), " "))
"""Line breaks within a field, and what they mean.

https://www.rfc-editor.org/rfc/rfc9112#section-5.2 and #section-2.2.
"""

_SPACE = " \t\r"
"""Stripped from values."""

_END = re.compile(rb"(?:\A|\n)\r?\n")
"""The empty line after a head."""


class HeaderFields(Mapping[str, str]):
    """Header fields. Lookup ignores case, and joins the values of a repeated field by commas."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = fields
        self._values: dict[str, str] = {}
        values = self._values
        for name, text in fields:
            key, value = name.lower(), text.strip(_SPACE)
            values[key] = f"{values[key]}, {value}" if key in values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field."""
        return self._values.get(name.lower(), default)

    def get_all(self, name: str, default: Any = None) -> Any:
        """The values of a field, one by one."""
        wanted = name.lower()
        if wanted not in self._values:
            return default
        return [text.strip(_SPACE) for name, text in self._fields if name.lower() == wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def read_head(stream: io.BufferedReader) -> HeaderFields:
    r"""Read header fields up to the empty line. A line that is not a field is left out, not those after it.

    >>> head = b"Range: 0-9\r\nodd\r\nrange: 1\r\n\r\n"
    >>> read_head(io.BufferedReader(io.BytesIO(head))).get("RANGE")
    '0-9, 1'

    :raises http.client.HTTPException: for a line or a number of fields beyond the limits, and for a head that breaks
        off.
    """
    text = (_read_arrived(stream) or _read_lines(stream)).decode("iso-8859-1")
    if not _WELL_FORMED.fullmatch(text):
        for pattern, meaning in _ODD:
            text = pattern.sub(meaning, text)
    return HeaderFields(_FIELD.findall(text))


def _read_arrived(stream: io.BufferedReader) -> bytes:
    """Read a head that has arrived as a whole, as most have; nothing otherwise. That is quicker than line by line."""
    arrived = stream.peek()
    end = _END.search(arrived)
    if end is None or arrived.count(b"\n", 0, end.end()) > _MOST_FIELDS:
        return b""
    return stream.read(end.end())


def _read_lines(stream: io.BufferedReader) -> bytes:
    lines = list[bytes]()
    while not lines or lines[-1] not in (b"\r\n", b"\n", b""):
        lines.append(stream.readline(_LONGEST_LINE_BYTES + 1))
        if len(lines[-1]) > _LONGEST_LINE_BYTES:
            raise http.client.LineTooLong("header line")
        if len(lines) > _MOST_FIELDS:
            raise http.client.HTTPException(f"got more than {_MOST_FIELDS} headers")
    if not lines[-1]:
        raise http.client.IncompleteRead(b"".join(lines))
    return b"".join(lines)
