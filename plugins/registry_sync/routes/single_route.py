"""The route of one repository that is given by arguments: a mirrors file of one entry, checked as any other.

So an argument means what the key of that name means in a mirrors file, and problems have the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.entries.settings import RouteOptions
from registry_sync.config.reading.explain_errors import Problem
from registry_sync.config.reading.yaml_source import Place, read_yaml, show_place
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.routes.discovery import listed_routes
from registry_sync.routes.load import check_document
from registry_sync.routes.route import Route
from registry_sync.text import quoted

_SOURCE, _DESTINATION = "source", "destination"

_NOT_OPTIONS = frozenset({"tags", "prefix", "strip_prefix", "prune", "fresh_within", "enabled", "until"})
"""Options of a rule that are arguments of their own, need the state that runs of a mirror leave, or are for a DAG."""

OPTIONS = tuple(name for name in RouteOptions.model_fields if name not in _NOT_OPTIONS)
"""The options of one repository."""

_NOT_OF_REGISTRIES = frozenset({"host", "connection", "private", "pool", "queue", "fresh_within", "transfer", "events"})
"""Options of a registry that are arguments of their own, or of the task, or mean nothing to one repository."""

REGISTRY_OPTIONS = tuple(name for name in RegistryEntry.model_fields if name not in _NOT_OF_REGISTRIES)
"""The options of the two registries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteArguments:
    """The arguments of a route, as they are written.

    :ivar name: names the route in messages, and the platform cache that it keeps at the destination.
    :ivar tags: names of tags, or rules as under ``tags:``; ``None`` for all tags.
    """

    name: str
    source: Any
    destination: Any
    tags: Any = None
    source_conn_id: Any = None
    destination_conn_id: Any = None
    options: Mapping[str, Any]
    source_registry: Mapping[str, Any]
    destination_registry: Mapping[str, Any]


def parse_route(arguments: RouteArguments) -> Route:
    """The route that the arguments mean.

    :raises ConfigurationError: with every argument that is not valid, and why.
    """
    source = _parse_repository(_SOURCE, arguments.source)
    destination = _parse_repository(_DESTINATION, arguments.destination)
    name = re.sub("[^A-Za-z0-9_-]", "_", arguments.name)[:100]
    document = {
        "registries": {
            _SOURCE: _registry(source, arguments.source_conn_id, arguments.source_registry, _SOURCE),
            _DESTINATION: _registry(
                destination, arguments.destination_conn_id, arguments.destination_registry, _DESTINATION
            ),
        },
        "mirrors": {
            name: {
                "source": _SOURCE,
                "destinations": [_DESTINATION],
                "repositories": [
                    {
                        **_allowed("options", arguments.options, OPTIONS),
                        "repository": source.name,
                        "rename": destination.name,
                        **({} if arguments.tags is None else {"tags": _tags(arguments.tags)}),
                    }
                ],
            }
        },
    }
    path = Path(name)
    file, problems = check_document(read_yaml(_as_text(document), name), path)
    if problems:
        has_names = _is_names(arguments.tags)
        texts = dict.fromkeys(_problem_text(problem, has_names=has_names) for problem in problems)
        raise ConfigurationError("; ".join(texts))
    (route,) = listed_routes(file.mirrors[name], file.registries[_SOURCE], file.registries[_DESTINATION])
    return route


def _parse_repository(argument: str, written: Any) -> Repository:
    if not isinstance(written, str) or not written.strip():
        raise ConfigurationError(f"{argument}: expected a repository such as 'quay.io/org/app', got {written!r}")
    try:
        return Repository.parse(written)
    except ConfigurationError as error:
        raise ConfigurationError(f"{argument}: {error}") from error


def _registry(repository: Repository, conn_id: Any, options: Mapping[str, Any], side: str) -> dict[str, Any]:
    """An entry of ``registries:``. A Connection that is not given is anonymous; one that is empty is a mistake."""
    connection = {} if conn_id is None else {"connection": conn_id}
    return {**_allowed(f"{side}_registry", options, REGISTRY_OPTIONS), "host": repository.host, **connection}


def _allowed(argument: str, options: Any, names: Sequence[str]) -> dict[str, Any]:
    """:raises ConfigurationError: for an option that would have no effect."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{argument}: expected a mapping of options, got {options!r}")
    if unknown := sorted(map(str, set(options) - set(names))):
        raise ConfigurationError(
            f"{argument}: no option {', '.join(map(quoted, unknown))}; it takes {', '.join(names)}"
        )
    return dict(options)


def _is_names(tags: Any) -> bool:
    return isinstance(tags, list | tuple) and not any(isinstance(tag, Mapping) for tag in tags)


def _tags(tags: Any) -> Any:
    """The rules for tags. A list of texts has names. An empty value may be a template's mistake, and is refused."""
    if isinstance(tags, list | tuple | Mapping) and not tags:
        raise ConfigurationError("tags: it is empty; name a tag, or leave the argument out for all tags")
    return {"names": list(tags)} if _is_names(tags) else tags


def _as_text(document: Mapping[str, Any]) -> str:
    """The document as JSON, which is YAML. :raises ConfigurationError: for values that no mirrors file can have."""
    try:
        return json.dumps(document)
    except TypeError as error:
        raise ConfigurationError(f"an argument has a value that a mirrors file cannot have: {error}") from error


def _problem_text(problem: Problem, *, has_names: bool) -> str:
    return f"{show_place(_argument(problem.place, has_names=has_names))}: {problem.message}"


def _argument(place: Place, *, has_names: bool) -> Place:
    """The argument that a place in the document comes from."""
    match place:
        case "registries", side, "connection", *rest:
            return (f"{side}_conn_id", *rest)
        case "registries", side, "host", *_:
            return (side,)
        case "registries", side, *rest:
            return (f"{side}_registry", *rest)
        case "mirrors", _, "repositories", 0, "repository", *_:
            return (_SOURCE,)
        case "mirrors", _, "repositories", 0, "rename", *_:
            return (_DESTINATION,)
        case "mirrors", _, "repositories", 0, "tags", "names", *rest if has_names:
            return ("tags", *rest)
        case "mirrors", _, "repositories", 0, "tags", *rest:
            return ("tags", *rest)
        case "mirrors", _, "repositories", 0, option, *rest:
            return ("options", option, *rest)
    return (_DESTINATION,)
