"""Which of the tags that a source lists are mirrored, and why the others are not. Pure; the time comes in.

One order: ``names`` first, which no other rule touches; then, to all other tags, those of ``tags.FILTERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.tags.patterns import first_match
from registry_sync.tags.rules import FILTERS, TagRules, parse_duration
from registry_sync.tags.semver import parse_range, read_version


class Entry(Protocol):
    """A tag as a source lists it. ``pushed_at`` (aware UTC) is ``None`` where it does not tell."""

    @property
    def name(self) -> str: ...

    @property
    def pushed_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How many tags a rule left."""

    what: str
    tags: int

    def __str__(self) -> str:
        return f"{self.what} {self.tags}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen tags in the order of their names, and for every other one why it is not chosen.

    ``failed`` are tags of which the rules cannot tell whether they are chosen, each with what is to be done about it.
    ``not_yet`` are those of the rejected that only have to grow older.
    ``pins`` is what tags are pinned to. ``steps`` are the rules that applied, and how many tags each left.
    """

    selected: tuple[str, ...]
    rejected: Mapping[str, str]
    failed: Mapping[str, str] = field(default_factory=dict)
    not_yet: frozenset[str] = frozenset()
    pins: Mapping[str, Digest] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def attrition(self) -> str:
        """How it came to so many, such as ``listed 412 → include 98 → semver 40 → newest 20``."""
        return " → ".join(map(str, self.steps))

    def narrow(self, only: TagRules) -> Selection:
        """Of the chosen tags those that a run was asked for by patterns."""
        if not only.has_filters:
            return self
        reasons = {tag: why_not(tag, only) for tag in self.selected}
        asked = tuple(tag for tag, reason in reasons.items() if not reason)
        return replace(
            self,
            selected=asked,
            rejected={**self.rejected, **{tag: reason for tag, reason in reasons.items() if reason}},
            failed={tag: reason for tag, reason in self.failed.items() if not why_not(tag, only)},
            steps=(*self.steps, Step(what="asked for", tags=len(asked))),
        )

    def without(self, tags: Collection[str], left: str) -> Selection:
        """Nothing of these ``tags``, whether chosen or not; what is ``left`` is a step."""
        selected = tuple(each for each in self.selected if each not in tags)
        return replace(
            self,
            selected=selected,
            rejected={tag: reason for tag, reason in self.rejected.items() if tag not in tags},
            failed={tag: reason for tag, reason in self.failed.items() if tag not in tags},
            steps=(*self.steps, Step(what=left, tags=len(selected))),
        )

    def fail(self, tags: Collection[str], reason: str) -> Selection:
        """These ``tags`` failed instead of chosen."""
        selected = tuple(each for each in self.selected if each not in tags)
        return replace(self, selected=selected, failed={**self.failed, **dict.fromkeys(tags, reason)})


def select_tags(
    listed: Iterable[Entry], rules: TagRules, *, now: datetime, is_whole: bool = True, has_push_times: bool = True
) -> Selection:
    """Apply the rules. The order of the listing has no influence.

    :param now: what ages are counted from, aware UTC.
    :param is_whole: ``listed`` is all that the source has, so that of ``names`` those that are not there are missing.
    :param has_push_times: the source lists push times; one that is unknown is then that tag's own fault.
    :raises ConfigurationError: when a rule goes by push times, and the source tells none.
    """
    entries = {each.name: each for each in sorted(listed, key=lambda each: each.name)}
    no_tags = {name: "no tag by the OCI grammar, it cannot be pushed" for name in entries if not is_tag(name)}
    others = [each for name, each in entries.items() if name not in no_tags and name not in rules.named]
    filtered = _filter(others, rules, now, has_push_times=has_push_times)
    chosen = _add_named(filtered, rules.named, entries) if rules.names else filtered
    return replace(
        chosen,
        selected=tuple(sorted(chosen.selected)),
        rejected=dict(sorted({**no_tags, **chosen.rejected}.items())),
        failed={**(_missing(rules.named, entries) if is_whole else {}), **chosen.failed},
        steps=(Step(what="listed", tags=len(entries)), *chosen.steps),
    )


def _filter(left: Sequence[Entry], rules: TagRules, now: datetime, *, has_push_times: bool) -> Selection:
    """What one rule after the other leaves. ``names`` alone are a rule that leaves nothing."""
    rejected, failed, steps, not_yet = dict[str, str](), dict[str, str](), list[Step](), frozenset[str]()
    if rules.names and not rules.has_filters:
        return Selection(selected=(), rejected={each.name: "not among names" for each in left})
    for rule in (each for each in FILTERS if getattr(rules, each) is not None):
        failed |= _without_push_time(left, rule, has_push_times) if rule in rules.push_time_keys else {}
        left_out = _JUDGES[rule]([each for each in left if each.name not in failed], rules, now)
        rejected |= left_out
        not_yet = frozenset(left_out) if rule == "older_than" else not_yet
        left = [each for each in left if each.name not in rejected and each.name not in failed]
        steps.append(Step(what=rule, tags=len(left)))
    selected = tuple(each.name for each in left)
    return Selection(selected=selected, rejected=rejected, failed=failed, not_yet=not_yet, steps=tuple(steps))


def _add_named(filtered: Selection, named: Mapping[str, Digest | None], listed: Collection[str]) -> Selection:
    """And the tags in ``names``: those that are listed, and those that are pinned, whether listed or not."""
    selected = (*filtered.selected, *(name for name, pin in named.items() if pin or name in listed))
    step = Step(what="with names" if filtered.steps else "names", tags=len(selected))
    pins = {name: pin for name, pin in named.items() if pin}
    return replace(filtered, selected=selected, pins=pins, steps=(*filtered.steps, step))


def _missing(named: Mapping[str, Digest | None], listed: Collection[str]) -> dict[str, str]:
    reason = "names has it, and the source has no such tag; mend the name, or remove it"
    return {name: reason for name, pin in named.items() if not pin and name not in listed}


def check_min_tags(selection: Selection, rules: TagRules, where: object) -> None:
    """:raises RefusedError: when fewer tags are chosen than ``min_tags`` asks for."""
    if rules.min_tags and len(selection.selected) < rules.min_tags:
        seen = f"only {len(selection.selected)} tags of {where} are chosen, and min_tags is {rules.min_tags}"
        raise RefusedError(f"{seen} ({selection.attrition}); nothing was copied. Does the source list all its tags?")


def why_not(tag: str, rules: TagRules) -> str:
    """Why a tag of that name is never chosen, whenever it was pushed and whatever other tags there are; or empty."""
    if tag in rules.named:
        return ""
    if rules.names and not rules.has_filters:
        return "not among names"
    return _why_not_included(tag, rules) or _why_excluded(tag, rules) or _why_no_version(tag, rules)


def _why_not_included(tag: str, rules: TagRules) -> str:
    if rules.include is None or first_match(rules.include, tag):
        return ""
    return f"matches none of {', '.join(map(repr, rules.include))}"


def _why_excluded(tag: str, rules: TagRules) -> str:
    pattern = first_match(rules.exclude or (), tag)
    return f"excluded by {pattern!r}" if pattern else ""


def _why_no_version(tag: str, rules: TagRules) -> str:
    if rules.semver is None:
        return ""
    version = read_version(tag)
    if version is None:
        return f"no version, as semver {rules.semver!r} asks for"
    if parse_range(rules.semver, prereleases=rules.prereleases).holds(version):
        return ""
    if not version.is_release and parse_range(rules.semver, prereleases=True).holds(version):
        return f"a pre-release, by its suffix, which semver {rules.semver!r} does not ask for"
    return f"not in semver {rules.semver!r}"


def _without_push_time(entries: Sequence[Entry], rule: str, has_push_times: bool) -> dict[str, str]:
    """The tags that ``rule`` cannot judge, since their push time is unknown. It is never taken for now or long ago.

    :raises ConfigurationError: when that is so of all tags of such a source.
    """
    unknown = [each.name for each in entries if each.pushed_at is None]
    advice = " (newest_by: semver or name needs none)" if rule == "newest" else ""
    if unknown and not has_push_times:
        raise ConfigurationError(f"{rule} goes by push times, and the source tells none{advice}; remove it here")
    reason = f"{rule} goes by push times, and the source does not tell when this one was pushed; write it into names"
    return dict.fromkeys(unknown, f"{reason} or exclude")


def _judge_by(why: Callable[[str, TagRules], str]) -> _Judge:
    """A rule that looks at a tag's name alone."""

    def judge(entries: Sequence[Entry], rules: TagRules, _now: datetime) -> dict[str, str]:
        return {each.name: reason for each in entries if (reason := why(each.name, rules))}

    return judge


