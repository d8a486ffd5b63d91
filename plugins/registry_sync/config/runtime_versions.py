"""Ranges of versions of container runtimes: what holds for every machine of a pool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from registry_sync.errors import ConfigurationError

Version = tuple[int, ...]
"""The numbers of a version without zeros at the end, so that 2.0 is 2."""

_CLAUSE = re.compile(r"\s*(>=|<=|==|>|<|)\s*v?(\d+(?:\.\d+){0,3})(?:[+~-][0-9A-Za-z.+~-]*)?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions from ``floor`` on and below ``ceiling``; ``None`` is no bound.

    >>> Versions.parse(">=1.7, <2").are_at_least("1.6"), Versions.parse("20.10.24+dfsg1").are_at_least("20.10.25")
    (True, False)
    """

    floor: Version | None = None
    ceiling: Version | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version, or clauses such as ``>=1.7, <2``.

        A version stands for all that begin with it: 1.7 is every 1.7.x, and >1.7 begins with 1.8.

        :raises ConfigurationError: when it is something else, or no version is in all clauses.
        """
        versions = cls()
        for clause in text.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                raise ConfigurationError(f"{text!r} is no range of versions; write one such as '>=1.7' or '>=1.7, <2'")
            versions = versions._narrowed(match[1], match[2])
        if versions.ceiling is not None and (versions.floor or ()) >= versions.ceiling:
            raise ConfigurationError(f"no version is in {text!r}; mend one of its bounds")
        return versions

    def are_at_least(self, version: str) -> bool:
        """Whether every version of the range is ``version`` or later."""
        return self.floor is not None and self.floor >= _numbers(version)

    def meet(self, other: Self) -> bool:
        """Whether a version is in both ranges."""
        floor = max(self.floor or (), other.floor or ())
        return all(each.ceiling is None or floor < each.ceiling for each in (self, other))

    def __str__(self) -> str:
        bounds = ((">=", self.floor), ("<", self.ceiling))
        shown = ", ".join(sign + ".".join(map(str, bound)) for sign, bound in bounds if bound)
        return shown or "of any version"

    def _narrowed(self, sign: str, version: str) -> Self:
        first, after = _numbers(version), _after(version)
        floor = {">=": first, "==": first, "": first, ">": after}.get(sign, ())
        ceiling = {"<": first, "<=": after, "==": after, "": after}.get(sign)
        ceilings = [each for each in (self.ceiling, ceiling) if each is not None]
        return type(self)(floor=max(self.floor or (), floor) or None, ceiling=min(ceilings, default=None))


def _numbers(version: str) -> Version:
    numbers = [int(each) for each in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _after(version: str) -> Version:
    """The first version that does not begin with ``version``."""
    *head, last = (int(each) for each in version.split("."))
    return (*head, last + 1)


def check_versions(text: str) -> str:
    """``text``, when :meth:`Versions.parse` reads it.

    :raises ConfigurationError: when it does not.
    """
    Versions.parse(text)
    return text
