"""Keys of ``prune:``."""

from __future__ import annotations

from pydantic import Field

from registry_sync.config.entries.fields import Strict
from registry_sync.config.entries.tag_rules import TagPatterns
from registry_sync.config.prune_rules import Prunable, PruneRules


class PruneRulesEntry(Strict):
    """Rules under ``prune:``."""

    tags: Prunable = Field(
        description="Tags to delete: gone_at_source: tags that the source no longer has; not_selected: also tags that "
        "the rules no longer select; none: no tags, to turn off an outer level's prune"
    )
    keep: TagPatterns | None = Field(None, description="Patterns of tags to keep: they are never deleted")
    max_percent: int = Field(
        10,
        ge=1,
        le=100,
        description="Delete no tags when more than this share of the mirror's tags would be deleted, in percent",
    )
    dry_run: bool = Field(True, description="true: only report; false: delete in the next scheduled run")

    def parse(self) -> PruneRules:
        """The rules as values."""
        return PruneRules(tags=self.tags, keep=self.keep, max_percent=self.max_percent, dry_run=self.dry_run)
