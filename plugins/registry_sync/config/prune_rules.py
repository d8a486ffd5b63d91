"""Rules of ``prune:``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from registry_sync.tags.patterns import Pattern

Prunable = Literal["gone_at_source", "not_selected", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRules:
    """The rules for deleting tags at a destination. Tags that match ``keep`` are never deleted."""

    tags: Prunable
    keep: tuple[Pattern, ...] | None = None
    max_percent: int = 10
    dry_run: bool = True
