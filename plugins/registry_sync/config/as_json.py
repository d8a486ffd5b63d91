"""Settings as JSON that :mod:`registry_sync.config.entries.from_json` reads back; used for XCom and ``explain``."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from registry_sync.config.registry import Registry
from registry_sync.tags.backup_names import BackupTemplate
from registry_sync.tags.patterns import Pattern
from registry_sync.tags.rules import Duration, TagRule, TagRules
from registry_sync.tags.semver import Range
from registry_sync.tags.version_part import VersionPart


def as_json(value: Any, *, with_defaults: bool = False) -> Any:
    """``value`` as JSON-simple data, as a mirrors file has it. Fields at their defaults are omitted.

    Policies of tags become pairs, because JSON objects in a database do not keep their order.
    """
    match value:
        case Pattern() | Range() | VersionPart() | BackupTemplate() | Duration():
            return value.text
        case Path():
            return str(value)
        case datetime():
            return value.isoformat()
        case TagRules():
            rules = [as_json(rule, with_defaults=with_defaults) for rule in value.rules]
            return rules[0] if len(rules) == 1 else rules
        case TagRule():
            names = [f"{tag}@{pin}" if pin else tag for tag, pin in value.named.items()]
            rest = _fields_as_json(value, with_defaults)
            rest.pop("named", None)
            return {**({"names": names} if names else {}), **rest}
        case tuple():
            return [as_json(item, with_defaults=with_defaults) for item in value]
        case _ if is_dataclass(value):
            return _fields_as_json(value, with_defaults)
    return value


def _fields_as_json(value: Any, with_defaults: bool) -> dict[str, Any]:
    return {
        field.name: as_json(getattr(value, field.name), with_defaults=with_defaults)
        for field in fields(value)
        if field.init and (with_defaults or getattr(value, field.name) != _default(field))
    }


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def registry_as_json(registry: Registry) -> dict[str, Any]:
    """A registry as JSON, without its events: they start runs, and a run that has started does not need them."""
    return _fields_as_json(replace(registry, events=None), with_defaults=False)
