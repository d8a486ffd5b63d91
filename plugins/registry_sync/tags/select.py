"""Select the tags to mirror, with a reason for every other one. Pure; the current time is an argument.

Each rule selects by itself: ``names`` come first, and no filter applies to them; then ``rules.FILTERS`` apply to all
other tags, in order. With several rules a tag is selected if one of them selects it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.tags.filters import JUDGES, NOT_NAMED, Entry, rejection_by_name
from registry_sync.tags.rules import FILTERS, Filter, TagRule, TagRules

MAX_TAGS_IN_REASON = 5

_REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionStep:
    """The number of tags left after a filter."""

    what: str
    tags: int

    def __str__(self) -> str:
        return f"{self.what} {self.tags}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selected tags in the order of their names, and the reason for every other tag.

    ``failed`` are tags that the rules cannot judge, each with the remedy.
    ``not_yet`` are the rejected tags that a later run may select, without a change at the source or of the rules.
    ``pins`` maps tags to the digests that they are pinned to. ``steps`` are the filters that applied, in order.
    ``emptied``: the filters left none of the tags outside ``names``, though there was one; the text has the last tag
    that they rejected, with its reason.
    ``notes`` are remarks for people; ``warning`` is one about rules that select nothing. ``by_rule`` are the selections
    of the single rules, if there are several.
    """

    selected: tuple[str, ...]
    rejected: Mapping[str, str]
    failed: Mapping[str, str] = field(default_factory=dict)
    not_yet: frozenset[str] = frozenset()
    pins: Mapping[str, Digest] = field(default_factory=dict)
    steps: tuple[SelectionStep, ...] = ()
    emptied: str = ""
    notes: tuple[str, ...] = ()
    warning: str = ""
    by_rule: tuple[Selection, ...] = ()

    @property
    def judged(self) -> int:
        """The number of tags that the rules judged: without those of signatures, backups and platform caches."""
        return (self.by_rule or (self,))[0].steps[0].tags

    @property
    def requested(self) -> int | None:
        """The number of selected tags that match the patterns of the run; ``None`` without patterns."""
        return next((step.tags for step in self.steps if step.what == _REQUESTED), None)

    @property
    def drops_tags(self) -> bool:
        """True if a filter rejected a tag, or a tag is outside the run's window."""
        return min(step.tags for step in self.steps) < self.judged

    def narrow(self, only: TagRule) -> Selection:
        """Keep the selected tags that match the patterns of a run that is limited to some tags."""
        if not only.has_filters:
            return self
        reasons = {tag: reason for tag in self.selected if (reason := rejection_by_name(tag, only))}
        kept = tuple(tag for tag in self.selected if tag not in reasons)
        return replace(
            self,
            selected=kept,
            rejected={**self.rejected, **reasons},
            failed={tag: reason for tag, reason in self.failed.items() if not rejection_by_name(tag, only)},
            steps=(*self.steps, SelectionStep(what=_REQUESTED, tags=len(kept))),
        )

    def found_by_name(self) -> Selection:
        """The same selection, for tags that were looked up by their names and not listed."""
        first, *others = self.steps
        first = replace(first, what="found by name" if first.what == "listed" else first.what)
        by_rule = tuple(part.found_by_name() for part in self.by_rule)
        return replace(self, steps=(first, *others), by_rule=by_rule)

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


def steps_text(selection: Selection) -> str:
    """The steps in one line, such as ``listed 412 → include 98 → semver 40 → newest 20``.

    With several rules: ``rule 1: listed 40 → include 3; rule 2: listed 40 → semver 4; together 5``.
    """
    rules = [f"rule {number}: {_steps_line(part)}" for number, part in enumerate(selection.by_rule, start=1)]
    return "; ".join([*rules, _steps_line(selection)])


def _steps_line(selection: Selection) -> str:
    return " → ".join(map(str, selection.steps))


