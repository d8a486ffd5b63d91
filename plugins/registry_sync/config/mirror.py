"""An entry of ``mirrors:``: as it may be written, and its value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from registry_sync.config.deep_check import DeepCheckRules, WrittenDeepCheck
from registry_sync.config.events import EventRules, EventsEntry
from registry_sync.config.fields import (
    Schedule,
    UtcTime,
)
from registry_sync.config.notify import Notifier, WrittenNotifiers
from registry_sync.config.registry import Registry
from registry_sync.config.rules import RepositoryEntry, Rule, WrittenRule, or_list
from registry_sync.config.settings import RouteOptions, RouteSettings
from registry_sync.config.team_keys import AccessControl, DagTags, Owner, WrittenAccess
from registry_sync.tags.rules import Duration


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


class MirrorOptions(RouteOptions):
    """Options in ``defaults:`` and at a mirror. The mirror's own value counts, also if it is ``null``."""

    source: str = Field("", description="Name of the registry to read from")
    destinations: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        (), description="Names of the registries to write to"
    )
    schedule: Schedule | None = Field(
        None, description="Cron expression or preset such as @hourly, in UTC; default: only manual runs"
    )
    full_check: Schedule | None = Field(
        "@daily", description="Schedule of full checks: a run whose interval contains one compares all tags"
    )
    deep_check: WrittenDeepCheck | None = Field(
        None,
        description="Schedule of deep checks, or a mapping with schedule:, share: and read:. A run whose interval "
        "contains one also verifies what the destinations hold, and repairs it; default: only when a run is asked to",
    )
    notify: WrittenNotifiers | None = Field(
        None, description="Notifiers that get a message when something fails, is well again, or breaks a promise"
    )
    owner: Owner | None = Field(None, description="Owner of the DAG in Airflow, such as a team; also in messages")
    access_control: WrittenAccess | None = Field(
        None, description="Airflow roles and what they may do with the DAG, such as {team-a: [can_read, can_edit]}"
    )
    dag_tags: DagTags | None = Field(None, description="Tags of the DAG in Airflow, besides registry_sync")
    start_date: UtcTime | None = Field(None, description="Start of the first scheduled interval, in UTC")
    catchup: bool = Field(False, description="true: also run for the intervals between start_date and now")
    retries: int = Field(3, ge=0, le=100, description="Number of times that Airflow retries a failed route")
    task_timeout_minutes: int = Field(
        1440, ge=1, description="Timeout of one try of a task; the next try continues with what is missing"
    )


MIRROR_OPTIONS = tuple(name for name in MirrorOptions.model_fields if name not in RouteOptions.model_fields)
"""The options that no rule can have."""


class MirrorHeader(MirrorOptions):
    """A mirror without its rules, for tasks that work on rules that were read before."""

    description: str = Field("", description="Purpose of the mirror; shown in Airflow")
    events: EventsEntry | None = Field(
        None, description="Events of this mirror alone, in place of those of its source; null: none"
    )

    def parse(self, name: str, defaults: RouteOptions = MirrorOptions()) -> Mirror:
        """The mirror as a value, with the settings of each rule."""
        options = {option: _in_force(option, self, defaults) for option in MIRROR_OPTIONS}
        deep_check, notify = options.pop("deep_check"), options.pop("notify")
        return Mirror(
            name=name,
            description=self.description,
            rules=self._rules(defaults),
            written_options=frozenset(self.model_fields_set & MirrorOptions.model_fields.keys()),
            default_options=frozenset(defaults.model_fields_set),
            deep_check=deep_check.parse() if deep_check else DeepCheckRules(),
            fresh_within=RouteSettings.resolve(defaults, self).fresh_within,
            notify=tuple(entry.parse() for entry in notify or ()),
            events=self.events.parse() if self.events else None,
            writes_events="events" in self.model_fields_set,
            **options,
        )

    def _rules(self, defaults: RouteOptions) -> tuple[Rule, ...]:  # noqa: ARG002 - of entries with rules
        return ()


class MirrorEntry(MirrorHeader):
    """A mirror, under its name in ``mirrors:``."""

    repositories: Annotated[tuple[WrittenRule, ...], Field(min_length=1)] = Field(
        description="Repositories to mirror: names, or mappings with repository: or namespace:",
        json_schema_extra=or_list("images_from"),
    )

    def _rules(self, defaults: RouteOptions) -> tuple[Rule, ...]:
        entries = (RepositoryEntry(repository=rule) if isinstance(rule, str) else rule for rule in self.repositories)
        return tuple(entry.parse((defaults, self)) for entry in entries)


def _in_force(option: str, *levels: RouteOptions) -> Any:
    """The value of an option of mirrors by the first of ``levels`` that writes it, else its default."""
    writing = (level for level in levels if option in level.model_fields_set)
    return getattr(next(writing, MirrorOptions()), option)
