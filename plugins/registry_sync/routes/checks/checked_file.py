"""A mirrors file with its graph, as checks take it, and the places of its entries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.reading.yaml_source import Place
from registry_sync.routes.graph import RouteMap, uses_known_registries
from registry_sync.routes.namespace_routes import NamespaceRoutes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A mirrors file with its graph.

    ``registry_names``: all registries that are written in it, also those with a problem of their own.
    ``line``: gives a place as text, such as ``line 3``.
    """

    file: MirrorsFile
    routes: RouteMap
    registry_names: Collection[str]
    line: Callable[[Place], str]

    def usable_mirrors(self) -> Iterator[Mirror]:
        """The mirrors whose registries exist."""
        registries = self.file.registries
        return (mirror for mirror in self.file.mirrors.values() if uses_known_registries(mirror, registries))


def option_place(mirror: Mirror, option: str) -> Place:
    """The place where an option of mirrors is written: at the mirror or in ``defaults``."""
    return ("defaults", option) if mirror.inherits(option) else ("mirrors", mirror.name, option)


def mirror_place(namespace: NamespaceRoutes) -> Place:
    """The place of the mirror that a namespace is in."""
    return ("mirrors", namespace.mirror.name)
