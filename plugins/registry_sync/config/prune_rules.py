"""The ``prune`` rules of a mirrors file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from registry_sync.tags.rules import Patterns


class PruneRules(BaseModel):
    """What a mirrors file writes under ``prune:``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    tags: Literal["gone_at_source", "not_selected", "none"] = Field(
        description="Which tags are deleted: those that the source has no more, also those that the rules no longer "
        "select, or none (to turn off what an outer level turns on)"
    )
    keep: Patterns | None = Field(None, description="Patterns of tags that are never deleted")
    max_percent: int = Field(
        10, ge=1, le=100, description="Delete nothing when it would be a larger share of the mirror's tags than this"
    )
    dry_run: bool = Field(True, description="Only report what would be deleted; false deletes it, a run later")
