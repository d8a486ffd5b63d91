"""Challenges of a registry: the ``WWW-Authenticate`` header, https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_LINES, _MAX_LENGTH = 20, 4096

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"

_SCHEME = re.compile(_NAME)

_TOKEN_68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")
"""A value in place of parameters, such as the one after ``Negotiate``."""

_PARAMETER = re.compile(rf'({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))', re.DOTALL)
"""A name and its value, quoted or not."""

_SEPARATORS = " \t\r\n,"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A challenge: its scheme in lower case, and its parameters by their name in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """Parse all challenges of all header lines. A line may have several, and a scheme may have no parameters.

    What is neither a scheme nor a parameter is skipped. The first value of a parameter counts.

    >>> [challenge.scheme for challenge in parse_challenges(['Negotiate, Basic realm="a, b"', "Bearer"])]
    ['negotiate', 'basic', 'bearer']
    """
    return [challenge for line in list(lines)[:_MAX_LINES] for challenge in _parse_line(line[:_MAX_LENGTH])]


def _parse_line(line: str) -> Iterator[Challenge]:
    parameters: dict[str, str] | None = None
    scheme = ""
    for match in _pieces(line):
        if match.re is _PARAMETER:
            if parameters is not None:
                value = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
                parameters.setdefault(match[1].lower(), value.strip())
        else:
            if parameters is not None:
                yield Challenge(scheme=scheme, parameters=parameters)
            scheme, parameters = match[0].lower(), {}
    if parameters is not None:
        yield Challenge(scheme=scheme, parameters=parameters)


def _pieces(line: str) -> Iterator[re.Match[Any]]:
    """Parameters and schemes. A scheme is at the beginning of the line or after a comma."""
    position, is_after_scheme = 0, False
    while position < len(line):
        start = position
        while position < len(line) and line[position] in _SEPARATORS:
            position += 1
        is_item = start == 0 or "," in line[start:position]
        token_68 = _TOKEN_68.match(line, position) if is_after_scheme and not is_item else None
        match = _PARAMETER.match(line, position) or (_SCHEME.match(line, position) if is_item else None)
        is_after_scheme = False
        if token_68 or match is None:
            position = token_68.end() if token_68 else position + 1
            continue
        yield match
        position, is_after_scheme = match.end(), match.re is _SCHEME
