"""Tag rules as values; ``tags/select.py`` applies them, ``config/tag_rules.py`` reads them from a mirrors file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.oci.reserved_tags import PLATFORM_CACHE_PREFIX
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.tags.semver import Range

LOST_PIN = "the source no longer has the digest that names pins it to; pin another"

Filter = Literal["include", "exclude", "semver", "older_than", "younger_than", "newest"]

FILTERS: tuple[Filter, ...] = ("include", "exclude", "semver", "older_than", "younger_than", "newest")
"""The rules that reject tags, in the order in which they apply. They do not apply to tags in ``names``."""

Order = Literal["semver", "push_time", "name"]


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration of a mirrors file. ``text`` is the duration as it is written."""

    text: str
    length: timedelta

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRules:
    """The rules under ``tags:``. Absent rules select every tag.

    ``named`` maps the tags in ``names`` to the digests that they are pinned to.

    Derived: ``order`` is what ``newest`` goes by. ``filters`` are the rules that apply to tags outside ``names``, and
    ``push_time_keys`` those of them that need push times. ``by_name`` are the tags that ``names`` and ``include`` write
    out; with ``is_all_by_name`` no others can be selected, so the repository need not be listed.
    ``applies``: there is a rule. ``needs_whole_listing``: old tags affect the selection, so a windowed listing is not
    enough.
    """

    named: Mapping[str, Digest | None] = field(default_factory=dict, hash=False)
    include: tuple[Pattern, ...] | None = None
    exclude: tuple[Pattern, ...] | None = None
    semver: Range | None = None
    prereleases: bool = False
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
        for name, value in _derive(self).items():
            object.__setattr__(self, name, value)

    def enters_at(self, pushed_at: datetime | None) -> datetime | None:
        """The time at which a tag becomes eligible: its push, or the end of ``older_than`` after it."""
        return pushed_at + self.older_than.length if pushed_at and self.older_than else pushed_at


def _derive(rules: TagRules) -> Mapping[str, object]:
    """The derived fields."""
    order = rules.newest_by or ("semver" if rules.semver else "push_time")
    filters = tuple(key for key in FILTERS if getattr(rules, key) is not None)
    by_push_time = {"older_than", "younger_than", *(("newest",) if order == "push_time" else ())}
    included = [pattern.text for pattern in rules.include or ()]
    return {
        "order": order,
        "filters": filters,
        "has_filters": bool(filters),
        "applies": bool(filters or rules.named),
        "by_name": (*rules.named, *filter(is_tag, included)),
        "is_all_by_name": all(map(is_tag, included)) if included else bool(rules.named) and not filters,
        "push_time_keys": tuple(key for key in filters if key in by_push_time),
        "needs_whole_listing": bool(rules.newest or rules.min_tags or rules.older_than),
    }


def only_tags(patterns: Sequence[str]) -> TagRules:
    """Rules for the run parameter ``tags``; without patterns, every tag.

    :raises ConfigurationError: when one is not a valid pattern.
    """
    return TagRules(include=tuple(map(parse_pattern, patterns)) or None)


def parse_duration(text: str) -> Duration:
    """A duration in whole hours, days or weeks.

    >>> parse_duration("90d").length
    datetime.timedelta(days=90)

    :raises ConfigurationError: when it is not one.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ConfigurationError(f"expected a duration such as 12h, 90d or 6w, got {text!r}")
    unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]
    return Duration(text, int(match[1]) * unit)


def parse_named(text: str) -> tuple[str, Digest | None]:
    """An entry of ``names``: a tag, and the digest that ``tag@sha256:…`` pins it to.

    :raises ConfigurationError: when it is not one.
    """
    tag, at, digest = text.partition("@")
    if not is_tag(tag):
        raise ConfigurationError(f"{tag!r} is not a tag; names are tags, or TAG@sha256:…; globs go into include")
    if tag.startswith(PLATFORM_CACHE_PREFIX):
        raise ConfigurationError(f"{tag!r} is a platform cache of registry_sync, which is never mirrored; remove it")
    try:
        return tag, Digest.parse(digest) if at else None
    except ValueError as error:
        raise ConfigurationError(f"{text!r}: {error}; pin a tag as TAG@sha256: and 64 digits of 0-9 and a-f") from error
