"""One route: a source repository, a destination repository, and the settings that apply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from registry_sync.config.model import (
    Mirror,
    Registry,
    Rule,
)
from registry_sync.config.renaming import Names, Naming, destination_name
from registry_sync.config.settings import RouteSettings
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import name_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One source repository to one destination repository, and how. One mapped task each.

    ``is_discovered``: it was found through its namespace, and is not written by name.
    """

    mirror: str
    source: Registry
    destination: Registry
    source_repository: Repository
    destination_repository: Repository
    settings: RouteSettings
    is_discovered: bool = False

    @property
    def label(self) -> str:
        """What people see: ``giantswarm/hyperkube → acr``, with the destination's name where it is another."""
        renamed = self.destination_repository.name != self.source_repository.name
        tail = f"/{self.destination_repository.name}" if renamed else ""
        return f"{self.source_repository.name} → {self.destination.name}{tail}"

    def to_json(self) -> dict[str, Any]:
        """The route as JSON-simple values, for XCom. Credentials are no part of it."""
        return {
            "label": self.label,
            "mirror": self.mirror,
            "source": self.source.model_dump(mode="json", exclude_defaults=True),
            "destination": self.destination.model_dump(mode="json", exclude_defaults=True),
            "source_repository": self.source_repository.name,
            "destination_repository": self.destination_repository.name,
            "settings": self.settings.model_dump(mode="json", exclude_defaults=True),
            "is_discovered": self.is_discovered,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        source = Registry.model_validate(document["source"], strict=False)
        destination = Registry.model_validate(document["destination"], strict=False)
        return cls(
            mirror=document["mirror"],
            source=source,
            destination=destination,
            source_repository=Repository(source.host, document["source_repository"]),
            destination_repository=Repository(destination.host, document["destination_repository"]),
            settings=RouteSettings.model_validate(document["settings"], strict=False),
            is_discovered=document["is_discovered"],
        )


def route_of(mirror: Mirror, rule: Rule, source: Registry, destination: Registry, repository: str) -> Route:
    """The route of one source repository.

    :raises ConfigurationError: when its name at the destination cannot be made.
    """
    here, settings = Repository.at(source.host, repository), mirror.settings(rule)
    naming = Naming(rename=rule.rename, prefix=settings.prefix, strip_prefix=settings.strip_prefix)
    names = Names(repository=here.name, registry=source.name, destination=destination.name, mirror=mirror.name)
    return Route(
        mirror=mirror.name,
        source=source,
        destination=destination,
        source_repository=here,
        destination_repository=Repository.at(destination.host, destination_name(naming, names)),
        settings=settings,
    )


def name_problem(route: Route) -> str:
    """Why a route cannot be, judged by its names alone; empty when it can."""
    if route.source_repository == route.destination_repository:
        return f"{route.source_repository} would be mirrored to itself; choose another destination, or rename it"
    fault = name_fault(route.destination.api_kind, route.destination_repository.name)
    return f"{fault}; {'exclude or rename it' if route.is_discovered else 'rename it'}" if fault else ""


def route_key(route: Route) -> str:
    """Twelve digits that stand for a route and its settings: a changed rule makes another route."""
    settings = route.settings.model_dump(mode="json", include={"tags", "on_moved_tag", "platforms", "signatures"})
    parts = [str(route.source_repository), str(route.destination_repository), settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
