"""The filters of one tag rule: the tags that each rejects, with the reason. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from registry_sync.tags.patterns import first_match
from registry_sync.tags.rules import Filter, Order, TagRule
from registry_sync.tags.semver import Version, parse_range
from registry_sync.tags.version_part import version_of
from registry_sync.text import quoted

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for unknown push times, where unknown means old."""

NOT_NAMED = "not among names"


class Entry(Protocol):
    """A tag as a source lists it. ``pushed_at`` (aware UTC) is ``None`` where the source does not list it."""

    @property
    def name(self) -> str: ...

    @property
    def pushed_at(self) -> datetime | None: ...


def rejection_by_name(tag: str, rule: TagRule) -> str:
    """The reason that ``rule`` never selects a tag of that name, regardless of push times; empty when it may."""
    if tag in rule.named:
        return ""
    if rule.named and not rule.has_filters:
        return NOT_NAMED
    return _include_reason(tag, rule) or _exclude_reason(tag, rule) or _semver_reason(tag, rule)


def _include_reason(tag: str, rule: TagRule) -> str:
    if rule.include is None or first_match(rule.include, tag):
        return ""
    return f"matches none of {', '.join(quoted(pattern.text) for pattern in rule.include)}"


def _exclude_reason(tag: str, rule: TagRule) -> str:
    pattern = first_match(rule.exclude or (), tag)
    return f"excluded by {quoted(pattern.text)}" if pattern else ""


def _semver_reason(tag: str, rule: TagRule) -> str:
    if rule.semver is None:
        return ""
    version, written = version_of(tag, rule.version), rule.semver.text
    if version is None:
        return f"{_not_a_version(tag, rule)}, which semver {written!r} requires"
    if rule.semver.holds(version):
        return ""
    if not version.is_release and parse_range(written, prereleases=True).holds(version):
        return f"a pre-release, by its suffix, which semver {written!r} does not include"
    return f"not in semver {written!r}"


def _not_a_version(tag: str, rule: TagRule) -> str:
    part = rule.version.text_in(tag) if rule.version else None
    if rule.version is None:
        return "not a version"
    if not part:
        return f"not a version, because version {quoted(rule.version.text)} does not match"
    return f"not a version, because its part {quoted(part)} is none"


def _by_name(reason_of: Callable[[str, TagRule], str]) -> _Judge:
    """A judge that looks at a tag's name alone."""

    def judge(entries: Sequence[Entry], rule: TagRule, _now: datetime) -> dict[str, str]:
        return {entry.name: reason for entry in entries if (reason := reason_of(entry.name, rule))}

    return judge


def _too_young(entries: Sequence[Entry], rule: TagRule, now: datetime) -> dict[str, str]:
    """Reasons by ``older_than``. A tag of exactly that age is old enough."""
    if rule.older_than is None:
        return {}
    limit = now - rule.older_than.length
    return {
        entry.name: f"pushed {entry.pushed_at:%Y-%m-%d %H:%M}, not yet {rule.older_than} ago"
        for entry in entries
        if entry.pushed_at and entry.pushed_at > limit
    }


def _too_old(entries: Sequence[Entry], rule: TagRule, now: datetime) -> dict[str, str]:
    """Reasons by ``younger_than``. A tag of exactly that age is too old."""
    if rule.younger_than is None:
        return {}
    limit = now - rule.younger_than.length
    return {
        entry.name: f"pushed {_shown(entry.pushed_at)}, {rule.younger_than} ago or more"
        for entry in entries
        if (entry.pushed_at or LONG_AGO) <= limit
    }


def _shown(pushed_at: datetime | None) -> str:
    return f"{pushed_at:%Y-%m-%d %H:%M}" if pushed_at else "so long ago that the source no longer lists when"


def _not_among_newest(entries: Sequence[Entry], rule: TagRule, _now: datetime) -> dict[str, str]:
    """Reasons by ``newest``. Ties are broken by name: the later name counts as newer."""
    if rule.order == "semver":
        return _not_among_highest(entries, rule)
    in_order = sorted(entries, key=_SORT_KEYS[rule.order])
    surplus = in_order[: max(0, len(in_order) - (rule.newest or 0))]
    which = {"push_time": "by push time", "name": "by name"}[rule.order]
    return {entry.name: f"not among the newest {rule.newest} {which}" for entry in surplus}


def _not_among_highest(entries: Sequence[Entry], rule: TagRule) -> dict[str, str]:
    """Reasons by ``newest`` in the order of versions. Tags of the same version are ordered by name."""
    versions = {entry.name: version_of(entry.name, rule.version) for entry in entries}
    reasons = {tag: reason for tag, version in versions.items() if (reason := _order_reason(tag, version, rule))}
    in_order = sorted((version, tag) for tag, version in versions.items() if version and tag not in reasons)
    surplus = in_order[: max(0, len(in_order) - (rule.newest or 0))]
    return {**reasons, **{tag: f"not among the newest {rule.newest} versions" for _, tag in surplus}}


def _order_reason(tag: str, version: Version | None, rule: TagRule) -> str:
    if version is None:
        return f"{_not_a_version(tag, rule)}, which newest_by semver requires"
    counts = version.is_release or rule.prereleases or rule.semver
    return "" if counts else "a pre-release, by its suffix, and prereleases is false"


_Judge = Callable[[Sequence[Entry], TagRule, datetime], dict[str, str]]
"""The tags that a filter rejects, with the reason for each."""

JUDGES: Mapping[Filter, _Judge] = {
    "include": _by_name(_include_reason),
    "exclude": _by_name(_exclude_reason),
    "semver": _by_name(_semver_reason),
    "older_than": _too_young,
    "younger_than": _too_old,
    "newest": _not_among_newest,
}

_SORT_KEYS: Mapping[Order, Callable[[Entry], Any]] = {
    "push_time": lambda entry: (entry.pushed_at or LONG_AGO, entry.name),
    "name": lambda entry: entry.name,
}
