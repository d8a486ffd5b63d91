"""An entry of ``mirrors:``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from registry_sync.config.deep_check import DeepCheckRules
from registry_sync.config.entries.deep_check import WrittenDeepCheck
from registry_sync.config.entries.events import EventsEntry
from registry_sync.config.entries.fields import Schedule, UtcTime
from registry_sync.config.entries.notify import WrittenNotifiers
from registry_sync.config.entries.rules import RepositoryEntry, WrittenRule, or_list
from registry_sync.config.entries.settings import RouteOptions, resolve_settings
from registry_sync.config.entries.team_keys import DagTags, Owner, WrittenAccess
from registry_sync.config.mirror import Mirror
from registry_sync.config.rules import Rule


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
            fresh_within=resolve_settings(defaults, self).fresh_within,
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
