"""Tag rules: which of the tags that a source lists are mirrored, and why the others are not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from registry_sync.reference import is_tag

Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
"""Globs (``*``, ``?``, ``[a-z]``) in which case matters. An empty list is refused, since it would choose nothing."""


class TagRules(BaseModel):
    """What a mirrors file writes under ``tags:``. Absent rules choose every tag.

    ``include``: a tag is chosen when one of these globs matches it. ``exclude``: unless one of these does.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    include: Patterns | None = Field(None, description="Globs of tags to mirror; without it all tags")
    exclude: Patterns | None = Field(None, description="Globs of tags to leave out of those")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen tags in the order of their names, and for every other one why it is not chosen."""

    selected: tuple[str, ...]
    rejected: Mapping[str, str]


def select_tags(listed: Iterable[str], rules: TagRules) -> Selection:
    """Apply the rules to each tag by itself, so that the order of the listing has no influence.

    >>> select_tags(["v2", "v1", "v1-dev"], TagRules(exclude=("*-dev",)))
    Selection(selected=('v1', 'v2'), rejected={'v1-dev': "excluded by '*-dev'"})
    """
    reasons = {tag: _why_not(tag, rules) for tag in sorted(set(listed))}
    selected = tuple(tag for tag, reason in reasons.items() if not reason)
    return Selection(selected=selected, rejected={tag: reason for tag, reason in reasons.items() if reason})


def _why_not(tag: str, rules: TagRules) -> str:
    """The reason against a tag; empty when there is none."""
    if not is_tag(tag):
        return "no tag by the OCI grammar, it cannot be pushed"
    if rules.include and not any(fnmatchcase(tag, each) for each in rules.include):
        return f"matches none of {', '.join(map(repr, rules.include))}"
    return next((f"excluded by {each!r}" for each in rules.exclude or () if fnmatchcase(tag, each)), "")
