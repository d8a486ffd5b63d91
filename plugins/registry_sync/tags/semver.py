"""Version ranges in npm's dialect, such as ``>=1.2 <2 || ^3.1``, and the versions that image tags stand for.

The dialect: https://github.com/npm/node-semver#ranges, checked against node-semver itself (``tests/unit/npm_ranges``).
How a tag is read as a version is ours: :func:`read_version`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Self

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

MAX_NUMBER = 2**53 - 1
"""npm refuses larger numbers in versions, because its numbers are JavaScript's."""

_Identifier = tuple[int, int, str]

_NUMBER = r"(?:0|[1-9][0-9]*)"

_SUFFIX = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][a-zA-Z0-9-]*)"

_SUFFIXES = rf"{_SUFFIX}(?:\.{_SUFFIX})*"

_BUILD = r"[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version, ordered as https://semver.org defines: a pre-release is lower than its release."""

    major: int
    minor: int
    patch: int
    is_release: bool = True
    prerelease: tuple[_Identifier, ...] = ()

    @classmethod
    def of(cls, major: int, minor: int, patch: int, prerelease: str = "") -> Self:
        """Make a version of its parts. :raises ValueError: when a number is too large."""
        if max(major, minor, patch) > MAX_NUMBER:
            raise ValueError(f"numbers go up to {MAX_NUMBER}")
        return cls(major, minor, patch, not prerelease, tuple(map(_identifier, filter(None, prerelease.split(".")))))


def _identifier(text: str) -> _Identifier:
    """A key by which numbers come before words and compare as numbers."""
    return (0, int(text), "") if text.isdigit() else (1, 0, text)


_TAG = re.compile(rf"(v?)({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(?:-({_SUFFIXES}))?(?:_[a-zA-Z0-9._-]+)?")


def read_version(tag: str, *, number_alone: bool = False) -> Version | None:
    """Read a tag as a version; ``None`` when it is not one.

    A leading ``v`` is ignored and missing parts are zero: ``v1`` and ``1.0`` are 1.0.0. A number alone is not a
    version: ``20261124`` and ``1234567`` are a date and a commit. The part after ``-`` is a pre-release, even if it is
    meant as a variant (``1.4.2-alpine``). The part after ``_`` is a build, as in Helm's tags, which cannot have ``+``;
    it is ignored.

    :param number_alone: a number alone is a version.

    >>> read_version("v1.2") == read_version("1.2.0_build.5"), read_version("latest")
    (True, None)
    """
    match = _TAG.fullmatch(tag)
    if match is None or not (match[1] or match[3] or number_alone):
        return None
    try:
        return Version.of(int(match[2]), int(match[3] or 0), int(match[4] or 0), match[5] or "")
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Bound:
    """A comparison with a version; ``operator`` is one of ``< <= > >= =``."""

    operator: str
    version: Version

    def holds(self, version: Version) -> bool:
        match self.operator:
            case "<":
                return version < self.version
            case "<=":
                return version <= self.version
            case ">":
                return version > self.version
            case ">=":
                return version >= self.version
        return version == self.version


