"""Tag rules as values; ``tags/select.py`` applies them, ``config/tag_rules.py`` reads them from a mirrors file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.oci.reserved_tags import PLATFORM_CACHE_PREFIX
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.tags.semver import Range
from registry_sync.tags.version_part import VersionPart
from registry_sync.text import quoted

LOST_PIN = "the source no longer has the digest that names pins it to; pin another"

Filter = Literal["include", "exclude", "semver", "older_than", "younger_than", "newest"]

FILTERS: tuple[Filter, ...] = ("include", "exclude", "semver", "older_than", "younger_than", "newest")
"""The parts of a rule that reject tags, in the order in which they apply. They do not apply to tags in ``names``."""

Order = Literal["semver", "push_time", "name"]


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration of a mirrors file. ``text`` is the duration as it is written."""

    text: str
    length: timedelta

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRule:
    """One rule under ``tags:``. Without filters and ``names`` it selects every tag.

    ``named`` maps the tags in ``names`` to the digests that they are pinned to. ``min_tags`` is ``None`` where it is
    not written: then the filters must leave a tag.

    Derived: ``order`` is the order in which ``newest`` counts. ``filters`` are the filters that apply to tags outside
    ``names``, and ``push_time_keys`` those of them that need push times. ``by_name`` are the tags that ``names`` and
    ``include`` write out; with ``is_all_by_name`` no others can be selected. ``applies``: there is a filter or a name.
    ``needs_whole_listing``: old tags affect the selection, so a windowed listing is not enough.
    """

    named: Mapping[str, Digest | None] = field(default_factory=dict, hash=False)
    include: tuple[Pattern, ...] | None = None
    exclude: tuple[Pattern, ...] | None = None
    semver: Range | None = None
    prereleases: bool = False
    version: VersionPart | None = None
    older_than: Duration | None = None
    younger_than: Duration | None = None
    newest: int | None = None
    newest_by: Order | None = None
    min_tags: int | None = None
    order: Order = field(init=False, compare=False, repr=False)
    filters: tuple[Filter, ...] = field(init=False, compare=False, repr=False)
    has_filters: bool = field(init=False, compare=False, repr=False)
    applies: bool = field(init=False, compare=False, repr=False)
    by_name: tuple[str, ...] = field(init=False, compare=False, repr=False)
    is_all_by_name: bool = field(init=False, compare=False, repr=False)
    push_time_keys: tuple[Filter, ...] = field(init=False, compare=False, repr=False)
    needs_whole_listing: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, value in _derive_rule(self).items():
            object.__setattr__(self, name, value)

    def enters_at(self, pushed_at: datetime | None) -> datetime | None:
        """The time at which a tag becomes eligible: its push, or the end of ``older_than`` after it."""
        return pushed_at + self.older_than.length if pushed_at and self.older_than else pushed_at


def _derive_rule(rule: TagRule) -> Mapping[str, object]:
    """The derived fields of a rule."""
    order = rule.newest_by or ("semver" if rule.semver or rule.version else "push_time")
    filters = tuple(key for key in FILTERS if getattr(rule, key) is not None)
    by_push_time = {"older_than", "younger_than", *(("newest",) if order == "push_time" else ())}
    included = [pattern.text for pattern in rule.include or ()]
    return {
        "order": order,
        "filters": filters,
        "has_filters": bool(filters),
        "applies": bool(filters or rule.named),
        "by_name": (*rule.named, *filter(is_tag, included)),
        "is_all_by_name": all(map(is_tag, included)) if included else bool(rule.named) and not filters,
        "push_time_keys": tuple(key for key in filters if key in by_push_time),
        "needs_whole_listing": bool(rule.newest or rule.min_tags or rule.older_than),
    }


