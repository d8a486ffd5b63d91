"""Forms of names that patterns match: they show whether two patterns may match one name, and give example names.

A glob has exactly one form. Simple expressions have a form for each alternative; other expressions have wider forms,
which also match names that the expression does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import ascii_letters, ascii_lowercase, digits

from registry_sync.tags.patterns import GLOB_PART, Pattern, parse_pattern

MAX_LENGTH = 256
"""Names are shorter, so that no form needs more parts."""

ALPHABET = frozenset(ascii_letters + digits + "._/-")
"""The characters of tags and repository names."""

Part = frozenset[str] | None
"""One character out of a set, or ``None``: any text, also an empty one."""

Form = tuple[Part, ...]

ANY_TEXT: Part = None

FILLINGS = ("any", "example", "0", "")
"""Texts that stand for a wildcard in example names."""


def literal_form(text: str) -> Form:
    """The form of one name."""
    return tuple(map(frozenset, text))


@lru_cache(maxsize=1000)
def forms_of(pattern: Pattern, *, with_counts: bool = False) -> tuple[Form, ...]:
    """Forms that together match every name that ``pattern`` matches.

    :param with_counts: an atom with a count such as ``{2,}`` has a part for each time that it has to occur.

    >>> [form_text(form) for form in forms_of(parse_pattern("/(foo|bar.*)/"))]
    ['foo', 'bar*']
    """
    if not pattern.is_expression:
        return (tuple(map(_glob_part, GLOB_PART.findall(pattern.text))),)
    items = _items(pattern.text)
    if not items:
        return ((ANY_TEXT,),)
    return tuple(_alternative_form(alternative, with_counts) for alternative in _alternatives(items))


def has_inner_anchor(pattern: Pattern) -> bool:
    """True if an expression has ``^`` or ``$`` elsewhere than at its ends."""
    return pattern.is_expression and any(atom in ("^", "$") for atom, _ in _items(pattern.text))


@lru_cache(maxsize=1000)
def has_exact_forms(pattern: Pattern) -> bool:
    """True if the pattern matches every name of its forms. Of the counts of expressions, only those of a dot are exact.

    >>> has_exact_forms(parse_pattern("/[a-c].*/")), has_exact_forms(parse_pattern("/[a-c]*/"))
    (True, False)
    """
    items = _items(pattern.text) if pattern.is_expression else [(".", "")]
    return bool(items) and not any(
        atom in ("(", "(?:", ")", "^", "$") or (count and not (atom == "." and count[0] in "*+"))
        for atom, count in items
    )


def form_text(form: Form) -> str:
    """A form as a glob, with ``?`` for every set."""
    return "".join("*" if part is None else "".join(part) if len(part) == 1 else "?" for part in form)


def literal_texts(form: Form) -> list[str]:
    """The texts of a form between its wildcards and sets.

    >>> literal_texts((*literal_form("a-"), ANY_TEXT, *literal_form("-op")))
    ['a-', '-op']
    """
    return [text for text in re.split(r"[*?]+", form_text(form)) if text]


def _glob_part(text: str) -> Part:
    if text == "*":
        return ANY_TEXT
    return _members(parse_pattern(text)) if text == "?" or len(text) > 1 else frozenset(text)


def _members(pattern: Pattern) -> frozenset[str]:
    return frozenset(filter(pattern.matches, ALPHABET))


_ESCAPE = r"\\(?:[dDwWsS]|[^A-Za-z0-9])"

_SET = rf"\[\^?(?:[^\[\]\\]|{_ESCAPE})+\]"

_ITEM = re.compile(
    rf"(?P<mark>\(\?:|\((?!\?)|[|^$])|(?P<atom>{_ESCAPE}|{_SET}|[^\\\[\]{{}}(|^$*+?])"
    r"(?P<count>(?:[*+?]|\{\d+(?:,\d*)?\})\??)?",
    re.DOTALL,
)
"""A part of an expression: an atom, or the end of a group, with its count; or another mark, without one."""

_Item = tuple[str, str]


def _items(text: str) -> list[_Item]:
    """The parts of an expression with their counts; empty for other syntax.

    Anchors at the ends, and parentheses around the whole expression, are left out.
    """
    expression = text[1:-1]
    matches = list(_ITEM.finditer(expression))
    if "".join(match[0] for match in matches) != expression:
        return []
    items = [(match["mark"] or match["atom"], match["count"] or "") for match in matches]
    items = items[1:] if items[0] == ("^", "") else items
    items = items[:-1] if items[-1:] == [("$", "")] else items
    return items[1:-1] if _is_group(items) else items


def _alternatives(items: list[_Item]) -> list[list[_Item]]:
    """The alternatives of an expression. Groups become any text."""
    found: list[list[_Item]] = [[]]
    depth = 0
    for atom, count in items:
        depth += atom.startswith("(")
        if atom == ")":
            depth -= 1
            found[-1].append((".", "*"))
        elif atom == "|" and not depth:
            found.append([])
        elif not depth:
            found[-1].append((atom, count))
    return found


def _is_group(items: list[_Item]) -> bool:
    """True if the first parenthesis closes at the end, without a count."""
    if len(items) < 2 or not items[0][0].startswith("(") or items[-1] != (")", ""):
        return False
    return not any(atom.startswith("(") or atom == ")" for atom, _ in items[1:-1])


NEVER: Part = frozenset()
"""A part that no name has."""


def _alternative_form(items: list[_Item], with_counts: bool) -> Form:
    """The form of atoms in a row. Every count but none becomes any text."""
    form: list[Part] = []
    for index, (atom, count) in enumerate(items):
        others = items[:index] if atom == "^" else items[index + 1 :] if atom == "$" else ()
        if atom not in ("^", "$"):
            least = min(_least(count), MAX_LENGTH if with_counts or not count.startswith("{") else 0)
            form += [_members(parse_pattern(f"/{atom}/"))] * least + ([ANY_TEXT] if count else [])
        elif any(_least(other_count) for other, other_count in others if other not in ("^", "$")):
            return (NEVER,)  # no name has text before its beginning, or after its end
    return tuple(form)


def _least(count: str) -> int:
    """The minimum number of times that an atom with this count occurs."""
    number = re.match(r"\{(\d+)", count)
    return int(number[1]) if number else int(not count or count.startswith("+"))


def forms_meet(first: Form, second: Form) -> bool:
    """Return whether one name has both forms."""

    def steps(left: int, right: int) -> Iterator[tuple[int, int]]:
        ours, theirs = first[left : left + 1], second[right : right + 1]
        if ours == (ANY_TEXT,) or theirs == (ANY_TEXT,):
            yield from [(left + 1, right)] if ours else []
            yield from [(left, right + 1)] if theirs else []
        elif ours and theirs and (ours[0] or frozenset()) & (theirs[0] or frozenset()):
            yield left + 1, right + 1

    return _leads_to((len(first), len(second)), steps)


def may_begin_with(form: Form, text: str) -> bool:
    """Return whether names of a form may begin with ``text``."""
    for part, character in zip(form, text, strict=False):
        if part is None or character not in part:
            return part is None
    return True


def form_covers(outer: Form, inner: Form) -> bool:
    """Return whether every name of the form ``inner`` has the form ``outer`` too; False when that is not certain.

    >>> form_covers(literal_form("a") + (ANY_TEXT,), literal_form("ab"))
    True
    """

    def steps(left: int, right: int) -> Iterator[tuple[int, int]]:
        ours, theirs = inner[left : left + 1], outer[right : right + 1]
        if theirs == (ANY_TEXT,):
            yield left, right + 1
            yield from [(left + 1, right)] if ours else []
        elif ours and theirs and ours[0] is not None and theirs[0] is not None and ours[0] <= theirs[0]:
            yield left + 1, right + 1

    return _leads_to((len(inner), len(outer)), steps)


def _leads_to(end: tuple[int, int], steps: Callable[[int, int], Iterable[tuple[int, int]]]) -> bool:
    """True if ``steps`` lead from the beginnings of two forms to their ends."""
    todo = [(0, 0)]
    seen = {(0, 0)}
    while todo:
        position = todo.pop()
        if position == end:
            return True
        following = set(steps(*position)) - seen
        seen |= following
        todo += following
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """A pattern of the names that begin with ``base``. It matches what follows ``base``."""

    base: str = ""
    pattern: Pattern

    def matches(self, name: str) -> bool:
        """Return whether the whole ``name`` matches."""
        return name.startswith(self.base) and self.pattern.matches(name.removeprefix(self.base))

    def forms(self) -> Iterator[Form]:
        """The forms of whole names."""
        return (literal_form(self.base) + form for form in forms_of(self.pattern))

    def covers(self, form: Form) -> bool:
        """Return whether every name of a form matches; False when that is not certain."""
        if (name := _only_name(form)) is not None:
            return self.matches(name)
        return has_exact_forms(self.pattern) and any(form_covers(outer, form) for outer in self.forms())


def _only_name(form: Form) -> str | None:
    """The name of a form that has only one."""
    parts = ["".join(part) for part in form if part is not None and len(part) == 1]
    return "".join(parts) if len(parts) == len(form) else None


def may_share_name(
    ours: Iterable[NamePattern], theirs: Iterable[NamePattern], excluded: Iterable[NamePattern] = ()
) -> bool:
    """Return whether a name may match one of ``ours`` and one of ``theirs``, and none of ``excluded``.

    False only where their texts rule it out.
    """
    unwanted = tuple(excluded)
    return any(_may_meet(one, two, unwanted) for one, two in product(tuple(ours), tuple(theirs)))


def _may_meet(one: NamePattern, two: NamePattern, excluded: tuple[NamePattern, ...]) -> bool:
    if one in excluded or two in excluded:
        return False
    return any(
        forms_meet(first, second)
        and all(pattern.covers(form) for pattern, form in ((one, second), (two, first)) if _only_name(form) is not None)
        and not any(pattern.covers(form) for pattern in excluded for form in (first, second))
        for first, second in product(tuple(one.forms()), tuple(two.forms()))
    )


_PLAIN_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_PLAIN_CHARACTERS = ascii_lowercase + digits + "-._/"


@lru_cache(maxsize=1000)
def example_names(pattern: Pattern, fillings: tuple[str, ...] = FILLINGS) -> tuple[str, ...]:
    """Repository names that ``pattern`` matches; empty when none is found.

    :param fillings: texts that stand for a wildcard.

    >>> example_names(parse_pattern("/.*-app/"))
    ('any-app', 'example-app', '0-app')
    """
    names = dict.fromkeys(name for form in forms_of(pattern) for name in _filled(form, fillings))
    return tuple(name for name in names if _PLAIN_NAME.fullmatch(name) and pattern.matches(name))


def _filled(form: Form, fillings: tuple[str, ...]) -> Iterator[str]:
    """Names of a form: every filling with every choice of characters from its sets, which take turns."""
    choices = [fillings if part is None else sorted(part, key=_rank) for part in form]
    turns = max((len(part) for part in form if part is not None), default=1)
    for turn in range(turns if all(choices) else 0):
        for filling in fillings:
            yield "".join(
                filling if part is None else choice[turn % len(choice)]
                for part, choice in zip(form, choices, strict=True)
            )


def _rank(character: str) -> int:
    return _PLAIN_CHARACTERS.find(character) % len(ALPHABET)
