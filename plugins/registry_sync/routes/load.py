"""Load a mirrors file: read, validate, build, check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from registry_sync.config.document import MirrorsFile
from registry_sync.config.entries.document import HeadersDocument, MirrorsDocument
from registry_sync.config.images.listed_images import expand_image_lists
from registry_sync.config.reading.documents import read_documents
from registry_sync.config.reading.explain_errors import Problem, problem_texts
from registry_sync.config.reading.file_text import read_mirrors_text
from registry_sync.config.reading.mirrors_folder import merge_documents, split_text
from registry_sync.config.reading.valid_entries import validate_entries
from registry_sync.config.reading.yaml_source import Document
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.bootstrap_images import place_images
from registry_sync.routes.checks.all_checks import check_mirrors
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.checks.node_pools import check_pools
from registry_sync.routes.graph import RouteMap, uses_known_registries
from registry_sync.routes.unread_mirrors import prunes, stop_pruning


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
    document = merge_documents(read_documents(texts, only, with_rules=with_rules), path.name)
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
    entries, problems = validate_entries(document, form)
    built = _build(entries, document, path)
    problems += _check(built, document, problems)
    file, stopped = stop_pruning(_without_broken(built, problems), built, document, unread_files)
    return file, [*problems, *stopped]


def _unread(name: str) -> str:
    return f"{name}: this file is not read, because its name does not end with .yaml; rename or remove it"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a mirrors file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MirrorsDocument.model_json_schema()}


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
