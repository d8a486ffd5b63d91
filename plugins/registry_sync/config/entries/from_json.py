"""Reading settings and registries that :mod:`registry_sync.config.as_json` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry_sync.config.entries.registry import RegistryEntry
from registry_sync.config.entries.settings import RouteOptions, resolve_settings
from registry_sync.config.registry import Registry
from registry_sync.config.settings import RouteSettings


def registry_from_json(document: Mapping[str, Any]) -> Registry:
    """Read a registry that :func:`registry_as_json` wrote."""
    entry = {key: value for key, value in document.items() if key != "name"}
    return RegistryEntry.model_validate(entry, strict=False).parse(document["name"])


def settings_from_json(document: Mapping[str, Any]) -> RouteSettings:
    """Read settings that :func:`as_json` wrote."""
    policies = {"on_moved_tag": dict(document["on_moved_tag"])} if "on_moved_tag" in document else {}
    return resolve_settings(RouteOptions.model_validate({**document, **policies}, strict=False))
