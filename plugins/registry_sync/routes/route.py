"""One route: a source repository, a destination repository, and the settings that apply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from registry_sync.config.as_json import as_json, registry_as_json
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.renaming import Names, Naming, destination_name
from registry_sync.config.rules import Rule
from registry_sync.config.settings import RouteSettings
from registry_sync.oci.reference import Repository
from registry_sync.registry.kinds import name_fault
from registry_sync.registry.same_registry import same_repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One source repository, one destination repository, and the settings. Each route is one mapped task.

    ``is_discovered``: the route comes from a namespace rule, not from a repository that is written by name.
    ``has_schedule``: its mirror has scheduled runs, which alone delete tags.
    """

    mirror: str
    source: Registry
    destination: Registry
    source_repository: Repository
    destination_repository: Repository
    settings: RouteSettings
    is_discovered: bool = False
    has_schedule: bool = True

    @property
    def label(self) -> str:
        """The name for people: ``giantswarm/hyperkube → acr``, with the name at the destination if it differs."""
        renamed = self.destination_repository.name != self.source_repository.name
        tail = f"/{self.destination_repository.name}" if renamed else ""
        return f"{self.source_repository.name} → {self.destination.name}{tail}"

    def to_json(self) -> dict[str, Any]:
        """The route as JSON-simple values, for XCom, in the form of the mirrors file. It holds no credentials."""
        return {
            "label": self.label,
            "mirror": self.mirror,
            "source": registry_as_json(self.source),
            "destination": registry_as_json(self.destination),
            "source_repository": self.source_repository.name,
            "destination_repository": self.destination_repository.name,
            "settings": as_json(self.settings),
            "is_discovered": self.is_discovered,
            **({} if self.has_schedule else {"has_schedule": False}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the output of :meth:`to_json`."""
        from registry_sync.config.entries.from_json import registry_from_json, settings_from_json  # noqa: PLC0415 - pydantic

        source, destination = registry_from_json(document["source"]), registry_from_json(document["destination"])
        return cls(
            mirror=document["mirror"],
            source=source,
            destination=destination,
            source_repository=Repository(source.host, document["source_repository"]),
            destination_repository=Repository(destination.host, document["destination_repository"]),
            settings=settings_from_json(document["settings"]),
            is_discovered=document["is_discovered"],
            has_schedule=document.get("has_schedule", True),
        )


def route_of(mirror: Mirror, rule: Rule, source: Registry, destination: Registry, repository: str) -> Route:
    """The route of one source repository.

    :raises ConfigurationError: when it has no valid name at the destination.
    """
    read, settings = Repository.at(source.host, repository), settings_at(rule, destination)
    naming = Naming(rename=rule.rename, prefix=settings.prefix, strip_prefix=settings.strip_prefix)
    names = Names(repository=read.name, registry=source.name, destination=destination.name, mirror=mirror.name)
    return Route(
        mirror=mirror.name,
        source=source,
        destination=destination,
        source_repository=read,
        destination_repository=Repository.at(destination.host, destination_name(naming, names)),
        settings=settings,
        has_schedule=mirror.schedule is not None,
    )


def settings_at(rule: Rule, destination: Registry) -> RouteSettings:
    """The settings of a rule at one destination, whose own options replace those of the mirror."""
    return replace(rule.settings, **options_of(destination, rule))


def options_of(destination: Registry, rule: Rule) -> dict[str, Any]:
    """The options of a rule that its destination writes, and the rule itself does not."""
    options = {name: getattr(destination, name) for name in _OPTIONS_OF_REGISTRIES - rule.written_options}
    return {name: value for name, value in options.items() if value is not None}


_OPTIONS_OF_REGISTRIES = frozenset({"fresh_within", "transfer"})


def name_problem(route: Route) -> str:
    """The reason why the names of a route are invalid; empty when they are valid."""
    if same_repository(route.source_repository, route.destination_repository):
        return f"{route.source_repository} would be mirrored to itself; choose another destination, or rename it"
    fault = name_fault(route.destination.api_kind, route.destination_repository.name)
    return f"{fault}; {'exclude or rename it' if route.is_discovered else 'rename it'}" if fault else ""


def route_key(route: Route) -> str:
    """Twelve hexadecimal digits that identify a route and its settings: a changed rule makes another key."""
    settings = route.settings
    rules = [settings.tags, settings.on_moved_tag, settings.platforms, settings.signatures]
    parts = [str(route.source_repository), str(route.destination_repository), *map(as_json, rules)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
