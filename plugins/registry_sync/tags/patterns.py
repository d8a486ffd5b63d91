"""Patterns of a mirrors file: globs, and regular expressions where they are written ``/…/``.

The expressions are matched without going back, in a time proportional to the text whatever the expression is: ``(a+)+``
takes Python's own ``re`` for ever. They are therefore what regular expressions are in the strict sense, without
back-references and looking around.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from string import ascii_lowercase, digits

from registry_sync.errors import ConfigurationError

MAX_STATES = 2000
"""So large an expression may become once its counts are written out; each is looked at for each character."""

MAX_LOOKED_AT = 2000
"""So many beginnings of names are tried to find one that patterns have in common."""

MAX_KNOWN = 10_000
"""So many steps an expression remembers, to take them faster when they come again."""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of ``text`` matches; upper and lower case differ.

    >>> matches("v1.*", "v1.2"), matches("/v[0-9]+/", "v12"), matches("/v[0-9]+/", "v12-dev")
    (True, True, False)
    """
    if is_expression(pattern):
        return _compiled(pattern[1:-1]).matches(text)
    return fnmatchcase(text, pattern)


def is_expression(pattern: str) -> bool:
    """Whether it is a regular expression, and not a glob."""
    return len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")


def check_pattern(pattern: str) -> str:
    """The pattern itself. :raises ConfigurationError: when it is none, or can match no name."""
    if pattern in ("", "//"):
        raise ConfigurationError("it is empty; write a value, or remove it")
    if is_expression(pattern):
        _compiled(pattern[1:-1])
    elif pattern.startswith("/"):
        raise ConfigurationError(f"{pattern!r} matches no name; a regular expression has a / at its end as well")
    elif "[" in pattern and "]" not in pattern.partition("[")[2]:
        raise ConfigurationError(f"{pattern!r} matches no name; its [ has no ]")
    elif strange := next(filter(_IN_NO_NAME.fullmatch, _GLOB.findall(pattern)), None):
        raise ConfigurationError(
            f"{pattern!r} matches no name, since none has {strange!r} in it; globs have *, ? and [a-z], and a regular "
            "expression stands between two /"
        )
    return pattern


def first_match(patterns: Iterable[str], text: str) -> str | None:
    """The first of the patterns that matches."""
    return next((each for each in patterns if matches(each, text)), None)


def common_name(wanted: Sequence[str], unwanted: Sequence[str] = ()) -> str | None:
    """A repository name, as short as can be, that all of ``wanted`` match and none of ``unwanted``; ``None``: unknown.

    >>> common_name(["*-app", "/[b-d].*/"], ["b*"])
    'c-app'
    """
    texts = (each[1:-1] if is_expression(each) else _as_expression(each) for each in (*wanted, *unwanted))
    everything = tuple(map(_compiled, texts))
    todo = deque([("", tuple(each.begin for each in everything))])
    seen = set[tuple[bool, tuple[frozenset[int], ...]]]()
    while todo and len(seen) < MAX_LOOKED_AT:
        name, states = todo.popleft()
        for character in _LETTERS + (_BETWEEN if name and name[-1] in _LETTERS else ""):
            after = tuple(each.after(state, character) for each, state in zip(everything, states, strict=True))
            is_end = [each.end in state for each, state in zip(everything, after, strict=True)]
            if character in _LETTERS and all(is_end[: len(wanted)]) and not any(is_end[len(wanted) :]):
                return name + character
            key = (character in _LETTERS, after)
            if all(after[: len(wanted)]) and key not in seen:
                seen.add(key)
                todo.append((name + character, after))
    return None


_LETTERS, _BETWEEN = ascii_lowercase + digits, "-._/"
"""What repository names are made of; the latter only between the former."""


def _as_expression(glob: str) -> str:
    """A glob as a regular expression that matches the same."""
    parts = _GLOB.findall(glob)
    return "".join({"*": ".*", "?": "."}.get(each) or _as_set(each) or re.escape(each) for each in parts)


_GLOB = re.compile(r"\[(?:!.|[^!])[^\]]*\]|.", re.DOTALL)

_IN_NO_NAME = re.compile(r"[^A-Za-z0-9_./*?-]")
"""A character of a glob that neither tags nor repositories have. Sets may have any."""


def _as_set(part: str) -> str:
    """A set, as Python's own globs read it; one such as ``[z-a]``, in which nothing is, as a set of nothing."""
    if not (part.startswith("[") and len(part) > 1):
        return ""
    read = translate(part).removeprefix("(?s:").removesuffix(r")\Z")
    return read if read.startswith("[") else r"[^\d\D]"


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> _Expression:
    try:
        re.compile(expression)
        return _Compiler(expression).compile()
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"'/{expression}/' is no regular expression: {error}") from error


