"""The header fields of a response, read quickly: parsing them as those of a mail, as Python does, is slow."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterable
from typing import Any, BinaryIO

_LONGEST_LINE_BYTES, _MOST_FIELDS = 65_536, 100
"""Limits of Python's own parser."""

_WELL_FORMED = re.compile(r"(?:[!-9;-~]+:[^\r\n]*\r?\n)*\r?\n")
"""A head without continued lines and other oddities, which Python's own parser knows."""

_FIELD = re.compile(r"([!-9;-~]+):[ \t]*([^\r\n]*)\r?\n")


class ResponseHead(http.client.HTTPMessage):
    """Well-formed header fields. Lookup ignores case and returns the first value of a name."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._fields = tuple(fields)
        self._first = {name.lower(): value for name, value in reversed(self._fields)}
        for name, value in self._fields:
            self.set_raw(name, value)

    def get(self, name: str, failobj: Any = None) -> Any:
        """The first value of a field."""
        return self._first.get(name.lower(), failobj)

    def items(self) -> list[tuple[str, str]]:
        """All fields in their order."""
        return list(self._fields)

    def get_payload(self, *_: Any, **__: Any) -> None:
        """Return nothing: the body is not part of the head."""


def read_head(stream: BinaryIO) -> http.client.HTTPMessage:
    r"""Read header fields up to the empty line. A head that is not well-formed is parsed by Python.

    >>> read_head(io.BytesIO(b"Range: 0-9\r\nrange: 1\r\n\r\n")).get("RANGE")
    '0-9'

    :raises http.client.HTTPException: for a line or a number of fields beyond the limits, and for a head that breaks
        off.
    """
    lines = _read_lines(stream)
    if not lines[-1]:
        raise http.client.IncompleteRead(b"".join(lines))
    text = b"".join(lines).decode("iso-8859-1")
    if _WELL_FORMED.fullmatch(text):
        return ResponseHead(_FIELD.findall(text))
    return http.client.parse_headers(io.BytesIO(b"".join(lines)))


def _read_lines(stream: BinaryIO) -> list[bytes]:
    lines = list[bytes]()
    while not lines or lines[-1] not in (b"\r\n", b"\n", b""):
        lines.append(stream.readline(_LONGEST_LINE_BYTES + 1))
        if len(lines[-1]) > _LONGEST_LINE_BYTES:
            raise http.client.LineTooLong("header line")
        if len(lines) > _MOST_FIELDS:
            raise http.client.HTTPException(f"got more than {_MOST_FIELDS} headers")
    return lines
