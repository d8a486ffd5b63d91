"""The command ``explain``: the settings of one repository and their origins, and why each tag is selected or not."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from registry_sync.cli.arguments import OK, chosen_destinations, named_mirror
from registry_sync.cli.connections import open_client
from registry_sync.config.as_json import as_json
from registry_sync.config.document import MirrorsFile
from registry_sync.config.entries.mirror import MIRROR_OPTIONS
from registry_sync.config.mirror import DEFAULT_START_DATE, Mirror
from registry_sync.config.registry import Registry
from registry_sync.config.rules import NamespaceRule, RepositoryRule, Rule, rule_summary
from registry_sync.config.team_keys import access_as_written
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.oci.reference import Repository
from registry_sync.registry.client import ListedTag, RegistryClient
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route, options_of, route_of
from registry_sync.sync.reading.named_tags import unpinned_names
from registry_sync.sync.reading.source import choose_tags, explain_artifact_tags, list_tags, split_artifact_tags
from registry_sync.tags.overwrite_policy import as_written
from registry_sync.tags.patterns import Pattern, first_match
from registry_sync.tags.rules import TagRule, only_tags
from registry_sync.tags.select import Selection, steps_text
from registry_sync.tags.selection_checks import selects_none, too_few, unanchored_notes
from registry_sync.text import quoted
from registry_sync.text_table import table, table_with_texts

_BUILT_IN = "built-in default"
"""The origin of settings that nobody wrote. They stand below the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOrigin:
    """A setting of a route, its value as lines of YAML, and the place in the mirrors file that sets it."""

    name: str
    value: str
    origin: str

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """A row of the table for each line of the value."""
        first, *others = self.value.split("\n")
        yield self.name, first, self.origin
        yield from (("", line, "") for line in others)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRoute:
    """A route, and the index of its rule among those of the mirror."""

    index: int
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A route, its rule's place in the mirrors file, its settings, and the selection among the source's tags."""

    route: Route
    place: str
    settings: tuple[SettingOrigin, ...]
    selection: Selection

    def text(self, patterns: Sequence[Pattern]) -> str:
        """The explanation as text; ``patterns`` limits the tags shown."""
        heading = f"{self.route.source_repository} → {self.route.destination_repository}  (by {self.place})"
        settings = table(("setting", "value", "from"), [row for setting in self.settings for row in setting.rows()])
        rows = [row for row in self._tag_rows() if not patterns or first_match(patterns, row[0])]
        tags = table_with_texts(("tag", "selected", "why"), rows) if rows else "no such tag at the source"
        return f"{heading}\n\n{settings}\n\n{self._steps()}\n\n{tags}"

    def _steps(self) -> str:
        """The number of tags after each filter, with a warning when they are too few."""
        rules, where = self.route.settings.tags, self.route.source_repository
        few = too_few(self.selection, rules, where)
        warnings = [
            f"a run fails and copies nothing: {few}" if few else "",
            selects_none(self.selection, rules, where),
            *unanchored_notes(rules, [*self.selection.selected, *self.selection.rejected]),
        ]
        return "\n".join([steps_text(self.selection), *filter(None, warnings), *self.selection.notes])

    def _tag_rows(self) -> list[tuple[str, str, str]]:
        chosen = [(tag, "yes", self._why_chosen(tag)) for tag in self.selection.selected]
        rejected = [(tag, "no", reason) for tag, reason in self.selection.rejected.items()]
        failed = [(tag, "FAILED", reason) for tag, reason in self.selection.failed.items()]
        return sorted([*chosen, *rejected, *failed])

    def _why_chosen(self, tag: str) -> str:
        if tag in self.selection.pins:
            return f"pinned to {self.selection.pins[tag].short} in names"
        rules, parts = self.route.settings.tags.rules, self.selection.by_rule
        if not parts:
            return _why_selected(tag, rules[0])
        by_rule = enumerate(zip(rules, parts, strict=True), start=1)
        return "; ".join(
            f"rule {number}: listed in names" if tag in rule.named else f"rule {number} selects it"
            for number, (rule, part) in by_rule
            if tag in part.selected
        )


def _why_selected(tag: str, rule: TagRule) -> str:
    """The reason that a rule selects a tag that it selects."""
    if tag in rule.named:
        return "listed in names"
    return "passes all rules" if rule.has_filters else "all tags are selected: no rules"


def print_explanations(arguments: argparse.Namespace) -> int:
    """Explain each route of a source repository."""
    file = load_mirrors(arguments.file)
    mirror = named_mirror(file, arguments.mirror)
    destinations = chosen_destinations(mirror, arguments.destination)
    patterns = only_tags(arguments.tag).include or ()
    for explanation in _explain(file, mirror, arguments.repository, destinations):
        print(f"\n{explanation.text(patterns)}")
    return OK


def _explain(file: MirrorsFile, mirror: Mirror, repository: str, destinations: Sequence[str]) -> Iterator[Explanation]:
    """Read the tags of a source repository, and explain each of its routes.

    :raises ConfigurationError: when the mirror has no rule for the repository.
    """
    source = file.registries[mirror.source]
    name = Repository.at(source.host, repository).name
    rules = _rules_for(mirror, source, name)
    if not rules:
        raise ConfigurationError(
            f"mirror {mirror.name!r} does not mirror {quoted(name)}; {_alternatives(mirror, name)}"
        )
    routes = [
        RuleRoute(index=index, route=route_of(mirror, rule, source, file.registries[destination], name))
        for index, rule in rules
        for destination in destinations
    ]
    with closing(open_client(source)) as client:
        tags, has_push_times = _read_tags([rule_route.route for rule_route in routes], client), client.lists_push_times
    now = datetime.now(UTC)
    for rule_route in routes:
        selection = _select(rule_route.route, tags, now=now, has_push_times=has_push_times)
        yield _explanation(mirror, rule_route, selection)


def _alternatives(mirror: Mirror, name: str) -> str:
    """The repository that was probably meant, else all that the mirror has."""
    names = [rule.repository for rule in mirror.rules if isinstance(rule, RepositoryRule)]
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {quoted(close[0])}?"
    return f"it mirrors {', '.join(map(rule_summary, mirror.rules))}"


def _read_tags(routes: Sequence[Route], client: RegistryClient) -> list[ListedTag]:
    """All tags of the routes' source; only those in ``names`` if it refuses the listing and no others count."""
    try:
        return list_tags(routes[0], client)
    except RegistrySyncError:
        names = [unpinned_names(route.settings) for route in routes]
        if None in names:
            raise
    repository = routes[0].source_repository
    digests = {tag: client.head_manifest(repository, tag) for tags in names for tag in tags or ()}
    return [ListedTag(name=tag, digest=digest) for tag, digest in digests.items() if digest]


