"""Select the tags to mirror, with a reason for every other one. Pure; the current time is an argument.

``names`` come first, and no other rule applies to them. Then ``rules.FILTERS`` apply to all other tags, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.tags.patterns import first_match
from registry_sync.tags.rules import Filter, Order, TagRules
from registry_sync.tags.semver import parse_range, read_version


class Entry(Protocol):
    """A tag as a source lists it. ``pushed_at`` (aware UTC) is ``None`` where the source does not list it."""

    @property
    def name(self) -> str: ...

    @property
    def pushed_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionStep:
    """The number of tags left after a rule."""

    what: str
    tags: int

    def __str__(self) -> str:
        return f"{self.what} {self.tags}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selected tags in the order of their names, and the reason for every other tag.

    ``failed`` are tags that the rules cannot judge, each with the remedy.
    ``not_yet`` are the rejected tags that only ``older_than`` holds back.
    ``pins`` maps tags to the digests that they are pinned to. ``steps`` are the rules that applied, in order.
    """

    selected: tuple[str, ...]
    rejected: Mapping[str, str]
    failed: Mapping[str, str] = field(default_factory=dict)
    not_yet: frozenset[str] = frozenset()
    pins: Mapping[str, Digest] = field(default_factory=dict)
    steps: tuple[SelectionStep, ...] = ()

    def narrow(self, only: TagRules) -> Selection:
        """Keep the selected tags that match the patterns of a run that is limited to some tags."""
        if not only.has_filters:
            return self
        reasons = {tag: reason for tag in self.selected if (reason := rejection_reason(tag, only))}
        kept = tuple(tag for tag in self.selected if tag not in reasons)
        return replace(
            self,
            selected=kept,
            rejected={**self.rejected, **reasons},
            failed={tag: reason for tag, reason in self.failed.items() if not rejection_reason(tag, only)},
            steps=(*self.steps, SelectionStep(what="requested", tags=len(kept))),
        )

    def without(self, tags: Collection[str], step: str) -> Selection:
        """Remove ``tags``, whether selected or not; ``step`` names what is left."""
        selected = tuple(tag for tag in self.selected if tag not in tags)
        return replace(
            self,
            selected=selected,
            rejected={tag: reason for tag, reason in self.rejected.items() if tag not in tags},
            failed={tag: reason for tag, reason in self.failed.items() if tag not in tags},
            steps=(*self.steps, SelectionStep(what=step, tags=len(selected))),
        )

    def fail(self, tags: Collection[str], reason: str) -> Selection:
        """Move ``tags`` from selected to failed."""
        selected = tuple(tag for tag in self.selected if tag not in tags)
        return replace(self, selected=selected, failed={**self.failed, **dict.fromkeys(tags, reason)})


def steps_text(steps: Iterable[SelectionStep]) -> str:
    """The steps in one line, such as ``listed 412 → include 98 → semver 40 → newest 20``."""
    return " → ".join(map(str, steps))


def select_tags(
    listed: Iterable[Entry], rules: TagRules, *, now: datetime, is_whole: bool = True, has_push_times: bool = True
) -> Selection:
    """Apply the rules. The order of the listing has no influence.

    :param now: the time from which ages count, aware UTC.
    :param is_whole: ``listed`` is everything that the source has, so tags in ``names`` that it lacks are missing.
    :param has_push_times: the source lists push times; an unknown one then fails only its own tag.
    :raises ConfigurationError: when a rule needs push times, and the source lists none.
    """
    entries = {entry.name: entry for entry in sorted(listed, key=lambda entry: entry.name)}
    invalid = {name: "not a valid OCI tag, so it cannot be pushed" for name in entries if not is_tag(name)}
    others = [entry for name, entry in entries.items() if name not in invalid and name not in rules.named]
    filtered = _filter(others, rules, now, has_push_times=has_push_times)
    chosen = _add_named(filtered, rules.named, entries) if rules.named else filtered
    return replace(
        chosen,
        selected=tuple(sorted(chosen.selected)),
        rejected=dict(sorted({**invalid, **chosen.rejected}.items())),
        failed={**(_missing(rules.named, entries) if is_whole else {}), **chosen.failed},
        steps=(SelectionStep(what="listed", tags=len(entries)), *chosen.steps),
    )


