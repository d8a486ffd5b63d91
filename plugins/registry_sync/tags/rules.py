"""Tag rules as a mirrors file writes them; ``selection.py`` applies them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.oci.reserved_tags import is_reserved_tag
from registry_sync.tags.patterns import check_pattern
from registry_sync.tags.semver import parse_range

FILTERS = ("include", "exclude", "semver", "older_than", "younger_than", "newest")
"""The rules that leave tags out, in the order in which they apply. ``names`` stand apart from them."""

LOST_PIN = "the source no longer has the digest that names pins it to; pin another"


def _checked_by(parse: Callable[[str], object]) -> AfterValidator:
    """A check by ``parse`` as pydantic wants it: with a ValueError for what is refused. The text stays as it is."""

    def check(text: str) -> str:
        try:
            parse(text)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(check)


def parse_duration(text: str) -> timedelta:
    """A duration in whole hours, days or weeks.

    >>> parse_duration("90d")
    datetime.timedelta(days=90)

    :raises ConfigurationError: when it is none.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ConfigurationError(f"expected a duration such as 12h, 90d or 6w, got {text!r}")
    return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]


def parse_named(text: str) -> tuple[str, Digest | None]:
    """An entry of ``names``: a tag, and the digest that it is pinned to by ``tag@sha256:…``.

    :raises ConfigurationError: when it is none.
    """
    tag, at, digest = text.partition("@")
    if not is_tag(tag):
        raise ConfigurationError(f"{tag!r} is not a tag; names are tags, or TAG@sha256:…; globs go into include")
    if is_reserved_tag(tag):
        raise ConfigurationError(f"{tag!r} is a note of registry_sync's own, which is never mirrored; remove it")
    try:
        return tag, Digest.parse(digest) if at else None
    except ValueError as error:
        raise ConfigurationError(f"{text!r}: {error}; pin a tag as TAG@sha256: and 64 digits of 0-9 and a-f") from error


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1), _checked_by(check_pattern)], ...], Field(min_length=1)]
"""Globs (``*``, ``?``, ``[a-z]``), and regular expressions written ``/…/``; of the whole name, and case matters.

An empty list is refused, since it would choose nothing.
"""

Duration = Annotated[str, _checked_by(parse_duration)]

Order = Literal["semver", "push_time", "name"]


class TagRules(BaseModel):
    """What a mirrors file writes under ``tags:``. Absent rules choose every tag."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    names: Annotated[tuple[Annotated[str, _checked_by(parse_named)], ...], Field(min_length=1)] | None = Field(
        None,
        description="Tags that are mirrored whatever the other rules say, and without other rules no others; "
        "TAG@sha256:… pins one to a digest",
    )
    include: Patterns | None = Field(
        None, description="Globs, or /regular expressions/, of tags to mirror; without it all tags"
    )
    exclude: Patterns | None = Field(None, description="Globs, or /regular expressions/, of tags to leave out of those")
    semver: Annotated[str, Field(min_length=1), _checked_by(parse_range)] | None = Field(
        None,
        description="Range of versions in npm's dialect, such as '>=1.2 <2 || ^3.1'; what is no version is left out",
    )
    prereleases: bool = Field(
        False, description="Versions with a suffix, such as 1.2.0-rc.1, count like others for semver and newest"
    )
    older_than: Duration | None = Field(None, description="Only tags pushed at least so long ago, such as 12h, 90d, 6w")
    younger_than: Duration | None = Field(None, description="Only tags pushed less than so long ago")
    newest: int | None = Field(None, ge=1, description="At most so many of those")
    newest_by: Order | None = Field(
        None, description="What newest goes by: semver (the default beside semver), push_time (otherwise), or name"
    )
    min_tags: int | None = Field(
        None, ge=1, description="When fewer tags are chosen the route fails, and nothing is copied"
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if problem := next(_contradictions(self), None):
            raise ValueError(problem)
        return self

    @property
    def named(self) -> Mapping[str, Digest | None]:
        """The tags in ``names``, and what they are pinned to."""
        return dict(map(parse_named, self.names or ()))

    @property
    def by_name(self) -> tuple[str, ...]:
        """The tags that are asked for by their names and not by patterns."""
        return (*self.named, *(each for each in self.include or () if is_tag(each)))

    @property
    def is_all_by_name(self) -> bool:
        """Whether nothing but :attr:`by_name` can be chosen, so that no listing is needed to know what may be."""
        has_patterns = any(not is_tag(each) for each in self.include or ())
        return bool(self.include and not has_patterns) or bool(self.names and not self.has_filters)

    @property
    def applies(self) -> bool:
        """Whether there is a rule at all; without one every tag is chosen."""
        return self.has_filters or self.names is not None

    @property
    def order(self) -> Order:
        """What ``newest`` goes by."""
        return self.newest_by or ("semver" if self.semver else "push_time")

    @property
    def has_filters(self) -> bool:
        """Whether there is a rule about tags that are not in ``names``."""
        return any(getattr(self, key) is not None for key in FILTERS)

    @property
    def push_time_keys(self) -> tuple[str, ...]:
        """The rules that go by when tags were pushed, in the order in which they apply."""
        is_set = {
            "older_than": self.older_than,
            "younger_than": self.younger_than,
            "newest": self.newest and self.order == "push_time",
        }
        return tuple(key for key, value in is_set.items() if value)

    @property
    def needs_whole_listing(self) -> bool:
        """Whether a tag that was not pushed lately can become one of the chosen, or keep another from it."""
        return bool(self.newest or self.min_tags or self.older_than)

    def enters_at(self, pushed_at: datetime | None) -> datetime | None:
        """When a tag comes to be chosen: when it is pushed, or once it is old enough."""
        return pushed_at + parse_duration(self.older_than) if pushed_at and self.older_than else pushed_at


def _most(rules: TagRules) -> int | None:
    """The most tags that can be chosen, where that is known before any are listed."""
    if rules.has_filters and not rules.newest:
        return None
    return len(rules.names or ()) + (rules.newest or 0) or None


def _contradictions(rules: TagRules) -> Iterator[str]:
    tags = [parse_named(each)[0] for each in rules.names or ()]
    if twice := next((tag for index, tag in enumerate(tags) if tag in tags[:index]), None):
        yield f"names has {twice!r} twice; keep one"
    if rules.prereleases and not rules.semver and not (rules.newest and rules.newest_by == "semver"):
        yield "prereleases goes with semver, or with newest_by: semver; write one of them, or remove it"
    if rules.newest_by and not rules.newest:
        yield "newest_by goes with newest, which says how many; write it, or remove newest_by"
    if rules.min_tags and (most := _most(rules)) and most < rules.min_tags:
        yield f"min_tags {rules.min_tags} is never reached, since no more than {most} tags can be chosen; lower it"
    old, young = rules.older_than, rules.younger_than
    if old and young and parse_duration(old) >= parse_duration(young):
        yield f"no tag is older than {old} and younger than {young}; make younger_than the longer one"


def only_tags(patterns: Sequence[str]) -> TagRules:
    """The rules for a run that was asked for some tags only; none: for all.

    :raises ConfigurationError: when one is no pattern.
    """
    try:
        return TagRules(include=tuple(patterns)) if patterns else TagRules()
    except ValidationError as error:
        raise ConfigurationError(str(error.errors()[0]["ctx"]["error"])) from error
