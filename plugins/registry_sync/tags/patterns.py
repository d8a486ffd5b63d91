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

import re2

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

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

    @property
    def is_expression(self) -> bool:
        """True for a regular expression, False for a glob."""
        return _is_expression(self.text)

    def matches(self, name: str) -> bool:
        """Return whether the whole ``name`` matches."""
        if isinstance(self._compiled, re.Pattern):
            return self._compiled.match(name) is not None
        return self._compiled.fullmatch(name.encode("utf-8", "surrogatepass")) is not None

    def is_found_in(self, name: str) -> bool:
        """Return whether a part of ``name`` matches a regular expression, as most other tools apply it."""
        if isinstance(self._compiled, re.Pattern):
            return False
        return self._compiled.search(name.encode("utf-8", "surrogatepass")) is not None

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1000)
def parse_pattern(text: str) -> Pattern:
    """Compile a glob or an expression.

    :raises ConfigurationError: when it is invalid, or can match no name.
    """
    if text in ("", "//"):
        raise ConfigurationError("it is empty; write a value, or remove it")
    refuse_posix_classes(text)
    if _is_expression(text) and len(text) > 1 and text.endswith("/"):
        return Pattern(text, compile_expression(text[1:-1], text))
    if _is_expression(text):
        raise ConfigurationError(f"{quoted(text)} matches no name; a regular expression has a / at its end as well")
    if "[" in text and "]" not in text.partition("[")[2]:
        raise ConfigurationError(f"{quoted(text)} matches no name; its [ has no ]")
    if strange := next(filter(_NEVER_IN_NAMES.fullmatch, GLOB_PART.findall(text)), None):
        raise ConfigurationError(
            f"{quoted(text)} matches no name, because names do not contain {quoted(strange)}; {_advice(text)}"
        )
    return Pattern(text, re.compile(translate(text)))


def _advice(text: str) -> str:
    if _HAS_DIGEST.search(text):
        return "an image by its digest is written in names:, as TAG@sha256:…, with any TAG of your own"
    return "globs have *, ? and [a-z]; write a regular expression as /…/"


_HAS_DIGEST = re.compile("(?:^|@)sha(?:256|512):")

GLOB_PART = re.compile(r"\[(?:!.|[^!])[^\]]*\]|.", re.DOTALL)
"""The parts of a glob: sets, and single characters."""

_NEVER_IN_NAMES = re.compile(r"[^A-Za-z0-9_./*?-]")
"""A character of a glob that neither tags nor repositories have. Sets may have any."""

_BRACE = re.compile(
    r"""\\[pPx]\{ | \\. | \[ \^? \]? (?: \[:\^?\w+:\] | \\. | [^\]\\] )* \]  # neither a count nor text
    | \{ (?P<count> 0*\d{1,4} (?: , (?: 0*\d{1,4} )? )? ) \}
    | (?P<text> \{ )  # RE2 reads it as text, such as Python's {,2}; names have no braces, so it would never match""",
    re.VERBOSE | re.DOTALL,
)
"""Braces of an expression, and sets and escapes, whose braces have another meaning."""


def compile_expression(expression: str, text: str, *, captures: bool = False) -> re2._Regexp:
    """Compile an expression for RE2. ``text`` is what the mirrors file has.

    :raises ConfigurationError: when RE2 refuses it, or it needs more than MAX_MEMORY_BYTES.
    """
    if any(brace["text"] for brace in _BRACE.finditer(expression)):
        raise ConfigurationError(f"{quoted(text)} has a {{ that does not start a count; write {{2}}, {{2,}} or {{0,2}}")
    options = re2.Options()
    options.max_mem, options.dot_nl, options.log_errors = MAX_MEMORY_BYTES, True, False
    options.never_capture = not captures
    try:
        return re2.compile(_BRACE.sub(_without_zeros, expression), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if isinstance(error, re2.error) else error
        advice = "the syntax is RE2's: counts up to 1000, no back-references or look-around"
        raise ConfigurationError(f"{quoted(text)} is not a valid regular expression: {reason}; {advice}") from error


def _without_zeros(brace: re.Match[str]) -> str:
    """A count without leading zeros, with which RE2 would read it as text."""
    return re.sub(r"\b0+(?=\d)", "", brace[0]) if brace["count"] else brace[0]


_POSIX_CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "word": "A-Za-z0-9_",
    "xdigit": "A-Fa-f0-9",
}

_SET_PART = re.compile(r"\\.|\[:(?P<posix>\^?[a-z]+):\]|\[(?P<other>[.=])[^\]]+(?P=other)\]|.", re.DOTALL)
"""A character of a pattern, an escape, or a class, collating symbol or equivalence class of POSIX."""


def refuse_posix_classes(text: str) -> None:
    """Refuse ``[[:digit:]]``, ``[[.a.]]`` and ``[[=a=]]``.

    Globs and most expressions would read them as a set of other characters, and match nothing.

    :raises ConfigurationError: with the same pattern without it, where there is one.
    """
    is_in_set = False
    for part in _SET_PART.finditer(text):
        if part["posix"] or (part["other"] and is_in_set):
            raise ConfigurationError(
                f"{quoted(text)} has {part[0]}, which is not supported; {_instead(part, is_in_set)}"
            )
        is_in_set = part[0].startswith("[") or (is_in_set and part[0] != "]")


def _instead(part: re.Match[str], is_in_set: bool) -> str:
    """The pattern with ranges in place of POSIX classes, as advice."""
    characters = _POSIX_CLASSES.get(part["posix"] or "")
    if characters is None:
        return "write the characters themselves, such as [0-9]"
    instead = part.string[: part.start()] + (characters if is_in_set else f"[{characters}]") + part.string[part.end() :]
    for name, others in _POSIX_CLASSES.items():
        instead = instead.replace(f"[:{name}:]", others)
    return f"write {quoted(instead)}"


def first_match(patterns: Iterable[Pattern], name: str) -> Pattern | None:
    """The first of the patterns that matches."""
    return next((pattern for pattern in patterns if pattern.matches(name)), None)


def _is_expression(text: str) -> bool:
    return text.startswith("/")