def _rules_for(mirror: Mirror, source: Registry, name: str) -> list[tuple[int, Rule]]:
    """Return the rules that name a repository, with their indexes; otherwise the first namespace rule that chooses it.

    A repository's own rules replace those of its namespace.
    """
    rules = list(enumerate(mirror.rules))
    by_name: list[tuple[int, Rule]] = [
        (index, rule)
        for index, rule in rules
        if isinstance(rule, RepositoryRule) and Repository.at(source.host, rule.repository).name == name
    ]
    by_namespace: list[tuple[int, Rule]] = [
        (index, rule)
        for index, rule in rules
        if isinstance(rule, NamespaceRule) and name.startswith(f"{rule.namespace}/") and rule.chooses(name)
    ]
    return by_name or by_namespace[:1]


def _select(route: Route, tags: list[ListedTag], *, now: datetime, has_push_times: bool) -> Selection:
    """Apply the route's tag rules, and explain the tags of attached artifacts too."""
    images, artifacts = split_artifact_tags(tags, route.settings)
    selection = choose_tags(route, images, now=now, has_push_times=has_push_times)
    return explain_artifact_tags(selection, artifacts)


def _explanation(mirror: Mirror, rule_route: RuleRoute, selection: Selection) -> Explanation:
    return Explanation(
        route=rule_route.route,
        place=_place(mirror, rule_route.index),
        settings=tuple(sorted(_settings(mirror, rule_route), key=lambda setting: setting.origin == _BUILT_IN)),
        selection=selection,
    )


def _place(mirror: Mirror, index: int) -> str:
    return f"mirrors.{mirror.name}.repositories[{index}]"


def _settings(mirror: Mirror, rule_route: RuleRoute) -> Iterator[SettingOrigin]:
    """Each setting in force, with the innermost level that sets it: of the rule, then of the mirror."""
    rule, place = mirror.rules[rule_route.index], _place(mirror, rule_route.index)
    settings, destination = rule_route.route.settings, rule_route.route.destination
    if rule.rename:
        yield SettingOrigin(name="rename", value=rule.rename, origin=place)
    values = as_json(settings, with_defaults=True)
    values["on_moved_tag"] = as_written(settings.on_moved_tag)
    skopeo = settings.skopeo
    values["skopeo"] = {"runner": skopeo.runner, **as_json(skopeo)} if as_json(skopeo) else skopeo.runner
    values |= {name: as_json(getattr(mirror, name)) for name in MIRROR_OPTIONS}
    values["start_date"] = values["start_date"] or f"{DEFAULT_START_DATE:%Y-%m-%d}"
    values["deep_check"] = mirror.deep_check.as_written()
    values["access_control"] = access_as_written(mirror.access_control)
    values["notify"] = [notifier.as_written() for notifier in mirror.notify]
    levels = (
        (place, rule.written_options),
        (f"registries.{destination.name}", options_of(destination, rule)),
        (f"mirrors.{mirror.name}", mirror.written_options),
        ("defaults", mirror.default_options),
    )
    for name, value in values.items():
        origin = next((level for level, options in levels if name in options), _BUILT_IN)
        yield SettingOrigin(name=name, value=_yaml_lines(value), origin=origin)


def _yaml_lines(value: Any) -> str:
    """The value as YAML, with one line for each of several rules."""
    is_rules = isinstance(value, list) and any(isinstance(entry, dict) for entry in value)
    return "\n".join(f"- {_yaml_line(rule)}" for rule in value) if is_rules else _yaml_line(value)


def _yaml_line(value: Any) -> str:
    """The value as YAML in one line, without keys that are not set; ``-`` for an empty value."""
    if isinstance(value, dict):
        value = _without_defaults(value)
    if value in (None, "", [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """The keys that are set. ``min_tags: 0`` is, and so is ``dry_run: false``."""
    unset = {key for key, entry in value.items() if entry is None or entry is False} - {"dry_run"}
    return {key: entry for key, entry in value.items() if key not in unset}
