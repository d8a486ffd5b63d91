"""Tag rules and route settings from what a mirrors file would write."""

from __future__ import annotations

from typing import Any

from registry_sync.config.settings import RouteOptions, RouteSettings
from registry_sync.config.tag_rules import TagRulesEntry
from registry_sync.tags.rules import TagRules


def tag_rules(**written: Any) -> TagRules:
    """The rules of ``tags:``."""
    return TagRulesEntry.model_validate(written).parse()


def route_settings(**written: Any) -> RouteSettings:
    """The settings of a route whose rule writes these options."""
    return RouteSettings.resolve(RouteOptions.model_validate(written))
