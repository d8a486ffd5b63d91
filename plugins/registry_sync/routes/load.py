"""Load a mirrors file: read, validate, build, check."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from registry_sync.config.document import MirrorsFile
from registry_sync.config.entries.document import HeadersDocument, MirrorsDocument
from registry_sync.config.images.listed_images import expand_image_lists
from registry_sync.config.reading.explain_errors import (
    SECTION_MODELS,
    Problem,
    explain_error,
    find_empty_values,
    find_missing_keys,
    is_echo,
    problem_texts,
)
from registry_sync.config.reading.mirrors_folder import join_texts, merge_documents, split_text
from registry_sync.config.reading.other_tools import foreign_file, recognize, recognize_text
from registry_sync.config.reading.variables import expand_variables
from registry_sync.config.reading.yaml_source import Document, Place, read_yaml
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.bootstrap_images import place_images
from registry_sync.routes.checks.all_checks import check_mirrors
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.checks.node_pools import check_pools
from registry_sync.routes.graph import RouteMap, uses_known_registries
from registry_sync.routes.unread_mirrors import prunes, stop_pruning

PATH_VARIABLE = "REGISTRY_SYNC_MIRRORS_FILE"


def mirrors_path(project: Path) -> Path:
    """The path of the mirrors file: from the environment, else ``include/mirrors.yaml`` in a project or Airflow's home.

    :param project: the folder with ``dags/`` or ``plugins/``. It comes first where it has the file: a DAG bundle has
        that of its commit. Without a file it is still named where it has the folder ``include/``.
    """
    if named := os.environ.get(PATH_VARIABLE):
        return Path(named)
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    own, at_home = (folder / "include" / "mirrors.yaml" for folder in (project, home))
    return own if own.exists() or (own.parent.is_dir() and not at_home.exists()) else at_home


def load_mirrors(path: Path) -> MirrorsFile:
    """Read a mirrors file.

    :raises MirrorsFileError: with all problems of the file.
    """
    file, problems = load_healthy_mirrors(path)
    if problems:
        raise MirrorsFileError(problems)
    return file


def load_healthy_mirrors(path: Path) -> tuple[MirrorsFile, tuple[str, ...]]:
    """Read a mirrors file without the mirrors and node pools that have a problem, and all problems as text.

    :raises MirrorsFileError: when a problem concerns the whole file.
    """
    return parse_mirrors(read_mirrors_text(path), path)


def parse_mirrors(
    text: str, path: Path, only: str | None = None, *, with_rules: bool = True
) -> tuple[MirrorsFile, tuple[str, ...]]:
    """Parse the text of the mirrors file ``path``: what is healthy in it, and all problems as text.

    :param only: the name of one mirror; the others and the node pools are skipped, which is fast. All are read for one
        that prunes.
    :param with_rules: ``False`` skips what is below ``repositories:``, with its problems: mirrors have no rules then.
    :raises MirrorsFileError: when a problem concerns the whole file.
    """
    file, problems = _parse_text(text, path, only, with_rules=with_rules)
    if only is None or not prunes(file, only):
        return file, problems
    file, problems = _parse_text(text, path, None, with_rules=True)  # the others may write what it would prune
    return replace(file, mirrors={name: file.mirrors[name] for name in (only,) if name in file.mirrors}), problems


def _parse_text(text: str, path: Path, only: str | None, *, with_rules: bool) -> tuple[MirrorsFile, tuple[str, ...]]:
    texts = split_text(text, path.name)
    document = merge_documents(_read_documents(texts, only, with_rules=with_rules), path.name)
    expand_image_lists(document, path.parent)
    unread = [name for name, content in texts.items() if content is None]
    form = MirrorsDocument if with_rules else HeadersDocument
    file, problems = check_document(document, path, form, unread_files=unread)
    return file, (*problem_texts(problems, document), *map(_unread, unread))


def check_document(
    document: Document, path: Path, form: type[MirrorsDocument] = MirrorsDocument, *, unread_files: Sequence[str] = ()
) -> tuple[MirrorsFile, list[Problem]]:
    """Validate a document: what is healthy in it, and all problems with their places.

    :param unread_files: files beside it that may have further mirrors.
    :raises MirrorsFileError: when a problem concerns the whole document.
    """
    entries, problems = _validate(document, form)
    built = _build(entries, document, path)
    problems += _check(built, document, problems)
    file, stopped = stop_pruning(_without_broken(built, problems), built, document, unread_files)
    return file, [*problems, *stopped]


def _read_documents(texts: Mapping[str, str | None], only: str | None, *, with_rules: bool) -> list[Document]:
    """Read the requested parts of each file by itself, because anchors and ``env:`` belong to one file.

    :raises MirrorsFileError: with the problems of all that cannot be read.
    """
    documents, problems = list[Document](), list[str]()
    for name, text in texts.items():
        try:
            documents += [_read_document(text, name)] if text is not None else []
        except MirrorsFileError as error:
            problems += error.problems
    if problems:
        raise MirrorsFileError(tuple(problems))
    for document in documents:
        _remove_extensions(document)
        if only is not None:
            _keep_one_mirror(document, only)
        if not with_rules:
            _remove_rules(document)
        expand_variables(document, os.environ)
    return documents


def _read_document(text: str, name: str) -> Document:
    """Read the YAML of a mirrors file. :raises MirrorsFileError: also when it is a file of another tool."""
    if tool := recognize_text(text):
        raise MirrorsFileError((f"{name}: {foreign_file(tool, name)}",))
    document = read_yaml(text, name)
    if tool := recognize(document.value):
        raise MirrorsFileError((f"{name}: {foreign_file(tool, name)}",))
    return document


def _unread(name: str) -> str:
    return f"{name}: this file is not read, because its name does not end with .yaml; rename or remove it"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a mirrors file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MirrorsDocument.model_json_schema()}


def read_mirrors_text(path: Path) -> str:
    """The text of a mirrors file, or of the files ``*.yaml`` of a folder in the order of their names.

    :raises MirrorsFileError: when a file cannot be read, or is not UTF-8 text.
    """
    if not _is_folder(path):
        return _read_text(path, path.name)
    files = {f"{path.name}/{file.name}": file for file in _files(path)}
    return join_texts({name: _read_text(file, name) if _is_read(file) else None for name, file in files.items()})


def _is_folder(path: Path) -> bool:
    """Also ``False`` for a path that cannot be looked at. Reading it as a file then gives the reason."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _files(folder: Path) -> list[Path]:
    """The YAML files of a folder by name. Hidden files are those of editors, of git, and of mounted ConfigMaps.

    :raises MirrorsFileError: when the folder has none to read, or cannot be listed.
    """
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in (".yaml", ".yml") and not file.is_dir()]
    except OSError as error:
        raise MirrorsFileError((f"{folder}: cannot list the folder of mirrors files ({error})",)) from error
    found = sorted(file for file in files if not file.name.startswith("."))
    if not any(map(_is_read, found)):
        raise MirrorsFileError((f"{folder} has no mirrors files; their names end with .yaml, such as team.yaml",))
    return found


