"""Text from outside made harmless: what registries, skopeo and files say is read by people, in logs and terminals.

A tag, a repository's name or an error body may hold anything: control characters that move a terminal's cursor or
colour it, line ends that forge a log line, marks that turn the direction of writing, or ten megabytes.
"""

from __future__ import annotations

LONGEST_LINE = 10_000

LONGEST_TEXT = 200_000
"""Of a whole message, which has a line for each tag that failed."""


def one_line(text: str, limit: int = LONGEST_LINE) -> str:
    r"""``text`` as one line of at most ``limit`` printable characters; white space shrinks, the rest shows as escapes.

    >>> one_line("v1\x1b[31m\n2026-01-01 all is well")
    'v1\\x1b[31m 2026-01-01 all is well'
    """
    line = " ".join(text[: 4 * limit].split())
    if not line.isprintable():
        line = "".join(each if each.isprintable() else _escape(each) for each in line[:limit])
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def harmless(text: str) -> str:
    r"""A message of several lines: those are kept, and what stands in them is printable and of bounded length.

    >>> harmless("2 tags failed\n  v1: \x1b]0;title\x07")
    '2 tags failed\n  v1: \\x1b]0;title\\x07'
    """
    kept = text[:LONGEST_TEXT]
    if kept == text and all(each.isprintable() and len(each) <= LONGEST_LINE for each in text.split("\n")):
        return text
    lines = [each[:LONGEST_LINE] + "…" * (len(each) > LONGEST_LINE) for each in kept.split("\n")]
    shown = "\n".join("".join(each if each.isprintable() else _escape(each) for each in line) for line in lines)
    return shown if kept == text else f"{shown}\n… and {len(text) - len(kept)} characters more"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
