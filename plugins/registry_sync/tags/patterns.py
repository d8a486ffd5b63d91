"""Patterns of a mirrors file: globs, and regular expressions where they are written ``/…/``.

Expressions are matched by RE2, in a time proportional to the text: ``(a+)+`` takes Python's own ``re`` for ever.
Their syntax is https://github.com/google/re2/wiki/Syntax, without back-references and look-around.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from math import inf

import re2

from registry_sync.errors import ConfigurationError

MAX_MEMORY_BYTES = 1024 * 1024
"""Memory that RE2 may use for one expression. A larger expression is refused."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. It matches whole names; upper and lower case differ.

    >>> parse_pattern("v1.*").matches("v1.2"), parse_pattern("/v[0-9]+/").matches("v12-dev")
    (True, False)
    """

    text: str
    _compiled: re.Pattern[str] | re2._Regexp = field(compare=False, repr=False)

    def matches(self, name: str) -> bool:
        """Return whether the whole ``name`` matches."""
        if isinstance(self._compiled, re.Pattern):
            return self._compiled.match(name) is not None
        return self._compiled.fullmatch(name.encode("utf-8", "surrogatepass")) is not None

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1000)
def parse_pattern(text: str) -> Pattern:
    """Compile a glob or an expression.

    :raises ConfigurationError: when it is invalid, or can match no name.
    """
    if text in ("", "//"):
        raise ConfigurationError("it is empty; write a value, or remove it")
    if _is_expression(text) and len(text) > 1 and text.endswith("/"):
        return Pattern(text, _compile(text))
    if _is_expression(text):
        raise ConfigurationError(f"{text!r} matches no name; a regular expression has a / at its end as well")
    if "[" in text and "]" not in text.partition("[")[2]:
        raise ConfigurationError(f"{text!r} matches no name; its [ has no ]")
    if strange := next(filter(_NEVER_IN_NAMES.fullmatch, _GLOB.findall(text)), None):
        raise ConfigurationError(
            f"{text!r} matches no name, because names do not contain {strange!r}; globs have *, ? and [a-z]; write a "
            "regular expression as /…/"
        )
    return Pattern(text, re.compile(translate(text)))


_GLOB = re.compile(r"\[(?:!.|[^!])[^\]]*\]|.", re.DOTALL)
"""The parts of a glob: sets, and single characters."""

_NEVER_IN_NAMES = re.compile(r"[^A-Za-z0-9_./*?-]")
"""A character of a glob that neither tags nor repositories have. Sets may have any."""

_NOT_A_COUNT = re.compile(r"(?<!\\)(?<!\\[pPx])\{(?!\d{1,4}(?:,\d{0,4})?\})")
"""A brace that RE2 reads as text, such as Python's ``{,2}``. Names have no braces, so it would never match."""


def _compile(text: str) -> re2._Regexp:
    """:raises ConfigurationError: when RE2 refuses the expression, or it needs more than MAX_MEMORY_BYTES."""
    if _NOT_A_COUNT.search(text):
        raise ConfigurationError(f"{text!r} has a {{ that does not start a count; write {{2}}, {{2,}} or {{0,2}}")
    options = re2.Options()
    options.max_mem, options.dot_nl, options.never_capture, options.log_errors = MAX_MEMORY_BYTES, True, True, False
    try:
        return re2.compile(text[1:-1], options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if isinstance(error, re2.error) else error
        advice = "the syntax is RE2's: counts up to 1000, no back-references or look-around"
        raise ConfigurationError(f"{text!r} is not a valid regular expression: {reason}; {advice}") from error


def first_match(patterns: Iterable[Pattern], name: str) -> Pattern | None:
    """The first of the patterns that matches."""
    return next((pattern for pattern in patterns if pattern.matches(name)), None)


def may_overlap(first: Pattern, second: Pattern) -> bool:
    """Return whether one name may match both patterns; False only where their texts rule it out.

    >>> may_overlap(parse_pattern("*-app"), parse_pattern("app-*"))
    True
    """
    for literal, other in ((first, second), (second, first)):
        if not _is_expression(literal.text) and _WILDCARD.isdisjoint(literal.text):
            return other.matches(literal.text)
    if _is_expression(first.text) or _is_expression(second.text):
        return True
    ours, theirs = _fixed_parts(first.text), _fixed_parts(second.text)
    same_start = ours.start.startswith(theirs.start) or theirs.start.startswith(ours.start)
    same_end = ours.end.endswith(theirs.end) or theirs.end.endswith(ours.end)
    return same_start and same_end and max(ours.shortest, theirs.shortest) <= min(ours.longest, theirs.longest)


_WILDCARD = frozenset("*?[")


def _is_expression(text: str) -> bool:
    return text.startswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _FixedParts:
    """Facts about the names that a glob matches: their first and last characters, and their lengths."""

    start: str
    end: str
    shortest: int
    longest: float


def _fixed_parts(glob: str) -> _FixedParts:
    parts = _GLOB.findall(glob)
    shortest = len(parts) - parts.count("*")
    return _FixedParts(
        start=re.split(r"[*?[]", glob, maxsplit=1)[0],
        end=re.split(r"[*?\]]", glob)[-1],
        shortest=shortest,
        longest=inf if "*" in parts else shortest,
    )