def rejection_reason(tag: str, rules: TagRules) -> str:
    """The reason that a tag of that name is never selected, regardless of push times; empty when it may be."""
    reasons = [rejection_by_name(tag, rule) for rule in rules.rules]
    return _joined(reasons) if all(reasons) else ""


def _joined(reasons: Sequence[str]) -> str:
    """The reasons of all rules, each with the rule's number if there are several."""
    if len(reasons) == 1:
        return reasons[0]
    return "; ".join(f"rule {number}: {reason}" for number, reason in enumerate(reasons, start=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTimes:
    """Knowledge of the push times of a listing.

    ``are_listed``: the source lists them. ``unknown_is_old``: a tag without one counts as older than all others.
    """

    are_listed: bool = True
    unknown_is_old: bool = False


ALL_LISTED = PushTimes()


def select_tags(
    listed: Iterable[Entry],
    rules: TagRules,
    *,
    now: datetime,
    is_whole: bool = True,
    push_times: PushTimes = ALL_LISTED,
) -> Selection:
    """Apply the rules. The order of the listing has no influence.

    :param now: the time from which ages count, aware UTC.
    :param is_whole: ``listed`` is everything that the source has, so tags in ``names`` that it lacks are missing.
    :raises ConfigurationError: when a filter needs push times, and the source lists none.
    """
    entries = {entry.name: entry for entry in sorted(listed, key=lambda entry: entry.name)}
    invalid = {name: "not a valid OCI tag, so it cannot be pushed" for name in entries if not is_tag(name)}
    listing = _Listing(entries=entries, invalid=invalid, now=now, is_whole=is_whole, push_times=push_times)
    by_rule = tuple(_select_by(rule, listing) for rule in rules.rules)
    selection = by_rule[0] if len(by_rule) == 1 else _unite(by_rule, invalid)
    return _join_failures(selection) if len(selection.failed) > 1 else selection


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """The listed tags in the order of their names, with what :func:`select_tags` knows of them."""

    entries: Mapping[str, Entry]
    invalid: Mapping[str, str]
    now: datetime
    is_whole: bool
    push_times: PushTimes


def _select_by(rule: TagRule, listing: _Listing) -> Selection:
    """The selection of one rule."""
    entries, invalid = listing.entries, listing.invalid
    others = [entry for name, entry in entries.items() if name not in invalid and name not in rule.named]
    filtered = _filter(others, rule, listing)
    chosen = _add_named(filtered, rule.named, entries) if rule.named else filtered
    return replace(
        chosen,
        selected=tuple(sorted(chosen.selected)),
        rejected=dict(sorted({**invalid, **chosen.rejected}.items())),
        failed={**(_missing(rule.named, entries) if listing.is_whole else {}), **chosen.failed},
        steps=(SelectionStep(what="listed", tags=len(entries)), *chosen.steps),
    )


def _filter(listed: Sequence[Entry], rule: TagRule, listing: _Listing) -> Selection:
    """Apply the filters one after the other. A rule with ``names`` and no filter rejects every other tag."""
    if rule.named and not rule.has_filters:
        return Selection(selected=(), rejected={entry.name: NOT_NAMED for entry in listed})
    left, steps, notes = listed, list[SelectionStep](), tuple[str, ...]()
    rejected, failed, not_yet = dict[str, str](), dict[str, str](), frozenset[str]()
    for key in rule.filters:
        unknown = [entry.name for entry in left if entry.pushed_at is None] if key in rule.push_time_keys else []
        if unknown and listing.push_times.unknown_is_old:
            notes = notes or (_old_note(unknown),)
        elif unknown:
            _check_push_times(key, listing.push_times)
            failed |= dict.fromkeys(unknown, _unknown_push_time(key))
            left = [entry for entry in left if entry.name not in failed]
        reasons = JUDGES[key](left, rule, listing.now)
        rejected |= reasons
        not_yet = frozenset(reasons) if key == "older_than" else not_yet
        left = [entry for entry in left if entry.name not in reasons]
        steps.append(SelectionStep(what=key, tags=len(left)))
    may_be_right = left or failed or not_yet or not rejected
    return Selection(
        selected=tuple(entry.name for entry in left),
        rejected=rejected,
        failed=failed,
        not_yet=not_yet,
        steps=tuple(steps),
        emptied="" if may_be_right else "{!r}: {}".format(*next(reversed(rejected.items()))),
        notes=notes,
    )


def _old_note(unknown: Sequence[str]) -> str:
    return f"{len(unknown)} tags without a push time count as older than all others ({_some(unknown)})"


def _check_push_times(key: Filter, push_times: PushTimes) -> None:
    """:raises ConfigurationError: when the source lists no push times at all."""
    if not push_times.are_listed:
        advice = " (newest_by: semver or name needs none)" if key == "newest" else ""
        raise ConfigurationError(f"{key} needs push times, which the source does not list{advice}; remove it here")


def _unknown_push_time(key: Filter) -> str:
    return f"{key} needs a push time, and the source lists none for this tag; add it to names or exclude"


def _join_failures(selection: Selection) -> Selection:
    """Join tags that fail without a push time into one failure. The others become ``not_yet``: pruning spares them."""
    failed, rejected, joined = dict(selection.failed), dict(selection.rejected), set[str]()
    for key in FILTERS:
        unknown = [tag for tag, reason in selection.failed.items() if reason == _unknown_push_time(key)]
        first, others = unknown[:1], unknown[1:]
        if others:
            which = f"this tag and {len(others)} others ({_some(others)}); add them to names or exclude"
            failed[first[0]] = f"{key} needs push times, and the source lists none for {which}"
            rejected |= dict.fromkeys(others, f"its push time is unknown, as that of {first[0]}, which fails")
            joined.update(others)
    return replace(
        selection,
        failed={tag: reason for tag, reason in failed.items() if tag not in joined},
        rejected=dict(sorted(rejected.items())),
        not_yet=selection.not_yet | joined,
    )


def _some(tags: Sequence[str]) -> str:
    names = ", ".join(tags[:MAX_TAGS_IN_REASON])
    return names if len(tags) <= MAX_TAGS_IN_REASON else f"{names}, …"


def _add_named(filtered: Selection, named: Mapping[str, Digest | None], listed: Collection[str]) -> Selection:
    """Add the tags in ``names``: those that are listed, and those that are pinned, whether listed or not."""
    selected = (*filtered.selected, *(name for name, pin in named.items() if pin or name in listed))
    step = SelectionStep(what="with names" if filtered.steps else "names", tags=len(selected))
    pins = {name: pin for name, pin in named.items() if pin}
    return replace(filtered, selected=selected, pins=pins, steps=(*filtered.steps, step))


def _missing(named: Mapping[str, Digest | None], listed: Collection[str]) -> dict[str, str]:
    reason = "names lists it, but the source has no such tag; correct the name, or remove it"
    return {name: reason for name, pin in named.items() if not pin and name not in listed}


def _unite(by_rule: tuple[Selection, ...], invalid: Mapping[str, str]) -> Selection:
    """The selection of several rules: the tags that one of them selects."""
    selected = {tag for part in by_rule for tag in part.selected}
    failed = {tag: reason for part in by_rule for tag, reason in part.failed.items() if tag not in selected}
    rejected = [tag for tag in sorted({tag for part in by_rule for tag in part.rejected}) if tag not in failed]
    return Selection(
        selected=tuple(sorted(selected)),
        rejected={
            tag: invalid.get(tag) or _joined([part.rejected.get(tag, "") for part in by_rule])
            for tag in rejected
            if tag not in selected
        },
        failed=failed,
        not_yet=frozenset(tag for part in by_rule for tag in part.not_yet if tag not in selected and tag not in failed),
        pins={tag: pin for part in by_rule for tag, pin in part.pins.items()},
        steps=(SelectionStep(what="together", tags=len(selected)),),
        emptied=next((part.emptied for part in by_rule if part.emptied), ""),
        notes=tuple(dict.fromkeys(note for part in by_rule for note in part.notes)),
        by_rule=by_rule,
    )
