"""Values as YAML, in the few forms that a mirrors file needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from registry_sync.text import quoted

WIDTH = 110
"""Characters of a line, as far as its values allow."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")

_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def scalar(value: str | float | bool) -> str:
    """A scalar, in quotes where YAML would read it as something else, and with ``${`` escaped as ``$${``.

    >>> scalar("v1.2"), scalar("1.10"), scalar("no"), scalar(4), scalar(1234567.5), scalar(True)
    ('v1.2', "'1.10'", "'no'", '4', '1234567.5', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return quoted(value.replace("${", "$${"))


def flow(value: Any) -> str:
    """A value in one line.

    >>> flow({"names": ("latest", "1.0"), "newest": 3})
    "{names: [latest, '1.0'], newest: 3}"
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def block(value: Any, indent: str) -> Iterator[str]:
    """The lines of a mapping or a list, each value in one line where it is short enough."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _item(f"{indent}{key}:", item, f"{indent}  ")
    else:
        for item in value:
            yield from list_item(item, indent)


def list_item(value: Any, indent: str) -> Iterator[str]:
    """The lines of a value in a list."""
    line = f"{indent}- {flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, Mapping):
        yield line
        return
    first, *others = block(value, f"{indent}  ")
    yield f"{indent}- {first.strip()}"
    yield from others


def _item(start: str, value: Any, indent: str) -> Iterator[str]:
    line = f"{start} {flow(value)}"
    if len(line) <= WIDTH or isinstance(value, str | int | float):
        yield line
    elif isinstance(value, Mapping) or any(isinstance(item, Mapping) for item in value):
        yield start
        yield from block(value, indent)
    else:
        yield from _filled(f"{start} [", [scalar(item) for item in value], indent)


def _filled(line: str, words: Sequence[str], indent: str) -> Iterator[str]:
    """A list in brackets, over several lines."""
    for index, word in enumerate(words):
        end = "]" if index == len(words) - 1 else ","
        if len(line) + len(word) + 2 > WIDTH:
            yield line.rstrip()
            line = indent
        line += f"{word}{end} "
    yield line.rstrip()
