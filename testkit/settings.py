"""Tag rules and route settings from what a mirrors file would write."""

from __future__ import annotations

from typing import Any

from registry_sync.config.entries.settings import RouteOptions, resolve_settings
from registry_sync.config.settings import RouteSettings
from registry_sync.tags.rules import TagRule, TagRules


def tag_rules(*rules: dict[str, Any], **written: Any) -> TagRules:
    """The rules of ``tags:``: several, or one by its keys."""
    return route_settings(tags=rules or written).tags


def tag_rule(**written: Any) -> TagRule:
    """One rule of ``tags:``."""
    (rule,) = tag_rules(**written).rules
    return rule


def route_settings(**written: Any) -> RouteSettings:
    """The settings of a route whose rule writes these options."""
    return resolve_settings(RouteOptions.model_validate(written))
