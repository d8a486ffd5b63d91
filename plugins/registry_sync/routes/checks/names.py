"""Names of mirrors and repositories that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.config.reading.explain_errors import Problem
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import other_registry
from registry_sync.routes.checks.checked_file import CheckedFile
from registry_sync.routes.namespace_routes import NamespaceRoutes
from registry_sync.routes.route import Route, name_problem

_RESERVED = {
    "readiness": "this name is reserved: the DAG mirror_readiness checks whether nodes can start; choose another name",
    "watch": "this name is reserved: the DAG mirror_watch notices runs that do not come; choose another name",
}
"""Names that a mirror cannot have because their DAG exists, each with the message."""


_RESERVED_END = "_pushes"


def check_reserved_names(checked: CheckedFile) -> Iterator[Problem]:
    """Names that belong to DAGs of our own."""
    for name in checked.file.mirrors:
        if name in _RESERVED:
            yield Problem(("mirrors", name), _RESERVED[name])
        if name.endswith(_RESERVED_END):
            other = name.removesuffix(_RESERVED_END) or "NAME"
            problem = f"the DAG mirror_{name} is for pushes to the source of a mirror {other}"
            yield Problem(("mirrors", name), f"names that end with {_RESERVED_END} are reserved: {problem}; rename it")


def check_repository_names(checked: CheckedFile) -> Iterator[Problem]:
    """Repositories without a valid name at a registry."""
    yield from checked.routes.unnamed
    for entry in checked.routes.listed:
        if problem := _prefix_problem(entry.route) or name_problem(entry.route):
            yield Problem(entry.place, problem)


def _prefix_problem(route: Route) -> str:
    """A problem when a name includes its registry; else empty."""
    name, host = route.source_repository.name, route.source_repository.host
    if name.startswith(f"{host}/"):
        return f"{name!r} includes the registry, which source: already names; write {name.removeprefix(f'{host}/')!r}"
    if other := other_registry(route.source.api_kind, name):
        advice = f"mirror it from a source with host: {other}, or remove {f'{other}/'!r}"
        return f"{name!r} begins with the name of a registry, and the source is {host}; {advice}"
    name, host = route.destination_repository.name, route.destination_repository.host
    if name.startswith(f"{host}/"):
        return (
            f"its name at the destination, {name!r}, includes the registry, which destinations: already names; "
            f"remove {f'{host}/'!r} from prefix or rename"
        )
    return ""


def check_namespace_names(checked: CheckedFile) -> Iterator[Problem]:
    """Namespaces whose repositories would have no valid name at a destination, or all the same one."""
    for namespace in checked.routes.namespaces:
        try:
            if problem := _prefix_problem(namespace.make_route(f"{namespace.rule.namespace}/any")):
                yield Problem(namespace.place, problem)
                continue
            first, second = (_name_at_destination(namespace, name) for name in ("any", "other"))
        except ConfigurationError as error:
            yield Problem(namespace.place, str(error))
            continue
        if first == second:
            advice = f"use a template such as rename: {first.name}/{{{{ name }}}}"
            problem = f"all repositories of the namespace would be mirrored to {first}; {advice}"
            yield Problem(namespace.place, problem)


def _name_at_destination(namespace: NamespaceRoutes, name: str) -> Repository:
    return namespace.make_route(f"{namespace.rule.namespace}/{name}").destination_repository
