"""Regular expressions of Go as patterns of a mirrors file, which match whole names.

Both are RE2's syntax. Go searches within a text, and tools that want whole names put ``^`` and ``$`` around the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry_sync.errors import ConfigurationError
from registry_sync.tags.patterns import parse_pattern, refuse_posix_classes
from registry_sync.tags.tag_patterns import found_within, parse_tag_pattern
from registry_sync.text import quoted

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

_PART = re.compile(r"\\Q.*?\\E|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|.", re.DOTALL)
"""A character of an expression, an escape, or a set."""


def whole_pattern(expression: str) -> str:
    r"""The pattern of tags that match an expression between ``^`` and ``$``, as regsync and dregsy write it.

    Without brackets around the alternatives, ``^a|b$`` matches tags that begin with a and tags that end with b.

    >>> whole_pattern("latest"), whole_pattern(r"3\.\d+"), whole_pattern("a|b")
    ('latest', '/3\\.\\d+/', '/a.*|.*b/')

    :raises ConfigurationError: when it is not an expression for tags.
    """
    if _PLAIN.fullmatch(expression):
        return expression
    parts = list(alternatives(expression))
    if len(parts) == 1:
        return _checked(f"/{expression}/")
    first, *middle, last = parts
    return _checked("/" + "|".join((f"{first}.*", *(f".*{part}.*" for part in middle), f".*{last}")) + "/")


def found_pattern(expression: str) -> str:
    r"""The pattern of tags within which an expression is found, as skopeo, image-syncer and retagger apply it.

    >>> found_pattern(r"^14\."), found_pattern("^1[.]2$"), found_pattern("rc")
    ('/^14\\..*/', '/^1[.]2$/', '/.*rc.*/')

    :raises ConfigurationError: when it is not an expression for tags.
    """
    refuse_posix_classes(expression)
    return _checked(found_within(parse_pattern(f"/{expression}/")))


def _checked(pattern: str) -> str:
    return parse_tag_pattern(pattern).text


def is_whole(expression: str) -> bool:
    """Return whether ``^`` and ``$`` around an expression apply to all of it."""
    return len(list(alternatives(expression))) == 1


def alternatives(expression: str) -> Iterator[str]:
    """The alternatives of an expression: its parts between each ``|`` outside of groups."""
    depth, part = 0, ""
    for piece in _PART.findall(expression):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "|" and depth == 0:
            yield part
            part = ""
        else:
            part += piece
    yield part


def version_part(expression: str) -> str:
    r"""The value of ``version:`` for an expression whose first group is the version, found anywhere in a tag.

    >>> version_part("^stable-(.*)$"), version_part("(.+)-amd64")
    ('stable-(.*)', '(.+)-amd64.*')

    :raises ConfigurationError: when it has no group, or several ways to match.
    """
    if not is_whole(expression):
        raise ConfigurationError(f"{quoted(expression)} has alternatives outside a group")
    pieces = _PART.findall(expression)
    groups = [index for index, piece in enumerate(pieces) if _is_capture(pieces, index)]
    if not groups:
        raise ConfigurationError(f"{quoted(expression)} has no group, whose text would be the version")
    for index in groups[1:]:
        pieces[index] = "(?:"
    text = "".join(pieces)
    before = "" if text.startswith(("^", "(.+)", "(.*)", ".*")) else ".*?"
    after = "" if text.endswith(("$", "(.+)", "(.*)", ".*", ".*)")) else ".*"
    return f"{before}{text.removeprefix('^').removesuffix('$')}{after}"


def _is_capture(pieces: list[str], index: int) -> bool:
    return pieces[index] == "(" and pieces[index + 1 : index + 2] != ["?"]