def _judge_older(entries: Sequence[Entry], rules: TagRules, now: datetime) -> dict[str, str]:
    """A tag is old enough from the very moment on."""
    return {
        each.name: f"pushed {each.pushed_at:%Y-%m-%d %H:%M}, not yet {rules.older_than} ago"
        for each in entries
        if (old_enough_at := rules.enters_at(each.pushed_at)) and old_enough_at > now
    }


def _judge_younger(entries: Sequence[Entry], rules: TagRules, now: datetime) -> dict[str, str]:
    limit = now - parse_duration(str(rules.younger_than))
    return {
        each.name: f"pushed {each.pushed_at:%Y-%m-%d %H:%M}, {rules.younger_than} ago or more"
        for each in entries
        if each.pushed_at and each.pushed_at <= limit
    }


def _judge_newest(entries: Sequence[Entry], rules: TagRules, _now: datetime) -> dict[str, str]:
    """Of two that are equally new, the one with the later name counts as newer."""
    reasons = {each.name: reason for each in entries if (reason := _why_not_ordered(each.name, rules))}
    by_age = sorted((each for each in entries if each.name not in reasons), key=_AGES[rules.order])
    too_old = by_age[: max(0, len(by_age) - (rules.newest or 0))]
    which = {"semver": "versions", "push_time": "by push time", "name": "by name"}[rules.order]
    return {**reasons, **{each.name: f"not among the newest {rules.newest} {which}" for each in too_old}}


def _why_not_ordered(tag: str, rules: TagRules) -> str:
    if rules.order != "semver":
        return ""
    version = read_version(tag)
    if version is None:
        return "no version, as newest_by semver asks for"
    is_asked_for = version.is_release or rules.prereleases or rules.semver
    return "" if is_asked_for else "a pre-release, by its suffix, and prereleases is false"


_Judge = Callable[[Sequence[Entry], TagRules, datetime], dict[str, str]]
"""The tags that a rule leaves out, each with why."""

_JUDGES: Mapping[str, _Judge] = {
    "include": _judge_by(_why_not_included),
    "exclude": _judge_by(_why_excluded),
    "semver": _judge_by(_why_no_version),
    "older_than": _judge_older,
    "younger_than": _judge_younger,
    "newest": _judge_newest,
}

_AGES: Mapping[str, Callable[[Entry], Any]] = {
    "semver": lambda each: (read_version(each.name), each.name),
    "push_time": lambda each: (each.pushed_at, each.name),
    "name": lambda each: each.name,
}