_Bounds = tuple[_Bound, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A range: alternatives, each a list of bounds that all have to hold. ``text`` is the range as it is written.

    >>> parse_range(">=1.2 <2 || 3.x").holds(Version.of(1, 9, 0))
    True
    """

    text: str
    alternatives: tuple[_Bounds, ...]
    prereleases: bool

    def __str__(self) -> str:
        return self.text

    def holds(self, version: Version) -> bool:
        """Return whether the version is in the range.

        Without ``prereleases``, a pre-release needs a bound with a pre-release of the same major.minor.patch.
        """
        return any(
            all(bound.holds(version) for bound in bounds) and (version.is_release or self._asks_for(version, bounds))
            for bounds in self.alternatives
        )

    def may_hold_between(self, low: Version, high: Version) -> bool:
        """Return whether its bounds leave room from ``low`` up to, but without, ``high``."""
        return any(_leave_room(bounds, low, high) for bounds in self.alternatives)

    def _asks_for(self, version: Version, bounds: _Bounds) -> bool:
        return self.prereleases or any(
            not bound.version.is_release and _numbers(bound.version) == _numbers(version) for bound in bounds
        )


def _leave_room(bounds: _Bounds, low: Version, high: Version) -> bool:
    lowest = max([low, *(bound.version for bound in bounds if bound.operator in (">", ">=", "="))])
    highest = min([high, *(bound.version for bound in bounds if bound.operator in ("<", "<=", "="))])
    is_open = highest == high or any(bound.operator in "<>" and bound.version == lowest for bound in bounds)
    return lowest < highest or (lowest == highest and not is_open)


def _numbers(version: Version) -> tuple[int, int, int]:
    return version.major, version.minor, version.patch


@lru_cache(maxsize=1000)
def parse_range(text: str, *, prereleases: bool = False) -> Range:
    """Read a range.

    :param prereleases: pre-releases count like other versions, ``includePrerelease`` of node-semver.
    :raises ConfigurationError: when it is not one.
    """
    parser = _Parser(prereleases=prereleases)
    try:
        alternatives = tuple(parser.alternative(part) for part in text.split("||"))
    except ValueError as error:
        advice = "write such as '>=1.2 <2', '^1.4', '~1.4.2', '1.x', '1.2 - 1.4' or two of them with || between"
        raise ConfigurationError(f"{quoted(text)} is not a version range: {error}; {_slip(text) or advice}") from error
    return Range(text, ((),) if () in alternatives else alternatives, prereleases)


_PART = rf"({_NUMBER}|[xX*])"

_PARTIAL = re.compile(rf"([v=]*){_PART}(?:\.{_PART}(?:\.{_PART}(?:-({_SUFFIXES}))?)?)?")

_OPERATOR = re.compile(r"~>?|\^|[<>]?=?")

_SPACE_AFTER = re.compile(r"([<>=~^v])\s+(?=[0-9xX*v=])|([<>~])\s+(?==)")

_BUILD_PART = re.compile(rf"\+{_BUILD}")


def _slip(text: str) -> str:
    """The correction of a range in another tool's form; empty when it has another fault.

    Helm and Go's Masterminds/semver join comparisons by commas. npm's ranges have pre-releases of whole versions only.

    >>> _slip(">=1.22, <1.30")
    "write a space in place of the comma: '>=1.22 <1.30'"
    >>> _slip(">=1.2-0")
    "a pre-release needs three numbers: '>=1.2.0-0'"
    """
    if "," in text:
        return f"write a space in place of the comma: {quoted(' '.join(text.replace(',', ' ').split()))}"
    whole = _SHORT_PRERELEASE.sub(lambda found: f"{found[1]}{'.0' * (2 - found[1].count('.'))}-", text)
    return f"a pre-release needs three numbers: {quoted(whole)}" if whole != text else ""


_SHORT_PRERELEASE = re.compile(r"(?<![\w.-])([0-9]+(?:\.[0-9]+)?)-(?=[0-9A-Za-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partial:
    """A version in a range, maybe partial: ``numbers`` are the up to three numbers before the first ``x``."""

    numbers: tuple[int, ...]
    prerelease: str = ""
    prefix: str = ""
    has_gap: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """:raises ValueError: when it is not a version."""
        match = _PARTIAL.fullmatch(text)
        if match is None:
            raise ValueError(f"{quoted(text)} is not a version")
        parts = [number for number in match.group(2, 3, 4) if number is not None]
        numbers = tuple(map(int, takewhile(str.isdigit, parts)))
        has_gap = any(map(str.isdigit, parts[len(numbers) :]))
        prerelease = match[5] or "" if len(numbers) == 3 else ""
        return cls(numbers=numbers, prerelease=prerelease, prefix=match[1], has_gap=has_gap)

    @property
    def is_whole(self) -> bool:
        return len(self.numbers) == 3

    @property
    def lowest(self) -> Version:
        """The version with zeros for missing parts."""
        return _version(self.numbers, self.prerelease)

    @property
    def exact(self) -> Version:
        """The version itself. :raises ValueError: when it has a ``=`` where only operators may stand."""
        if "=" in self.prefix:
            raise ValueError("there is one '=' too many")
        return self.lowest

    def following(self, kept: int) -> Version:
        """The lowest version after all versions with the same first ``kept`` numbers."""
        numbers = self.numbers[:kept]
        return _version((*numbers[:-1], numbers[-1] + 1), "0")


def _version(numbers: tuple[int, ...], prerelease: str) -> Version:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return Version.of(major, minor, patch, prerelease)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parser:
    """Parser of ranges into bounds, like ``classes/range.js`` of node-semver."""

    prereleases: bool

    def alternative(self, text: str) -> _Bounds:
        """Read the text between two ``||``. No bounds: any version.

        :raises ValueError: when it is not a range.
        """
        text = " ".join(_BUILD_PART.sub("", text).split())
        low, dash, high = text.partition(" - ")
        if dash:
            return (*self._hyphen_low(_Partial.parse(low)), *self._hyphen_high(_Partial.parse(high)))
        return tuple(bound for word in _SPACE_AFTER.sub(r"\1\2", text).split() for bound in self._word(word))

    def _hyphen_low(self, low: _Partial) -> Iterator[_Bound]:
        """With ``prereleases``, pre-releases of the version itself are included, unlike after ``>=``."""
        begin = low.exact if low.is_whole else low.lowest
        yield from self._at_least(begin if low.prerelease else self._lower(begin))

    def _hyphen_high(self, high: _Partial) -> Iterator[_Bound]:
        if high.prerelease:
            yield _Bound("<=", high.lowest)
        elif high.is_whole and not self.prereleases:
            yield _Bound("<=", high.exact)
        elif high.numbers:
            yield _Bound("<", high.following(3))

    def _word(self, word: str) -> Iterator[_Bound]:
        match = _OPERATOR.match(word)
        operator = match[0] if match else ""
        partial = _Partial.parse(word.removeprefix(operator))
        if operator in {"^", "~", "~>"}:
            return self._near(operator, partial)
        return self._compare(operator, partial)

    def _near(self, operator: str, partial: _Partial) -> Iterator[_Bound]:
        """``^`` fixes the numbers up to the first non-zero one, ``~`` those up to the minor one."""
        if not partial.numbers:
            return
        kept = 2
        if operator == "^":
            kept = next((count for count, number in enumerate(partial.numbers, start=1) if number), 3)
        yield from self._from(partial)
        yield _Bound("<", partial.following(kept))

    def _compare(self, operator: str, partial: _Partial) -> Iterator[_Bound]:
        """Read a comparison. A partial version equals all versions that begin with it."""
        if partial.has_gap:
            raise ValueError("a number follows an x")
        match operator:
            case "<" | ">" if not partial.numbers:
                yield _Bound("<", _version((), "0"))  # matches no version
            case _ if not partial.numbers:
                return
            case ">=":
                yield from self._from(partial) if not partial.is_whole else self._at_least(partial.exact)
            case _ if partial.is_whole:
                yield _Bound(operator or "=", partial.exact)
            case ">":
                yield _Bound(">=", self._lower(partial.following(3)))
            case "<":
                yield _Bound("<", _version(partial.numbers, "0"))
            case "<=":
                yield _Bound("<", partial.following(3))
            case _:
                yield from self._from(partial)
                yield _Bound("<", partial.following(3))

    def _from(self, partial: _Partial) -> Iterator[_Bound]:
        yield from self._at_least(partial.lowest if partial.is_whole else self._lower(partial.lowest))

    def _at_least(self, version: Version) -> Iterator[_Bound]:
        """No bound for the lowest version of all: npm does not count it as one."""
        if version != self._lower(_version((), "")):
            yield _Bound(">=", version)

    def _lower(self, version: Version) -> Version:
        """The lowest version with these numbers: a pre-release, where those count."""
        return _version(_numbers(version), "0" if self.prereleases else "")
