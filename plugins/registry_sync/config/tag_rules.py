"""``tags:`` of a mirrors file, and ``include``, ``exclude`` and ``keep`` elsewhere in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from registry_sync.config.fields import Strict, parsed_by
from registry_sync.oci.reference import Digest
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.tags.rules import Duration, Order, TagRules, parse_duration, parse_named
from registry_sync.tags.semver import Range, parse_range

Patterns = Annotated[
    tuple[Annotated[Pattern, parsed_by(parse_pattern, min_length=1)], ...],
    Field(min_length=1),
]
"""Globs (``*``, ``?``, ``[a-z]``), and regular expressions written ``/…/``; of the whole name, and case matters.

An empty list is refused, because it would select nothing.
"""

NamedTags = Annotated[tuple[Annotated[tuple[str, Digest | None], parsed_by(parse_named)], ...], Field(min_length=1)]

WrittenDuration = Annotated[Duration, parsed_by(parse_duration)]


class TagRulesEntry(Strict):
    """Rules under ``tags:``. Absent rules select every tag."""

    names: NamedTags | None = Field(
        None,
        description="Tags to mirror regardless of the other rules; without other rules, only these. TAG@sha256:… pins "
        "a tag to a digest",
    )
    include: Patterns | None = Field(
        None, description="Patterns of tags to mirror: globs, or /regular expressions/; default: all"
    )
    exclude: Patterns | None = Field(None, description="Patterns of tags to exclude: globs, or /regular expressions/")
    semver: Annotated[Range, parsed_by(parse_range, min_length=1)] | None = Field(
        None,
        description="Range of versions in npm's syntax, such as '>=1.2 <2 || ^3.1'; tags that are not versions "
        "are excluded",
    )
    prereleases: bool = Field(
        False, description="true: semver and newest also accept versions with a suffix, such as 1.2.0-rc.1"
    )
    older_than: WrittenDuration | None = Field(
        None, description="Only tags pushed at least this long ago, such as 12h, 90d, 6w"
    )
    younger_than: WrittenDuration | None = Field(None, description="Only tags pushed less than this long ago")
    newest: int | None = Field(None, ge=1, description="Keep at most this many of the tags left by the other rules")
    newest_by: Order | None = Field(
        None, description="Order for newest: semver (default if semver is set), push_time (default otherwise) or name"
    )
    min_tags: int | None = Field(None, ge=1, description="Fail the route, without a copy, when fewer tags are selected")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if problem := next(_contradictions(self), None):
            raise ValueError(problem)
        return self

    def parse(self) -> TagRules:
        """The rules as values."""
        semver = parse_range(self.semver.text, prereleases=self.prereleases) if self.semver else None
        return TagRules(
            named=dict(self.names or ()),
            include=self.include,
            exclude=self.exclude,
            semver=semver,
            prereleases=self.prereleases,
            older_than=self.older_than,
            younger_than=self.younger_than,
            newest=self.newest,
            newest_by=self.newest_by,
            min_tags=self.min_tags,
        )


def _contradictions(entry: TagRulesEntry) -> Iterator[str]:
    tags = [tag for tag, _ in entry.names or ()]
    if twice := next((tag for index, tag in enumerate(tags) if tag in tags[:index]), None):
        yield f"names has {twice!r} twice; keep one"
    if entry.prereleases and not entry.semver and not (entry.newest and entry.newest_by == "semver"):
        yield "prereleases needs semver or newest_by: semver; write one of them, or remove prereleases"
    if entry.newest_by and not entry.newest:
        yield "newest_by needs newest; write how many tags to keep there, or remove newest_by"
    if entry.min_tags and (most := _most(entry.parse())) and most < entry.min_tags:
        yield f"min_tags {entry.min_tags} is never reached, because at most {most} tags can be selected; lower it"
    old, young = entry.older_than, entry.younger_than
    if old and young and old.length >= young.length:
        yield f"no tag is older than {old} and younger than {young}; make younger_than the longer one"


def _most(rules: TagRules) -> int | None:
    """The most tags that can be selected, if that is known before the listing."""
    if rules.has_filters and not rules.newest:
        return None
    return len(rules.named) + (rules.newest or 0) or None
