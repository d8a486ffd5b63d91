"""Plain-text tables and byte counts for people."""

from __future__ import annotations

from collections.abc import Sequence


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


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Format rows under headings; columns in ``right`` are right-aligned."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    return "\n".join(_line(cells, widths, right) for cells in (headings, ["─" * width for width in widths], *rows))


def _line(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
