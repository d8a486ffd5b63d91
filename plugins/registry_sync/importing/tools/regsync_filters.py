"""Filters of tags in regsync's files: a mapping below ``tags`` or ``tagSets`` is a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from registry_sync.errors import ConfigurationError
from registry_sync.importing.expressions import is_whole, whole_pattern
from registry_sync.importing.model import Remark, Rule
from registry_sync.importing.ranges import range_rule
from registry_sync.importing.reading import Section, shown
from registry_sync.importing.tools.skopeo_sync import NUMBERS

Read = TypeVar("Read")


def read_filter(section: Section) -> tuple[Rule, tuple[Remark, ...]]:
    """A rule of ``tags`` or ``tagSets``. :raises NoCounterpart: when a filter has no counterpart."""
    ranges, remarks = tuple(filter(None, section.texts("semverRange"))), list[Remark]()
    rule = (
        part(section, "semverRange", lambda: range_rule(" || ".join(ranges), takes_prereleases=True))
        if ranges
        else Rule()
    )
    remarks += [section.remark(NUMBERS, "semverRange", is_lost=False)] if ranges else []
    patterns = {key: _patterns(section, key) for key in ("allow", "deny")}
    remarks += [remark for key in patterns for remark in _about_alternatives(section, key)]
    include = () if ".*" in section.texts("allow") else patterns["allow"]
    refuse_unknown(section)
    return replace(rule, include=include, exclude=(*rule.exclude, *patterns["deny"])), tuple(remarks)


def refuse_unknown(section: Section) -> None:
    """:raises NoCounterpart: for an unknown key of a filter: without it, more would be mirrored."""
    for key in section.unread():
        raise section.no_counterpart("this filter is unknown to the import; look up its meaning", key)


def _patterns(section: Section, key: str) -> tuple[str, ...]:
    return part(section, key, lambda: tuple(map(whole_pattern, section.texts(key))))


def _about_alternatives(section: Section, key: str) -> Iterator[Remark]:
    for text in section.texts(key):
        if not is_whole(text):
            about = f"regsync reads {shown(text)} as {shown(f'^{text}$')}, without brackets; the pattern says the same"
            yield section.remark(about, key, is_lost=False)


def part(section: Section, key: str, read: Callable[[], Read]) -> Read:
    """Read a part of a section. :raises NoCounterpart: for what a mirrors file cannot have, at the key."""
    try:
        return read()
    except ConfigurationError as error:
        raise section.no_counterpart(str(error), key) from error
