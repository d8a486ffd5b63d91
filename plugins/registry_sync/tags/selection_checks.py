"""Check a selection: too few tags, or filters that leave none, which are nearly always a mistake. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from registry_sync.errors import RefusedError
from registry_sync.tags.patterns import Pattern
from registry_sync.tags.rules import TagRule, TagRules
from registry_sync.tags.select import Selection, steps_text
from registry_sync.tags.tag_patterns import found_within
from registry_sync.text import quoted


def check_min_tags(selection: Selection, rules: TagRules, where: object) -> None:
    """:raises RefusedError: when a rule selects fewer tags than its ``min_tags``."""
    if problem := too_few(selection, rules, where):
        raise RefusedError(f"{problem}; nothing was copied. Does the source list all its tags?")


def too_few(selection: Selection, rules: TagRules, where: object) -> str:
    """The message about the rules that select fewer tags than their ``min_tags``; empty when there is none."""
    return "; ".join(
        f"only {len(part.selected)} tags of {where} are selected{f' by {name}' if name else ''}, and min_tags is "
        f"{rule.min_tags} ({steps_text(part)})"
        for name, rule, part in _parts(selection, rules)
        if rule.min_tags and len(part.selected) < rule.min_tags
    )


def selects_none(selection: Selection, rules: TagRules, where: object) -> str:
    """The message about the rules whose filters leave none of the listed tags; empty when there is none.

    A rule with ``min_tags``, also 0, says itself how many tags it has to select.

    :param selection: the rules' selection of a complete listing.
    """
    return "; ".join(
        f"{_selects_none(name, rule)} of the {part.steps[0].tags} tags of {where} ({steps_text(part)})"
        f", for example not {part.emptied}; correct it, or write min_tags: 0 if that is right"
        for name, rule, part in _parts(selection, rules)
        if part.emptied and rule.min_tags is None
    )


def _selects_none(name: str, rule: TagRule) -> str:
    """The beginning of the message: ``names`` may select tags where the filters beside it select none."""
    others = "names only: the other keys select " if rule.named else ""
    return f"{name or 'tags:'} selects {others}none"


def _parts(selection: Selection, rules: TagRules) -> Iterator[tuple[str, TagRule, Selection]]:
    """Each rule with its selection, and its name for people if there are several."""
    parts = selection.by_rule or (selection,)
    for number, (rule, part) in enumerate(zip(rules.rules, parts, strict=True), start=1):
        yield f"rule {number} of tags" if selection.by_rule else "", rule, part


def unanchored_notes(rules: TagRules, tags: Collection[str]) -> tuple[str, ...]:
    """Notes about expressions that match no tag as a whole, and are found within some: ``/rc/`` and ``v1-rc1``.

    Most other tools search for an expression within a tag, so such an ``exclude`` would silently exclude nothing.

    :param tags: all tags of the source.
    """
    patterns = [
        (key, pattern)
        for rule in rules.rules
        for key, patterns in (("include", rule.include), ("exclude", rule.exclude))
        for pattern in patterns or ()
        if pattern.is_expression
    ]
    return tuple(dict.fromkeys(note for key, pattern in patterns for note in _unanchored_note(key, pattern, tags)))


def _unanchored_note(key: str, pattern: Pattern, tags: Iterable[str]) -> Iterator[str]:
    tags = list(tags)
    if any(map(pattern.matches, tags)):
        return
    if found := [tag for tag in tags if pattern.is_found_in(tag)]:
        yield (
            f"{key} {quoted(pattern.text)} matches no tag as a whole, but is found within {len(found)}, such as "
            f"{quoted(min(found))}; patterns match whole tags: write {quoted(found_within(pattern))}"
        )
