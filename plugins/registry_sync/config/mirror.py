"""A mirror of ``mirrors:``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from registry_sync.config.deep_check import DeepCheckRules
from registry_sync.config.events import EventRules
from registry_sync.config.notify import Notifier
from registry_sync.config.registry import Registry
from registry_sync.config.rules import Rule
from registry_sync.config.team_keys import AccessControl
from registry_sync.tags.rules import Duration

DEFAULT_START_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""The start of the first scheduled interval of mirrors that write none, and of the other DAGs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A mirror; becomes the DAG ``mirror_NAME``.

    ``written_options`` are the options that the mirror itself writes, ``default_options`` those of ``defaults:``.
    ``source`` and ``destinations`` are empty where neither writes them. ``fresh_within`` is the promise of the mirror
    or of ``defaults:``; destinations and rules may have others. ``events`` are the mirror's own, where it
    ``writes_events``.
    """

    name: str
    source: str
    destinations: tuple[str, ...]
    rules: tuple[Rule, ...]
    description: str = ""
    schedule: str | None = None
    full_check: str | None = "@daily"
    deep_check: DeepCheckRules = DeepCheckRules()
    notify: tuple[Notifier, ...] = ()
    owner: str | None = None
    access_control: AccessControl | None = None
    dag_tags: tuple[str, ...] | None = None
    start_date: datetime | None = None
    catchup: bool = False
    retries: int = 3
    task_timeout_minutes: int = 1440
    fresh_within: Duration | None = None
    events: EventRules | None = None
    writes_events: bool = False
    written_options: frozenset[str] = frozenset()
    default_options: frozenset[str] = frozenset()

    def events_from(self, source: Registry) -> EventRules | None:
        """The events that start it: its own where it writes some, or null, and those of its source elsewhere."""
        return self.events if self.writes_events else source.events

    def is_disabled(self, now: datetime) -> bool:
        """Return whether all of its rules are disabled at a time (aware UTC). One without rules is not."""
        return bool(self.rules) and all(rule.settings.is_disabled(now) for rule in self.rules)

    @property
    def disabled_until(self) -> datetime | None:
        """The time at which the first of its rules is enabled again; ``None`` when no rule ever is."""
        return min((rule.settings.until for rule in self.rules if rule.settings.until), default=None)

    @property
    def enabled_again_at(self) -> datetime | None:
        """The time up to which all of the mirror is or was disabled; ``None`` where a rule never was, or always is."""
        return None if any(rule.settings.enabled for rule in self.rules) else self.disabled_until

    def inherits(self, option: str) -> bool:
        """True if ``defaults:`` gives the mirror the option."""
        return option in self.default_options - self.written_options
