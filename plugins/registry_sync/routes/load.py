"""Load a mirrors file: read, validate, check."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from registry_sync.config.explain_errors import (
    SECTION_MODELS,
    Problem,
    explain_error,
    find_empty_values,
    is_echo,
    problem_texts,
)
from registry_sync.config.model import MirrorsDocument, MirrorsFile
from registry_sync.config.yaml_source import Document, read_yaml
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.checks import (
    check_mirrors,
    check_options,
    check_pools_of_file,
    uses_known_registries,
)

PATH_VARIABLE = "REGISTRY_SYNC_MIRRORS_FILE"


def mirrors_path(project: Path) -> Path:
    """Where the mirrors file is: ``include/mirrors.yaml`` in ``project``, unless the environment names another."""
    return Path(os.environ.get(PATH_VARIABLE) or project / "include" / "mirrors.yaml")


def load_mirrors(path: Path) -> MirrorsFile:
    """Read a mirrors file.

    :raises MirrorsFileError: with all that is wrong with it.
    """
    file, problems = load_healthy_mirrors(path)
    if problems:
        raise MirrorsFileError(problems)
    return file


def load_healthy_mirrors(path: Path, only: str | None = None) -> tuple[MirrorsFile, tuple[str, ...]]:
    """Read a mirrors file without the mirrors and node pools that have a problem, and all problems as text.

    :param only: the name of one mirror; the others are then not even looked at, which is fast.
    :raises MirrorsFileError: when nothing of it can be used.
    """
    document = read_yaml(_read(path), path.name)
    if only is not None and isinstance(document.value, dict) and isinstance(document.value.get("mirrors"), dict):
        document.value["mirrors"] = {name: each for name, each in document.value["mirrors"].items() if name == only}
        document.value.pop("nodes", None)
    problems = [Problem(place, text) for place, text in document.problems]
    written = _validate(document, problems)
    registries = {name: entry.parse(name) for name, entry in written.registries.items()}
    mirrors = {name: entry.parse(name, written.defaults) for name, entry in written.mirrors.items()}
    pools = {name: entry.parse(name) for name, entry in written.nodes.items()}
    file = MirrorsFile(path=path, registries=registries, mirrors=mirrors, node_pools=pools)
    problems += check_mirrors(file, document)
    problems += [each for mirror in mirrors.values() for each in check_options(mirror)]
    broken = {each.place[1] for each in problems if each.place[0] == "mirrors"}
    healthy = {
        name: each for name, each in mirrors.items() if name not in broken and uses_known_registries(each, registries)
    }
    problems += check_pools_of_file(file, document, is_whole=all(each.place[0] == "nodes" for each in problems))
    sick = {each.place[1] for each in problems if each.place[0] == "nodes" and len(each.place) > 1}
    pools = {name: each for name, each in pools.items() if name not in sick}
    sound = MirrorsFile(path=path, registries=registries, mirrors=healthy, node_pools=pools)
    return sound, problem_texts(problems, document)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a mirrors file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MirrorsDocument.model_json_schema()}


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        advice = f"is there a file? {PATH_VARIABLE} names another place"
        raise MirrorsFileError((f"{path}: the mirrors file cannot be read ({error}); {advice}",)) from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"{path.name}:{line}: this is not UTF-8 text ({error.reason}); save it with that encoding"
        raise MirrorsFileError((problem,)) from error


def _validate(document: Document, problems: list[Problem]) -> MirrorsDocument:
    """The document's sound entries; what is wrong with the others is added to ``problems``.

    :raises MirrorsFileError: when something is wrong outside any entry of registries, mirrors or nodes.
    """
    found: list[Problem] = []
    written = None
    try:
        written = MirrorsDocument.model_validate(document.value)
    except ValidationError as error:
        found = [explain_error(each, document) for each in error.errors(include_url=False) if not is_echo(each)]
    for some in (found, list(find_empty_values(document))):
        known = {each.place for each in problems}
        problems += [each for each in some if each.place not in known]
    if written and not problems:
        return written
    broken = {each.place[:2] for each in problems} - {("nodes",)}
    if any(len(each) < 2 or each[0] not in SECTION_MODELS.keys() - {"defaults"} for each in broken):
        raise MirrorsFileError(problem_texts(problems, document))
    sound = dict(document.value)
    if not isinstance(sound.get("nodes"), Mapping):
        sound.pop("nodes", None)
    for section in sound.keys() & {"registries", "mirrors", "nodes"}:
        sound[section] = {name: each for name, each in sound[section].items() if (section, name) not in broken}
    return MirrorsDocument.model_validate(sound)
