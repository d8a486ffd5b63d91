"""A folder of mirrors files, one per team: its files as one text, and as one document.

The text of a folder is one string, so that it is kept and parsed like that of a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from registry_sync.config.reading.explain_errors import SECTION_MODELS, Problem, problem_texts
from registry_sync.config.reading.yaml_source import Document, Place
from registry_sync.errors import MirrorsFileError

_MARK = "\0"
"""The first character of the text of a folder. YAML cannot contain it."""

_SECTIONS = SECTION_MODELS.keys() - {"defaults"}
"""The sections that any file may have. Everything else at the top, beside ``env:``, is in one file only."""


def join_texts(texts: Mapping[str, str | None]) -> str:
    """The texts of the files by their names as one text; ``None`` for a file that is not read."""
    return _MARK + json.dumps(dict(texts))


def split_text(text: str, name: str) -> Mapping[str, str | None]:
    """The texts of the files by their names: of a folder, or of the single file ``name``."""
    return dict(json.loads(text[1:])) if text.startswith(_MARK) else {name: text}


def merge_documents(documents: Sequence[Document], name: str) -> Document:
    """The documents of a folder as one, with the file of every entry. A name that two files define is a problem.

    :param documents: in the order of their files. A single one whose name is ``name`` is returned as it is.
    :raises MirrorsFileError: when one is not a mirrors file, or when two have a part that only one may have.
    """
    if [document.name for document in documents] == [name]:
        return documents[0]
    merged, problems = Document(name, value={}), list[str]()
    for document in documents:
        problems += _whole_file_problems(document, merged)
        if not problems:
            _add(document, merged)
    if problems:
        raise MirrorsFileError(tuple(problems))
    return merged


def _whole_file_problems(document: Document, merged: Document) -> Sequence[str]:
    """The problems of a file beside those of its entries."""
    if not isinstance(document.value, dict):
        got = "nothing" if document.value is None else "a list" if isinstance(document.value, tuple) else "a value"
        return (f"{document.at(())}: expected registries:, mirrors: or nodes:, got {got}",)
    problems = [Problem(place, text) for place, text in document.problems if len(place) < 2]
    known = {problem.place for problem in problems}
    for key, value in document.value.items():
        if (key,) in known:
            continue
        if key in _SECTIONS and not isinstance(value, dict):
            problems.append(Problem((key,), "expected a mapping (name: ...)"))
        elif key == "env" and not isinstance(value, tuple):
            problems.append(Problem((key,), "expected a list, such as [a, b]"))
        elif key not in {*_SECTIONS, "env"} and (key,) in merged.files:
            both = f"{merged.at((key,))} and {document.at((key,))}"
            problems.append(Problem((key,), f"it is in two files, {both}; only one file of the folder may have it"))
    return problem_texts(problems, document)


def _add(document: Document, merged: Document) -> None:
    """Add a document to those before it. For an entry that they already have, only a problem is added."""
    new_places: dict[Place, Place] = {}
    for key, value in document.value.items():
        merged.files.setdefault((key,), document.name)
        if key in _SECTIONS:
            new_places |= _add_entries(document, merged, key)
        elif key == "env":
            items = merged.value.setdefault(key, ())
            new_places |= {(key, index): (key, len(items) + index) for index in range(len(value))}
            merged.value[key] = items + value
        else:
            merged.value[key] = value
            new_places[key,] = (key,)
    merged.files |= dict.fromkeys(new_places.values(), document.name)
    _add_places(document, merged, new_places)


def _add_entries(document: Document, merged: Document, section: str) -> dict[Place, Place]:
    """Add the entries of a section, and return the places of those that are new."""
    own = merged.value.setdefault(section, {})
    added = dict[Place, Place]()
    for name, entry in document.value[section].items():
        place = (section, name)
        if name in own:
            both = f"{merged.at(place)} and {document.at(place)}"
            merged.problems.append((place, f"it is defined twice, in {both}; keep one, or choose another name"))
        else:
            own[name], added[place] = entry, place
    return added


def _add_places(document: Document, merged: Document, new_places: Mapping[Place, Place]) -> None:
    """Add the lines and texts of the places below ``new_places``, which may have others in the merged document."""

    def new(place: Place) -> Place | None:
        for length in (1, 2):
            if len(place) >= length and (found := new_places.get(place[:length])):
                return (*found, *place[length:])
        return None

    pairs: Sequence[tuple[dict[Place, Any], dict[Place, Any]]] = (
        (document.lines, merged.lines),
        (document.texts, merged.texts),
        (document.empty_variables, merged.empty_variables),
    )
    for source, target in pairs:
        target |= {there: value for place, value in source.items() if (there := new(place))}
    merged.problems += [(there, text) for place, text in document.problems if (there := new(place))]
    for key in document.value:
        merged.lines.setdefault((key,), document.line((key,)))
