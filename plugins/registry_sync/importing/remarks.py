"""Remarks as lines of text: a sentence about many lines is printed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from registry_sync.importing.model import Imported, Remark
from registry_sync.text import one_line

MAX_LINES = 5
"""Line numbers that a sentence of many lines names."""


def all_remarks(imported: Imported) -> list[Remark]:
    """The remarks about the file, its registries and its entries, in the order of their lines."""
    remarks = (
        *imported.remarks,
        *(remark for registry in imported.registries for remark in registry.remarks),
        *(remark for entry in imported.entries for remark in entry.remarks),
    )
    return sorted(dict.fromkeys(remarks), key=lambda remark: (remark.file, remark.line))


def grouped_lines(remarks: Iterable[Remark], lost_mark: str = "") -> Iterator[str]:
    """``FILE:LINE: text`` for each sentence, with ``lost_mark`` before the text of a loss."""
    places: dict[tuple[str, bool, str], list[int]] = {}
    for remark in remarks:
        places.setdefault((remark.file, remark.is_lost, remark.text), []).append(remark.line)
    for (file, is_lost, text), lines in places.items():
        others = f" and {len(lines) - MAX_LINES} more lines" if len(lines) > MAX_LINES else ""
        numbers = ", ".join(str(line) for line in sorted(set(lines))[:MAX_LINES])
        yield one_line(f"{file}:{numbers}{others}: {lost_mark if is_lost else ''}{text}", 2000)
