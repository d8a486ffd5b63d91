"""Plain-text tables, byte counts and durations for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LINE_WIDTH = 120
"""Maximum width of tables with texts. Wide columns beside the texts may exceed it."""

_NARROWEST_TEXT = 72

_GAP = "  "


def human_bytes(count: float) -> str:
    """Format a number of bytes with a decimal unit.

    >>> human_bytes(999), human_bytes(1234567)
    ('999 B', '1.2 MB')
    """
    if count < 999.5:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def human_duration(seconds: float) -> str:
    """Format a duration by its two largest units.

    >>> human_duration(42), human_duration(7500), human_duration(10 * 86400 + 3601)
    ('42 s', '2 h 5 min', '10 d 1 h')
    """
    whole = max(0, round(seconds))
    for (unit, length), (lower, part) in pairwise(_UNITS):
        if whole >= length:
            count, rest = divmod(whole, length)
            return f"{count} {unit} {rest // part} {lower}" if rest // part else f"{count} {unit}"
    return f"{whole} s"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Format rows under headings; columns in ``right`` are right-aligned."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    return "\n".join(_line(cells, widths, right) for cells in (headings, ["─" * width for width in widths], *rows))


def table_with_texts(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    width: int = LINE_WIDTH,
    narrowest: int = _NARROWEST_TEXT,
) -> str:
    """Format a table whose last column is text, in lines of about ``width`` characters.

    A longer text stands below the table, once for all rows that have it, and the rows have its number.

    :param narrowest: minimum width of that column, even when the other columns leave less.
    """
    columns = range(len(headings) - 1)
    others = sum(max(len(row[column]) for row in (headings, *rows)) + len(_GAP) for column in columns)
    room = max(width - others, narrowest)
    long = list(dict.fromkeys(row[-1] for row in rows if len(row[-1]) > room))
    numbers = {text: f"[{number}]" for number, text in enumerate(long, start=1)}
    short = [(*row[:-1], numbers.get(row[-1], row[-1])) for row in rows]
    below = [f"{number} {text}" for text, number in numbers.items()]
    return "\n\n".join([table(headings, short, right=right), *below])


def _line(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(padded).rstrip()
