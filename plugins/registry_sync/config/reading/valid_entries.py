"""The valid entries of a document, and the problems of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from registry_sync.config.entries.document import MirrorsDocument
from registry_sync.config.reading.explain_errors import (
    SECTION_MODELS,
    Problem,
    explain_error,
    find_empty_values,
    find_missing_keys,
    is_echo,
    problem_texts,
)
from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import MirrorsFileError

_SECTIONS = SECTION_MODELS.keys() - {"defaults"}
"""The sections whose entries are independent: one with a problem leaves the others usable."""


def validate_entries(document: Document, model: type[MirrorsDocument]) -> tuple[MirrorsDocument, list[Problem]]:
    """The valid entries of a document, and the problems of the others.

    pydantic returns no partial result. After a problem, the document is validated again without the broken entries.

    :raises MirrorsFileError: when a problem lies outside the entries of registries, mirrors and nodes.
    """
    entries, problems = _parse(document, model)
    if entries and not problems:
        return entries, problems
    broken = {problem.place[:2] for problem in problems} - {("nodes",)}
    if any(len(place) < 2 or place[0] not in _SECTIONS for place in broken):
        raise MirrorsFileError(problem_texts(problems, document))
    return model.model_validate(_without_entries(document.value, broken)), problems


def _parse(document: Document, model: type[MirrorsDocument]) -> tuple[MirrorsDocument | None, list[Problem]]:
    """The document as entries, if all of them are valid, and its problems, one for each place from each source."""
    entries, invalid = None, list[Problem]()
    try:
        entries = model.model_validate(document.value)
    except ValidationError as error:
        invalid = [
            explain_error(problem, document) for problem in error.errors(include_url=False) if not is_echo(problem)
        ]
    problems = [Problem(place, text) for place, text in document.problems]
    problems += _at_other_places(invalid, problems)
    problems += _at_other_places(find_empty_values(document), problems)
    if isinstance(document.value, dict):
        problems += find_missing_keys(document)
    return entries, problems


def _at_other_places(problems: Iterable[Problem], reported: Iterable[Problem]) -> list[Problem]:
    places = {problem.place for problem in reported}
    return [problem for problem in problems if problem.place not in places]


def _without_entries(value: Mapping[str, Any], broken: set[tuple[str | int, ...]]) -> Mapping[str, Any]:
    """The content of a document without ``broken`` entries, and without ``nodes`` if it is not a mapping."""
    kept = {
        section: content for section, content in value.items() if section != "nodes" or isinstance(content, Mapping)
    }
    for section in kept.keys() & _SECTIONS:
        kept[section] = {name: entry for name, entry in kept[section].items() if (section, name) not in broken}
    return kept
