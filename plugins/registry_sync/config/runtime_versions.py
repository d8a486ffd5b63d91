"""Version ranges of the container runtimes of a pool.

Not by ``packaging``: there ``<=1.7`` excludes 1.7.1, a range has no lowest version to compare with, and Debian's
suffixes are not valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from registry_sync.errors import ConfigurationError
from registry_sync.text import quoted

Version = tuple[int, ...]
"""The numbers of a version without trailing zeros: 2.0 is 2."""

_CLAUSE = re.compile(r"\s*(>=|<=|==|>|<|)\s*v?(\d+(?:\.\d+){0,3})(?:[+~-][0-9A-Za-z.+~-]*)?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions from ``floor`` up to ``ceiling``, exclusive; ``None`` is no bound.

    >>> Versions.parse(">=1.7, <2").are_at_least("1.6"), Versions.parse("20.10.24+dfsg1").are_at_least("20.10.25")
    (True, False)
    """

    floor: Version | None = None
    ceiling: Version | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version, or clauses such as ``>=1.7, <2``.

        A version includes all versions that begin with it: 1.7 is every 1.7.x, and >1.7 begins with 1.8.

        :raises ConfigurationError: when it is neither, or no version matches all clauses.
        """
        versions = cls()
        for clause in text.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                raise ConfigurationError(
                    f"{quoted(text)} is not a version range; write one such as '>=1.7' or '>=1.7, <2'"
                )
            versions = versions._narrowed(match[1], match[2])
        if versions.ceiling is not None and (versions.floor or ()) >= versions.ceiling:
            raise ConfigurationError(f"no version matches {quoted(text)}; fix one of its bounds")
        return versions

    def are_at_least(self, version: str) -> bool:
        """Return whether every version of the range is ``version`` or later."""
        return self.floor is not None and self.floor >= _numbers(version)

    def meet(self, other: Self) -> bool:
        """Return whether both ranges have a version in common."""
        floor = max(self.floor or (), other.floor or ())
        return all(versions.ceiling is None or floor < versions.ceiling for versions in (self, other))

    def __str__(self) -> str:
        bounds = ((">=", self.floor), ("<", self.ceiling))
        shown = ", ".join(sign + ".".join(map(str, bound)) for sign, bound in bounds if bound)
        return shown or "of any version"

    def _narrowed(self, sign: str, version: str) -> Self:
        first, after = _numbers(version), _after(version)
        floor = {">=": first, "==": first, "": first, ">": after}.get(sign, ())
        ceiling = {"<": first, "<=": after, "==": after, "": after}.get(sign)
        ceilings = [end for end in (self.ceiling, ceiling) if end is not None]
        return type(self)(floor=max(self.floor or (), floor) or None, ceiling=min(ceilings, default=None))


def _numbers(version: str) -> Version:
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _after(version: str) -> Version:
    """The first version that does not begin with ``version``."""
    *head, last = (int(part) for part in version.split("."))
    return (*head, last + 1)


def check_versions(text: str) -> str:
    """Return ``text`` if it is a version range.

    :raises ConfigurationError: when it is not.
    """
    Versions.parse(text)
    return text