def _filter(left: Sequence[Entry], rules: TagRules, now: datetime, *, has_push_times: bool) -> Selection:
    """Apply the filters one after the other. Without filters, ``names`` alone select no other tag."""
    if rules.named and not rules.has_filters:
        return Selection(selected=(), rejected={entry.name: _NOT_NAMED for entry in left})
    rejected, failed, steps, not_yet = dict[str, str](), dict[str, str](), list[SelectionStep](), frozenset[str]()
    for rule in rules.filters:
        failed |= _without_push_time(left, rule, has_push_times) if rule in rules.push_time_keys else {}
        reasons = _FILTER_JUDGES[rule]([entry for entry in left if entry.name not in failed], rules, now)
        rejected |= reasons
        not_yet = frozenset(reasons) if rule == "older_than" else not_yet
        left = [entry for entry in left if entry.name not in rejected and entry.name not in failed]
        steps.append(SelectionStep(what=rule, tags=len(left)))
    selected = tuple(entry.name for entry in left)
    return Selection(selected=selected, rejected=rejected, failed=failed, not_yet=not_yet, steps=tuple(steps))


def _add_named(filtered: Selection, named: Mapping[str, Digest | None], listed: Collection[str]) -> Selection:
    """Add the tags in ``names``: those that are listed, and those that are pinned, whether listed or not."""
    selected = (*filtered.selected, *(name for name, pin in named.items() if pin or name in listed))
    step = SelectionStep(what="with names" if filtered.steps else "names", tags=len(selected))
    pins = {name: pin for name, pin in named.items() if pin}
    return replace(filtered, selected=selected, pins=pins, steps=(*filtered.steps, step))


def _missing(named: Mapping[str, Digest | None], listed: Collection[str]) -> dict[str, str]:
    reason = "names lists it, but the source has no such tag; correct the name, or remove it"
    return {name: reason for name, pin in named.items() if not pin and name not in listed}


def check_min_tags(selection: Selection, rules: TagRules, where: object) -> None:
    """:raises RefusedError: when fewer than ``min_tags`` tags are selected."""
    if rules.min_tags and len(selection.selected) < rules.min_tags:
        seen = f"only {len(selection.selected)} tags of {where} are selected, and min_tags is {rules.min_tags}"
        raise RefusedError(
            f"{seen} ({steps_text(selection.steps)}); nothing was copied. Does the source list all its tags?"
        )


def rejection_reason(tag: str, rules: TagRules) -> str:
    """The reason that a tag of that name is never selected, regardless of push times; empty when it may be."""
    if tag in rules.named:
        return ""
    if rules.named and not rules.has_filters:
        return _NOT_NAMED
    return _include_reason(tag, rules) or _exclude_reason(tag, rules) or _semver_reason(tag, rules)


_NOT_NAMED = "not among names"


def _include_reason(tag: str, rules: TagRules) -> str:
    if rules.include is None or first_match(rules.include, tag):
        return ""
    return f"matches none of {', '.join(repr(pattern.text) for pattern in rules.include)}"


def _exclude_reason(tag: str, rules: TagRules) -> str:
    pattern = first_match(rules.exclude or (), tag)
    return f"excluded by {pattern.text!r}" if pattern else ""


def _semver_reason(tag: str, rules: TagRules) -> str:
    if rules.semver is None:
        return ""
    version, written = read_version(tag), rules.semver.text
    if version is None:
        return f"not a version, which semver {written!r} requires"
    if rules.semver.holds(version):
        return ""
    if not version.is_release and parse_range(written, prereleases=True).holds(version):
        return f"a pre-release, by its suffix, which semver {written!r} does not include"
    return f"not in semver {written!r}"


