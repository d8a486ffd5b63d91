"""Mirrors and rules with ``enabled: false``, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from registry_sync.config.document import MirrorsFile
from registry_sync.config.mirror import Mirror
from registry_sync.config.rules import rule_summary
from registry_sync.routes.disabled import until_text


def schedule_text(mirror: Mirror, now: datetime) -> str:
    """The schedule of a mirror; while all of it is disabled, until when."""
    return until_text(mirror.disabled_until) if mirror.is_disabled(now) else mirror.schedule or "none"


def remarks_about_disabled(file: MirrorsFile, now: datetime) -> Iterator[str]:
    """Remarks about disabled parts of mirrors that run, and about each ``until`` that has passed."""
    for mirror in file.mirrors.values():
        for index, rule in enumerate(mirror.rules):
            settings = rule.settings
            place = f"mirrors.{mirror.name}.repositories[{index}] ({rule_summary(rule)})"
            if settings.is_disabled(now) and not mirror.is_disabled(now):
                yield f"{place}: {until_text(settings.until)}"
            elif not settings.enabled and settings.until and not settings.is_disabled(now):
                advice = "so it is enabled again; remove enabled: and until:"
                yield f"{place}: until has passed, at {settings.until:%Y-%m-%d %H:%M} UTC, {advice}"
