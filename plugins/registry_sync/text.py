"""Text from registries, skopeo and files, made safe for logs and terminals.

A tag, a repository name or an error body may contain anything: control characters that move a terminal's cursor or
change its colours, line ends that forge a log line, marks that reverse the writing direction, or ten megabytes.
"""

from __future__ import annotations

LONGEST_LINE = 10_000

LONGEST_TEXT = 200_000
"""Limit of a whole message, which has a line for each failed tag."""


def one_line(text: str, limit: int = LONGEST_LINE) -> str:
    r"""``text`` as one line of at most ``limit`` printable characters. White space is collapsed, the rest is escaped.

    >>> one_line("v1\x1b[31m\n2026-01-01 all is well")
    'v1\\x1b[31m 2026-01-01 all is well'
    """
    line = " ".join(text[: 4 * limit].split())
    if not line.isprintable():
        line = _printable(line[:limit])
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def harmless(text: str) -> str:
    r"""A message with its line ends kept. Unprintable characters are escaped, and long lines and messages are cut.

    >>> harmless("2 tags failed\n  v1: \x1b]0;title\x07")
    '2 tags failed\n  v1: \\x1b]0;title\\x07'
    """
    kept = text[:LONGEST_TEXT]
    if kept == text and all(line.isprintable() and len(line) <= LONGEST_LINE for line in text.split("\n")):
        return text
    lines = [line[:LONGEST_LINE] + "…" * (len(line) > LONGEST_LINE) for line in kept.split("\n")]
    shown = "\n".join(map(_printable, lines))
    return shown if kept == text else f"{shown}\n… and {len(text) - len(kept)} characters more"


def quoted(text: str) -> str:
    r"""``text`` as a YAML scalar in single quotes, to be pasted into a mirrors file. Unprintable text is escaped.

    >>> print(quoted(r"/14\..*/"), quoted("it's"))
    '/14\..*/' 'it''s'
    """
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else repr(text)


def _printable(line: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in line
    )