def _without_push_time(entries: Sequence[Entry], rule: Filter, has_push_times: bool) -> dict[str, str]:
    """The tags that ``rule`` cannot judge, because their push time is unknown: they count neither as new nor as old.

    :raises ConfigurationError: when the source lists no push times at all.
    """
    unknown = [entry.name for entry in entries if entry.pushed_at is None]
    advice = " (newest_by: semver or name needs none)" if rule == "newest" else ""
    if unknown and not has_push_times:
        raise ConfigurationError(f"{rule} needs push times, which the source does not list{advice}; remove it here")
    reason = f"{rule} needs a push time, and the source lists none for this tag; add it to names or exclude"
    return dict.fromkeys(unknown, reason)


def _by_name(reason_of: Callable[[str, TagRules], str]) -> _Judge:
    """A judge that looks at a tag's name alone."""

    def judge(entries: Sequence[Entry], rules: TagRules, _now: datetime) -> dict[str, str]:
        return {entry.name: reason for entry in entries if (reason := reason_of(entry.name, rules))}

    return judge


def _too_young(entries: Sequence[Entry], rules: TagRules, now: datetime) -> dict[str, str]:
    """Reasons by ``older_than``. A tag of exactly that age is old enough."""
    if rules.older_than is None:
        return {}
    limit = now - rules.older_than.length
    return {
        entry.name: f"pushed {entry.pushed_at:%Y-%m-%d %H:%M}, not yet {rules.older_than} ago"
        for entry in entries
        if entry.pushed_at and entry.pushed_at > limit
    }


def _too_old(entries: Sequence[Entry], rules: TagRules, now: datetime) -> dict[str, str]:
    """Reasons by ``younger_than``. A tag of exactly that age is too old."""
    if rules.younger_than is None:
        return {}
    limit = now - rules.younger_than.length
    return {
        entry.name: f"pushed {entry.pushed_at:%Y-%m-%d %H:%M}, {rules.younger_than} ago or more"
        for entry in entries
        if entry.pushed_at and entry.pushed_at <= limit
    }


def _not_among_newest(entries: Sequence[Entry], rules: TagRules, _now: datetime) -> dict[str, str]:
    """Reasons by ``newest``. Ties are broken by name: the later name counts as newer."""
    reasons = {entry.name: reason for entry in entries if (reason := _order_reason(entry.name, rules))}
    in_order = sorted((entry for entry in entries if entry.name not in reasons), key=_SORT_KEYS[rules.order])
    surplus = in_order[: max(0, len(in_order) - (rules.newest or 0))]
    which = {"semver": "versions", "push_time": "by push time", "name": "by name"}[rules.order]
    return {**reasons, **{entry.name: f"not among the newest {rules.newest} {which}" for entry in surplus}}


def _order_reason(tag: str, rules: TagRules) -> str:
    if rules.order != "semver":
        return ""
    version = read_version(tag)
    if version is None:
        return "not a version, which newest_by semver requires"
    counts = version.is_release or rules.prereleases or rules.semver
    return "" if counts else "a pre-release, by its suffix, and prereleases is false"


_Judge = Callable[[Sequence[Entry], TagRules, datetime], dict[str, str]]
"""The tags that a rule rejects, with the reason for each."""

_FILTER_JUDGES: Mapping[Filter, _Judge] = {
    "include": _by_name(_include_reason),
    "exclude": _by_name(_exclude_reason),
    "semver": _by_name(_semver_reason),
    "older_than": _too_young,
    "younger_than": _too_old,
    "newest": _not_among_newest,
}

_SORT_KEYS: Mapping[Order, Callable[[Entry], Any]] = {
    "semver": lambda entry: (read_version(entry.name), entry.name),
    "push_time": lambda entry: (entry.pushed_at, entry.name),
    "name": lambda entry: entry.name,
}