@dataclass(slots=True)
class _Expression:
    """States and the ways between them, for one character or for none. It begins in state 0 and ends in ``end``.

    https://swtch.com/~rsc/regexp/regexp1.html
    """

    steps: list[tuple[re.Pattern[str], int] | None] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    end: int = 0
    _known: dict[tuple[frozenset[int], str], frozenset[int]] = field(default_factory=dict)

    def add(self, *, after: int | None = None) -> int:
        """A new state, reached for nothing from state ``after``."""
        if len(self.steps) == MAX_STATES:
            raise OverflowError("it is too large; write smaller counts in {}")
        self.steps.append(None)
        self.free.append([])
        if after is not None:
            self.free[after].append(len(self.steps) - 1)
        return len(self.steps) - 1

    def matches(self, text: str) -> bool:
        """Whether the whole text leads from the first state to the last."""
        states = self.begin
        for character in text:
            states = self.after(states, character)
        return self.end in states

    @property
    def begin(self) -> frozenset[int]:
        """The states before the first character."""
        return self._with_free({0})

    def after(self, states: frozenset[int], character: str) -> frozenset[int]:
        """The states behind a character; none where it leads nowhere."""
        known = self._known.get((states, character))
        if known is None:
            steps = (step for state in states if (step := self.steps[state]))
            known = self._with_free({following for test, following in steps if test.match(character)})
            if len(self._known) < MAX_KNOWN:
                self._known[states, character] = known
        return known

    def _with_free(self, states: set[int]) -> frozenset[int]:
        """And all states that are reached from them for nothing."""
        todo = list(states)
        while todo:
            new = [each for each in self.free[todo.pop()] if each not in states]
            states.update(new)
            todo += new
        return frozenset(states)


_Part = Callable[[_Expression, int], int]
"""Adds a part of an expression behind a state; the state behind that."""

_TOKEN = re.compile(
    r"""\\.                              # an escape
    | \[ \^? \]? (?:\\.|[^\]\\])* \]     # a set
    | \( (?: \?:? )?
    | [*+?] [?+]?                       # a count, maybe a lazy or a possessive one
    | \{ (?: \d+ (?:,\d*)? | ,\d* ) \} [?+]?
    | .""",
    re.VERBOSE | re.DOTALL,
)

_COUNT = re.compile(r"[*+?].?|\{.+\}.?", re.DOTALL)

_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class _Compiler:
    """Reads what Python's ``re`` has accepted, and refuses what would take going back."""

    def __init__(self, expression: str) -> None:
        tokens = _TOKEN.findall(expression)
        begin, end = tokens[:1] == ["^"], tokens[-1:] == ["$"]
        self._tokens = tokens[begin : len(tokens) - end][::-1]

    def compile(self) -> _Expression:
        whole = _Expression()
        part = self._alternatives()
        whole.end = part(whole, whole.add())
        return whole

    def _alternatives(self) -> _Part:
        branches = [self._sequence()]
        while self._next() == "|":
            self._tokens.pop()
            branches.append(self._sequence())
        return _any_of(branches)

    def _sequence(self) -> _Part:
        parts = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._counted(self._atom()))
        return _all_of(parts)

    def _next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _counted(self, part: _Part) -> _Part:
        if not _COUNT.fullmatch(self._next()):
            return part
        count = self._tokens.pop()
        if len(count) > 1 and count.endswith("+"):
            raise _not_known(count)
        return _repeated(part, *_read_count(count))

    def _atom(self) -> _Part:
        token = self._tokens.pop()
        if token in ("(", "(?:"):
            part = self._alternatives()
            self._tokens.pop()
            return part
        if token.startswith("(") or token in ("^", "$") or re.fullmatch(r"\\[^dDsSwW\W]", token):
            raise _not_known(token)
        return _one(re.compile(token, re.DOTALL))


def _not_known(what: str) -> re.error:
    return re.error(f"{what} is not known here; there are . [] () | * + ? {{}} and \\d \\s \\w")


def _read_count(count: str) -> tuple[int, int | None]:
    """Least and most; ``None`` is without end. Whether it is lazy has no influence on what matches as a whole."""
    if count[0] in _COUNTS:
        return _COUNTS[count[0]]
    least, comma, most = count.removesuffix("?")[1:-1].partition(",")
    return int(least or 0), int(most) if most else (None if comma else int(least))


def _one(test: re.Pattern[str]) -> _Part:
    def add(expression: _Expression, start: int) -> int:
        before, behind = expression.add(after=start), expression.add()
        expression.steps[before] = (test, behind)
        return behind

    return add


def _all_of(parts: Iterable[_Part]) -> _Part:
    def add(expression: _Expression, start: int) -> int:
        for part in parts:
            start = part(expression, start)
        return start

    return add


def _any_of(branches: Iterable[_Part]) -> _Part:
    def add(expression: _Expression, start: int) -> int:
        ends = [branch(expression, expression.add(after=start)) for branch in branches]
        behind = expression.add()
        for end in ends:
            expression.free[end].append(behind)
        return behind

    return add


def _repeated(part: _Part, least: int, most: int | None) -> _Part:
    def add(expression: _Expression, start: int) -> int:
        for _ in range(least):
            start = part(expression, start)
        return loop(expression, start) if most is None else optional(expression, start, most - least)

    def loop(expression: _Expression, start: int) -> int:
        begin = expression.add(after=start)
        end = part(expression, begin)
        expression.free[end].append(begin)
        return expression.add(after=begin)

    def optional(expression: _Expression, start: int, times: int) -> int:
        ends = [start]
        for _ in range(times):
            ends.append(part(expression, ends[-1]))
        behind = expression.add()
        for end in ends:
            expression.free[end].append(behind)
        return behind

    return add
