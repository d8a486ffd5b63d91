"""The mirrors file for DAG files: while it cannot be read, its last good text is used.

DAG processor and tasks read the file alike. Each machine or container keeps the text that it read last. Without one,
as in a new container, the error is raised, and the file's DAGs end with an import error.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from registry_sync.config.document import MirrorsFile
from registry_sync.config.reading.file_text import mirrors_path, read_mirrors_text
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors, parse_mirrors
from registry_sync.worker.kept_text import keep_text, read_kept_text

log = logging.getLogger(__name__)


def load_dag_mirrors(dag_file: Path, only: str | None = None, *, with_rules: bool = True) -> MirrorsFile:
    """The healthy mirrors and node pools of the file, or of its last good text, whose ``note`` then says so.

    :param dag_file: a DAG file of the project.
    :param only: the name of one mirror; the others and the node pools are skipped.
    :param with_rules: ``False`` skips the rules of mirrors, and what is wrong with them.
    :raises MirrorsFileError: when neither can be read.
    """
    path = _path(dag_file)
    try:
        text = read_mirrors_text(path)
        file, problems = parse_mirrors(text, path, only, with_rules=with_rules)
    except MirrorsFileError as error:
        return _load_kept(dag_file, only, error, with_rules=with_rules)
    keep_text(_name_of_kept(dag_file), text)
    _log_problems(only, file, problems)
    return replace(file, problems=problems)


def check_mirrors_file(dag_file: Path) -> None:
    """:raises MirrorsFileError: with all problems of the file, and the mirrors that run until they are corrected."""
    try:
        load_mirrors(_path(dag_file))
    except MirrorsFileError as error:
        raise MirrorsFileError((*error.problems, *_what_runs(dag_file))) from None


def list_file_problems(dag_file: Path) -> tuple[str, ...]:
    """All problems of the file, as ``file:line: message``. Mirrors with a problem do not run."""
    try:
        load_mirrors(_path(dag_file))
    except MirrorsFileError as error:
        return error.problems
    return ()


def _path(dag_file: Path) -> Path:
    return mirrors_path(dag_file.resolve().parent.parent)


def _name_of_kept(dag_file: Path) -> Path:
    """The path under which the text is kept: it stays the same where git-sync makes a new folder for each commit."""
    return mirrors_path(dag_file.absolute().parent.parent)


def _what_runs(dag_file: Path) -> tuple[str, ...]:
    try:
        note = load_dag_mirrors(dag_file).note
    except MirrorsFileError:
        return ("no mirror runs until this is corrected: this machine has no earlier text of the file",)
    return (note,) if note else ()


def _load_kept(dag_file: Path, only: str | None, error: MirrorsFileError, *, with_rules: bool) -> MirrorsFile:
    """:raises MirrorsFileError: ``error``, when no usable text is kept."""
    kept = read_kept_text(_name_of_kept(dag_file))
    if kept is None:
        raise error from None
    try:
        file, problems = parse_mirrors(kept.text, _path(dag_file), only, with_rules=with_rules)
    except MirrorsFileError:
        raise error from None
    time = f"{kept.kept_at:%Y-%m-%d %H:%M} UTC"
    note = f"the mirrors file has an error; runs use its text of {time} until it is corrected: {error.problems[0]}"
    log.warning("%s", note)
    _log_problems(only, file, problems)
    return replace(file, note=note, problems=error.problems)


def _log_problems(only: str | None, file: MirrorsFile, problems: Sequence[str]) -> None:
    """Log the reason why a task finds no DAG: its mirror has an error on this machine, or is not in an earlier text.

    A mirror that runs without pruning, beside one with a mistake, has a problem as well.
    """
    if only is not None and only not in file.mirrors:
        reason = "; ".join(problems) or "the text of the mirrors file does not have it"
        log.error("the mirror %r cannot run on this machine: %s", only, reason)
    elif only is not None:
        for problem in (problem for problem in problems if f": mirrors.{only}: " in problem):
            log.warning("%s", problem)
