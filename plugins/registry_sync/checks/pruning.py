"""Mirrors whose rules prune, and that have no run that may delete."""

from __future__ import annotations

from collections.abc import Iterator

from registry_sync.checks.finding import Finding
from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror


def check_pruning(file: MirrorsFile) -> Iterator[Finding]:
    """A warning for each mirror without a schedule whose rules delete tags, because only scheduled runs delete."""
    for mirror in file.mirrors.values():
        if mirror.schedule is None and _deletes(mirror):
            yield Finding(
                subject=f"mirror {mirror.name}",
                check="prune",
                verdict="warning",
                text="no tag is ever deleted: only scheduled runs delete, and the mirror has no schedule",
                remedy="write schedule: for the mirror, or remove prune:",
            )


def _deletes(mirror: Mirror) -> bool:
    """True if a rule says that tags are deleted, and not only reported."""
    rules = (rule.settings for rule in mirror.rules if rule.settings.deletes_tags)
    return any(settings.prune is not None and not settings.prune.dry_run for settings in rules)
