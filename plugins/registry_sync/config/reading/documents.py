"""YAML documents of a mirrors file, or of each file of its folder: the requested parts, with variables expanded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from registry_sync.config.reading.other_tools import foreign_file, recognize, recognize_text
from registry_sync.config.reading.variables import expand_variables
from registry_sync.config.reading.yaml_source import Document, Place, read_yaml
from registry_sync.errors import MirrorsFileError


def read_documents(texts: Mapping[str, str | None], only: str | None, *, with_rules: bool) -> list[Document]:
    """Read the requested parts of each file by itself, because anchors and ``env:`` belong to one file.

    :param texts: by the names of the files; ``None`` for a file that is not read.
    :param only: the name of one mirror; the others and the node pools are left out.
    :param with_rules: ``False`` leaves out what is below ``repositories:``.
    :raises MirrorsFileError: with the problems of all that cannot be read.
    """
    documents = _read_all(texts)
    for document in documents:
        _remove_extensions(document)
        if only is not None:
            _keep_one_mirror(document, only)
        if not with_rules:
            _remove_rules(document)
        expand_variables(document, os.environ)
    return documents


def _read_all(texts: Mapping[str, str | None]) -> list[Document]:
    documents, problems = list[Document](), list[str]()
    for name, text in texts.items():
        try:
            documents += [_read_document(text, name)] if text is not None else []
        except MirrorsFileError as error:
            problems += error.problems
    if problems:
        raise MirrorsFileError(tuple(problems))
    return documents


def _read_document(text: str, name: str) -> Document:
    """Read the YAML of a mirrors file. :raises MirrorsFileError: also when it is a file of another tool."""
    if tool := recognize_text(text):
        raise MirrorsFileError((f"{name}: {foreign_file(tool, name)}",))
    document = read_yaml(text, name)
    if tool := recognize(document.value):
        raise MirrorsFileError((f"{name}: {foreign_file(tool, name)}",))
    return document


def _remove_extensions(document: Document) -> None:
    """Remove the keys ``x-…`` at the top, whose values only serve as anchors."""
    if isinstance(document.value, dict):
        document.value = {key: value for key, value in document.value.items() if not key.startswith("x-")}
        document.problems = [problem for problem in document.problems if not _is_extension(problem[0])]


def _is_extension(place: Place) -> bool:
    return bool(place) and str(place[0]).startswith("x-")


def _keep_one_mirror(document: Document, name: str) -> None:
    """Remove the other mirrors, and the node pools, from a document that has mirrors."""
    value = document.value
    if isinstance(value, dict) and isinstance(value.get("mirrors"), dict):
        value["mirrors"] = {mirror: entry for mirror, entry in value["mirrors"].items() if mirror == name}
        value.pop("nodes", None)


def _remove_rules(document: Document) -> None:
    """Remove the rules of all mirrors. Checking them takes most of the time of reading a long file."""
    if isinstance(document.value, dict) and isinstance(document.value.get("mirrors"), dict):
        document.value["mirrors"] = {name: _without_rules(entry) for name, entry in document.value["mirrors"].items()}
        document.problems = [problem for problem in document.problems if problem[0][2:3] != ("repositories",)]


def _without_rules(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "repositories"} if isinstance(entry, dict) else entry
