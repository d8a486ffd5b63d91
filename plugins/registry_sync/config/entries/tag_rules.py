"""``tags:`` of a mirrors file, and patterns elsewhere in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, GetPydanticSchema, Tag, model_validator

from registry_sync.config.entries.fields import Strict, parsed_by
from registry_sync.oci.reference import Digest
from registry_sync.tags.patterns import Pattern, parse_pattern
from registry_sync.tags.rules import Duration, Order, TagRule, TagRules, parse_duration, parse_named
from registry_sync.tags.semver import Range, parse_range
from registry_sync.tags.tag_patterns import parse_tag_pattern
from registry_sync.tags.version_part import VersionPart, never_a_version, never_in_range, parse_version_part
from registry_sync.text import quoted

Patterns = Annotated[
    tuple[Annotated[Pattern, parsed_by(parse_pattern, min_length=1)], ...],
    Field(min_length=1),
]
"""Globs (``*``, ``?``, ``[a-z]``), and regular expressions written ``/…/``; of the whole name, and case matters.

An empty list is refused, because it would select nothing.
"""

TagPatterns = Annotated[
    tuple[Annotated[Pattern, parsed_by(parse_tag_pattern, min_length=1)], ...],
    Field(min_length=1),
]
"""The same for names of tags: a pattern that can match no tag is refused."""

NamedTags = Annotated[tuple[Annotated[tuple[str, Digest | None], parsed_by(parse_named)], ...], Field(min_length=1)]

WrittenDuration = Annotated[Duration, parsed_by(parse_duration)]


class TagRuleEntry(Strict):
    """One rule under ``tags:``. Absent keys select every tag."""

    names: NamedTags | None = Field(
        None,
        description="Tags to mirror regardless of the other keys; without other keys, only these. TAG@sha256:… is an "
        "image by its digest, under a tag of your choice",
    )
    include: TagPatterns | None = Field(
        None, description="Patterns of tags to mirror: globs, or /regular expressions/; default: all"
    )
    exclude: TagPatterns | None = Field(
        None, description="Patterns of tags to exclude: globs, or /regular expressions/"
    )
    semver: Annotated[Range, parsed_by(parse_range, min_length=1)] | None = Field(
        None,
        description="Range of versions in npm's syntax, such as '>=1.2 <2 || ^3.1'; tags that are not versions "
        "are excluded",
    )
    prereleases: bool = Field(
        False, description="true: semver and newest also accept versions with a suffix, such as 1.2.0-rc.1"
    )
    version: Annotated[VersionPart, parsed_by(parse_version_part, min_length=1)] | None = Field(
        None,
        description="Regular expression of whole tags, such as 'stable-(.+)': its group is the version that semver and "
        "newest read; tags that do not match are not versions",
    )
    older_than: WrittenDuration | None = Field(
        None, description="Only tags pushed at least this long ago, such as 12h, 90d, 6w"
    )
    younger_than: WrittenDuration | None = Field(None, description="Only tags pushed less than this long ago")
    newest: int | None = Field(None, ge=1, description="Keep at most this many of the tags left by the other keys")
    newest_by: Order | None = Field(
        None,
        description="Order for newest: semver (default beside semver and version), push_time (default otherwise) or "
        "name",
    )
    min_tags: int | None = Field(
        None,
        ge=0,
        description="Fail the route, without a copy, when fewer tags are selected; default: when the patterns, ranges "
        "and ages select none of the source's tags; 0: never",
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if problem := next(_contradictions(self), None):
            raise ValueError(problem)
        return self

    def parse(self) -> TagRule:
        """The rule as a value."""
        semver = parse_range(self.semver.text, prereleases=self.prereleases) if self.semver else None
        return TagRule(
            named=dict(self.names or ()),
            include=self.include,
            exclude=self.exclude,
            semver=semver,
            prereleases=self.prereleases,
            version=self.version,
            older_than=self.older_than,
            younger_than=self.younger_than,
            newest=self.newest,
            newest_by=self.newest_by,
            min_tags=self.min_tags,
        )


def _contradictions(entry: TagRuleEntry) -> Iterator[str]:
    tags = [tag for tag, _ in entry.names or ()]
    if twice := next((tag for index, tag in enumerate(tags) if tag in tags[:index]), None):
        yield f"names has {quoted(twice)} twice; keep one"
    yield from _version_contradictions(entry)
    if entry.newest_by and not entry.newest:
        yield "newest_by needs newest; write how many tags to keep there, or remove newest_by"
    if entry.min_tags and (most := _most(entry.parse())) and most < entry.min_tags:
        yield f"min_tags {entry.min_tags} is never reached, because at most {most} tags can be selected; lower it"
    old, young = entry.older_than, entry.younger_than
    if old and young and old.length >= young.length:
        yield f"no tag is older than {old} and younger than {young}; make younger_than the longer one"


def _version_contradictions(entry: TagRuleEntry) -> Iterator[str]:
    by_version = entry.newest and entry.newest_by in ("semver", *((None,) if entry.version else ()))
    if entry.version and not entry.semver and not by_version:
        yield "version needs semver, or newest in its order; write one of them, or remove version"
    if entry.prereleases and not entry.semver and not by_version:
        yield "prereleases needs semver or newest_by: semver; write one of them, or remove prereleases"
    if entry.include and (entry.semver or by_version):
        yield from _include_contradictions(entry, entry.include)


def _include_contradictions(entry: TagRuleEntry, include: Sequence[Pattern]) -> Iterator[str]:
    """``include`` beside an order or range of versions that none of its tags can be in."""
    shown = ", ".join(quoted(pattern.text) for pattern in include)
    reader = "semver" if entry.semver else "newest_by: semver"
    if entry.version and never_a_version(include, entry.version):
        advice = f"version {quoted(entry.version.text)} matches none of them; make them agree"
        yield f"no tag that matches include ({shown}) is a version, which {reader} requires; {advice}"
    elif never_a_version(include, entry.version):
        advice = "write version: for the part that is one, such as version: 'stable-(.+)', or a list of two rules"
        yield f"no tag that matches include ({shown}) is a version, which {reader} requires; {advice}"
    elif entry.semver and not entry.version and never_in_range(include, entry.semver):
        semver = quoted(entry.semver.text)
        yield f"no tag that matches include ({shown}) is in semver {semver}; write a list of two rules"


def _most(rule: TagRule) -> int | None:
    """The most tags that can be selected, if that is known before the listing."""
    if rule.has_filters and not rule.newest:
        return None
    return len(rule.named) + (rule.newest or 0) or None


def _parse_rules(written: TagRuleEntry | Sequence[TagRuleEntry]) -> TagRules:
    """:raises ValueError: when two rules pin a tag differently, or one of several selects every tag."""
    entries = (written,) if isinstance(written, TagRuleEntry) else written
    pins: dict[str, Digest | None] = {}
    for tag, pin in (named for entry in entries for named in entry.names or ()):
        if pins.setdefault(tag, pin) != pin:
            raise ValueError(f"two rules name {quoted(tag)}, with different digests or once without one; keep one")
    rules = tuple(entry.parse() for entry in entries)
    if everything := [number for number, rule in enumerate(rules, start=1) if len(rules) > 1 and not rule.applies]:
        raise ValueError(f"rule {everything[0]} selects every tag, so the list has no effect; remove it")
    return TagRules(rules)


def _refuse_names(written: Any) -> Any:
    """:raises ValueError: when a list has names or patterns where rules belong."""
    for item in written if isinstance(written, list | tuple) else ():
        if isinstance(item, str):
            raise ValueError(f"{quoted(item)} is not a rule; write {{names: [{item}]}}, or include: for patterns")
    return written


def _form(written: Any) -> str:
    """The form of ``tags:``; anything but a list has to be a mapping."""
    return "[list]" if isinstance(written, list | tuple) else "[mapping]"


_Written = Annotated[
    Annotated[
        Annotated[TagRuleEntry, Tag("[mapping]")]
        | Annotated[tuple[TagRuleEntry, ...], Field(min_length=1), Tag("[list]")],
        Discriminator(_form),
    ],
    BeforeValidator(_refuse_names),
    AfterValidator(_parse_rules),
]

WrittenTags = Annotated[TagRules, GetPydanticSchema(lambda _source, handler: handler(_Written))]
"""``tags:``: one rule, or a list of rules, of which a tag needs one."""
