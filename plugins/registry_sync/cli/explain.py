"""What a mirrors file means for one repository: each setting, where it is written, and why tags are chosen or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry_sync.config.model import Mirror, MirrorsFile, NamespaceRule, Registry, RepositoryRule, Rule, rule_summary
from registry_sync.config.written import written
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import Route, route_of
from registry_sync.sync.source import choose_tags, explain_artifact_tags, list_tags, split_artifact_tags
from registry_sync.tags.overwrite_policy import as_written
from registry_sync.tags.patterns import Pattern, first_match
from registry_sync.tags.select import Selection, steps_text
from registry_sync.text_table import table

OpenClient = Callable[[Registry], RegistryClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One route, its rule's place in the mirrors file, and what its rules make of the tags that the source lists.

    ``settings`` are names, values as they could be written, and where they are written.
    """

    route: Route
    place: str
    settings: tuple[tuple[str, str, str], ...]
    selection: Selection

    def text(self, patterns: Sequence[Pattern]) -> str:
        """All that a person wants to know; of the tags only those that match one of ``patterns``, if there is one."""
        heading = f"{self.route.source_repository} → {self.route.destination_repository}  (by {self.place})"
        rows = [row for row in self._tags() if not patterns or first_match(patterns, row[0])]
        tags = table(("tag", "chosen", "why"), rows) if rows else "the source lists no such tag"
        settings = table(("setting", "value", "from"), self.settings)
        return f"{heading}\n\n{settings}\n\n{self._attrition()}\n\n{tags}"

    def _attrition(self) -> str:
        least, chosen = self.route.settings.tags.min_tags, len(self.selection.selected)
        too_few = f"; min_tags is {least}, so that a run fails and copies nothing" if least and chosen < least else ""
        return f"{steps_text(self.selection.steps)}{too_few}"

    def _tags(self) -> list[tuple[str, str, str]]:
        chosen = [(tag, "yes", self._why(tag)) for tag in self.selection.selected]
        rejected = [(tag, "no", reason) for tag, reason in self.selection.rejected.items()]
        failed = [(tag, "FAILED", reason) for tag, reason in self.selection.failed.items()]
        return sorted([*chosen, *rejected, *failed])

    def _why(self, tag: str) -> str:
        if tag in self.selection.pins:
            return f"names pins it to {self.selection.pins[tag].short}"
        rules = self.route.settings.tags
        if tag in rules.named:
            return "names has it"
        return "every rule lets it pass" if rules.has_filters else "there is no rule"


def explain(
    file: MirrorsFile,
    mirror: Mirror,
    repository: str,
    destinations: Sequence[str],
    open_client: OpenClient,
    now: datetime,
) -> Iterator[Explanation]:
    """Each route that the mirror has for a source repository. Tags are read from the source; nothing is written.

    :raises ConfigurationError: when none of its rules is for this repository.
    """
    source = file.registries[mirror.source]
    name = Repository.at(source.host, repository).name
    rules = list(_rules_for(mirror, source, name))
    if not rules:
        raise ConfigurationError(
            f"no rule of mirror {mirror.name!r} is for {name!r}; its repositories are {_shown(mirror)}"
        )
    routes = [
        (index, rule, route_of(mirror, rule, source, file.registries[destination], name))
        for index, rule in rules
        for destination in destinations
    ]
    with closing(open_client(source)) as client:
        tags, has_push_times = list_tags(routes[0][2], client), client.lists_push_times
    for index, rule, route in routes:
        listed, about = split_artifact_tags(tags, route.settings)
        yield Explanation(
            route=route,
            place=_place(mirror, index),
            settings=tuple(_settings(mirror, index, rule)),
            selection=explain_artifact_tags(choose_tags(route, listed, now=now, has_push_times=has_push_times), about),
        )


def _rules_for(mirror: Mirror, source: Registry, name: str) -> Iterator[tuple[int, Rule]]:
    """The rules that have a repository by its name, otherwise the first namespace that it is chosen from."""
    rules = list(enumerate(mirror.rules))
    by_name = [
        (index, rule)
        for index, rule in rules
        if isinstance(rule, RepositoryRule) and Repository.at(source.host, rule.repository).name == name
    ]
    within = [
        (index, rule)
        for index, rule in rules
        if isinstance(rule, NamespaceRule) and name.startswith(f"{rule.namespace}/") and rule.chooses(name)
    ]
    yield from by_name or within[:1]


def _shown(mirror: Mirror) -> str:
    return ", ".join(rule_summary(each) for each in mirror.rules)


def _place(mirror: Mirror, index: int) -> str:
    return f"mirrors.{mirror.name}.repositories[{index}]"


def _settings(mirror: Mirror, index: int, rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Each option that is in force, and the innermost level that has it."""
    if rule.rename:
        yield "rename", rule.rename, _place(mirror, index)
    values = written(rule.settings, with_defaults=True)
    values["on_moved_tag"] = as_written(rule.settings.on_moved_tag)
    levels = (
        (_place(mirror, index), rule.written_options),
        (f"mirrors.{mirror.name}", mirror.written_options),
        ("defaults", mirror.default_options),
    )
    for name, value in values.items():
        origin = next((place for place, options in levels if name in options), "built in")
        yield name, _as_written(value), origin


def _as_written(value: Any) -> str:
    """As YAML has it in one line; nothing of what is not set."""
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if key == "dry_run" or each not in (None, False)}
    if value in (None, "", [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