@dataclass(frozen=True, slots=True)
class TagRules:
    """All rules under ``tags:``. A tag is selected if at least one rule selects it.

    Derived: the same as of one rule, for all of them together. ``is_names_only``: all tags are written in ``names``,
    so that the source need not be listed. ``has_pins``: some of them are pinned to a digest.
    """

    rules: tuple[TagRule, ...] = (TagRule(),)
    named: Mapping[str, Digest | None] = field(init=False, compare=False, repr=False)
    has_pins: bool = field(init=False, compare=False, repr=False)
    applies: bool = field(init=False, compare=False, repr=False)
    by_name: tuple[str, ...] = field(init=False, compare=False, repr=False)
    is_all_by_name: bool = field(init=False, compare=False, repr=False)
    is_names_only: bool = field(init=False, compare=False, repr=False)
    push_time_keys: tuple[Filter, ...] = field(init=False, compare=False, repr=False)
    needs_whole_listing: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, value in _derive_rules(self.rules).items():
            object.__setattr__(self, name, value)

    def entry_times(self, tag: str, pushed_at: datetime | None) -> Iterator[datetime | None]:
        """The times at which a tag may become selected, one for each rule. ``older_than`` does not delay ``names``."""
        return (pushed_at if tag in rule.named else rule.enters_at(pushed_at) for rule in self.rules)

    def last_entry(self, pushed_at: datetime | None) -> datetime | None:
        """The latest time at which a tag that was pushed at that time, or earlier, becomes eligible."""
        times = [rule.enters_at(pushed_at) for rule in self.rules]
        return max(filter(None, times), default=None)


def _derive_rules(rules: Sequence[TagRule]) -> Mapping[str, object]:
    """The derived fields of all rules together."""
    keys = {key for rule in rules for key in rule.push_time_keys}
    return {
        "named": {tag: pin for rule in rules for tag, pin in rule.named.items()},
        "has_pins": any(pin for rule in rules for pin in rule.named.values()),
        "applies": any(rule.applies for rule in rules),
        "by_name": tuple(dict.fromkeys(tag for rule in rules for tag in rule.by_name)),
        "is_all_by_name": all(rule.is_all_by_name for rule in rules),
        "is_names_only": all(rule.named and not rule.has_filters for rule in rules),
        "push_time_keys": tuple(key for key in FILTERS if key in keys),
        "needs_whole_listing": any(rule.needs_whole_listing for rule in rules),
    }


def only_tags(patterns: Sequence[str]) -> TagRule:
    """The rule for the run parameter ``tags``; without patterns, every tag.

    :raises ConfigurationError: when one is not a valid pattern.
    """
    return TagRule(include=tuple(map(parse_pattern, patterns)) or None)


def parse_duration(text: str) -> Duration:
    """A duration in whole hours, days or weeks.

    >>> parse_duration("90d").length
    datetime.timedelta(days=90)

    :raises ConfigurationError: when it is not one.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ConfigurationError(f"expected a duration such as 12h, 90d or 6w, got {quoted(text)}")
    unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]
    return Duration(text, int(match[1]) * unit)


def parse_named(text: str) -> tuple[str, Digest | None]:
    """An entry of ``names``: a tag, and the digest that ``tag@sha256:…`` pins it to.

    :raises ConfigurationError: when it is not one.
    """
    tag, at, digest = text.partition("@")
    if not tag and at:
        raise ConfigurationError(
            f"{quoted(text)} has no tag, without which nobody could pull it by name; write one of your own: 'TAG{text}'"
        )
    if re.fullmatch("sha(256|512):[0-9a-f]+", text):
        raise ConfigurationError(
            f"{quoted(text)} has no tag, without which nobody could pull it by name; write one of your own: "
            f"'TAG@{text}'"
        )
    if not is_tag(tag):
        advice = "names are tags, or TAG@sha256:…; globs go into include"
        raise ConfigurationError(f"{quoted(tag)} is not a tag; {advice}")
    if tag.startswith(PLATFORM_CACHE_PREFIX):
        raise ConfigurationError(
            f"{quoted(tag)} is a platform cache of registry_sync, which is never mirrored; remove it"
        )
    try:
        return tag, Digest.parse(digest) if at else None
    except ValueError as error:
        raise ConfigurationError(
            f"{quoted(text)}: {error}; pin a tag as TAG@sha256: and 64 digits of 0-9 and a-f"
        ) from error