def _is_read(file: Path) -> bool:
    return file.suffix == ".yaml"


def _read_text(path: Path, name: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        is_named = os.environ.get(PATH_VARIABLE) == str(path)
        other = f"; write it (docs/first-mirror.md), or name another file by {PATH_VARIABLE}"
        advice = f" ({PATH_VARIABLE} names it)" if is_named else other
        raise MirrorsFileError((f"{path} does not exist{advice}",)) from error
    except OSError as error:
        advice = f"to use another file, set {PATH_VARIABLE}"
        raise MirrorsFileError((f"{path}: cannot read the mirrors file ({error}); {advice}",)) from error
    if b"\0" in content:  # such as of a file that a crash left behind
        line = content.partition(b"\0")[0].count(b"\n") + 1
        raise MirrorsFileError((f"{name}:{line}: this is not text, because it contains a zero byte; save it again",))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = f"{name}:{line}: this is not UTF-8 text ({error.reason}); save the file as UTF-8"
        raise MirrorsFileError((problem,)) from error


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


def _validate(document: Document, model: type[MirrorsDocument]) -> tuple[MirrorsDocument, list[Problem]]:
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


_SECTIONS = SECTION_MODELS.keys() - {"defaults"}
"""The sections whose entries are independent: one with a problem leaves the others usable."""


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


def _build(entries: MirrorsDocument, document: Document, path: Path) -> MirrorsFile:
    """The values of a file, from its valid entries."""
    files = {name: path.parent / document.file(("mirrors", name)) for name in entries.mirrors}
    file = MirrorsFile(
        path=path,
        mirror_files=files,
        registries={name: entry.parse(name) for name, entry in entries.registries.items()},
        mirrors={name: entry.parse(name, entries.defaults) for name, entry in entries.mirrors.items()},
        node_pools={name: entry.parse(name, entries.defaults.notify) for name, entry in entries.nodes.items()},
    )
    return place_images(file)


def _check(file: MirrorsFile, document: Document, reported: Iterable[Problem]) -> list[Problem]:
    """The problems of a file that no entry shows by itself. ``reported`` are those of the entries."""
    names = document.value["registries"]
    checked = CheckedFile(file=file, routes=RouteMap.of(file), registry_names=names, line=document.line_text)
    problems = check_mirrors(checked)
    has_all_routes = all(problem.place[0] == "nodes" for problem in (*reported, *problems))
    return [*problems, *check_pools(checked, with_images=has_all_routes)]


def _without_broken(file: MirrorsFile, problems: Iterable[Problem]) -> MirrorsFile:
    """The file without the mirrors and node pools that have or inherit a problem or use an unknown registry."""
    broken = {problem.place[:2] for problem in problems}
    options = {str(place[1]) for place in broken if place[0] == "defaults"}
    mirrors = {
        name: mirror
        for name, mirror in file.mirrors.items()
        if ("mirrors", name) not in broken
        and not any(map(mirror.inherits, options))
        and uses_known_registries(mirror, file.registries)
    }
    pools = {name: pool for name, pool in file.node_pools.items() if ("nodes", name) not in broken}
    return replace(file, mirrors=mirrors, node_pools=pools)
