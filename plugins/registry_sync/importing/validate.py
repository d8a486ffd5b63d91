"""Make an imported mirrors file valid: an entry that ``validate`` refuses becomes a comment, with the reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from registry_sync.errors import MirrorsFileError
from registry_sync.importing.grouping import identity
from registry_sync.importing.model import Entry, Imported, Remark
from registry_sync.importing.write import Written, write_mirrors
from registry_sync.routes.load import parse_mirrors

_NAME = "mirrors.yaml"

_PROBLEM = re.compile(
    rf"{re.escape(_NAME)}:(\d+): (?:mirrors\.[\w-]+\.(?:repositories\[\d+\])?[\w.\[\]]*: )?(.*)", re.DOTALL
)


def write_valid(imported: Imported) -> tuple[Imported, str]:
    """The text of a valid mirrors file, and what was read with a remark at each entry that it leaves out.

    :raises MirrorsFileError: when the file is not valid even without the entries that have a problem.
    """
    while True:
        written = write_mirrors(imported)
        problems = _problems(written.text)
        refused = _refused(written, problems)
        if not refused:
            if problems:
                raise MirrorsFileError(problems)
            return imported, written.text
        imported = replace(imported, entries=_left_out(imported.entries, refused))


def _problems(text: str) -> tuple[str, ...]:
    try:
        return parse_mirrors(text, Path(_NAME))[1]
    except MirrorsFileError as error:
        return error.problems


def _refused(written: Written, problems: Iterable[str]) -> dict[Entry, str]:
    """The reasons against entries, by their identity."""
    refused: dict[Entry, str] = {}
    for problem in problems:
        match = _PROBLEM.match(problem)
        line, reason = (int(match[1]), match[2]) if match else (0, problem)
        draft = written.mirrors.get(line)
        entries: Collection[Entry] = draft.entries if draft else ()
        if line in written.entries:
            entries = (written.entries[line],)
        for entry in entries:
            refused.setdefault(identity(entry), reason)
    return refused


def _left_out(entries: Iterable[Entry], refused: dict[Entry, str]) -> tuple[Entry, ...]:
    return tuple(_refuse(entry, refused.get(identity(entry))) for entry in entries)


def _refuse(entry: Entry, reason: str | None) -> Entry:
    """The entry as a comment. One that goes to several registries is first written for each of them."""
    if reason is None or entry.is_left_out:
        return entry
    if not entry.is_alone:
        return replace(entry, is_alone=True)
    remark = Remark(file=entry.file, line=entry.line, text=f"{entry.source} is left out: {reason}")
    return replace(entry, is_left_out=True, remarks=(*entry.remarks, remark))
