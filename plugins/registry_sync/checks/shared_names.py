"""Mirrors of different sources that may write one repository under one name, as far as the mirrors file shows."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.registry.same_registry import same_registry
from registry_sync.routes.checks.near_names import NearNames
from registry_sync.routes.checks.writers import show_namespace
from registry_sync.routes.graph import RouteMap
from registry_sync.routes.namespace_routes import NamespaceRoutes


def check_shared_names(file: MirrorsFile) -> Iterator[Finding]:
    """A warning for each namespace rule whose copies may get the name of another mirror's copies.

    The registries are not asked for the names that they have. Where one of both prunes, the file is refused when it is
    read, unless only nested repositories may meet.
    """
    routes = RouteMap.of(file)
    near = NearNames.of(routes, with_nested=True)
    for number, namespace in enumerate(routes.namespaces):
        later = (routes.namespaces[other] for other in near.namespaces.get(number, ()) if other > number)
        if others := [other for other in later if not _is_one_source(namespace, other) and namespace.may_meet(other)]:
            yield _warning(namespace, others)


def _is_one_source(namespace: NamespaceRoutes, other: NamespaceRoutes) -> bool:
    """Return whether both rules give one repository of one source one name, so that they write the same images."""
    return same_registry(namespace.source.host, other.source.host) and namespace.names_like(other)


def _warning(namespace: NamespaceRoutes, others: list[NamespaceRoutes]) -> Finding:
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    return Finding(
        subject=f"mirror {namespace.mirror.name}",
        check=f"names at {namespace.destination.name}",
        verdict="warning",
        text=f"namespace {namespace.rule.namespace!r} and {show_namespace(others[0])}{more} may give different "
        "repositories the same name at the destination, and would overwrite each other's tags",
        remedy="give one of them a prefix or a rename of its own, or separate them by include and exclude",
    )
