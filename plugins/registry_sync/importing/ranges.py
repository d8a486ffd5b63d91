"""Version ranges of Go's libraries as ranges of a mirrors file, which are npm's.

Masterminds/semver (skopeo, retagger): https://github.com/Masterminds/semver/blob/v3.3.1/README.md.
blang/semver (dregsy): https://pkg.go.dev/github.com/blang/semver/v4#ParseRange.
regsync has a parser of its own, for ranges like these.
"""

from __future__ import annotations

import re

from registry_sync.errors import ConfigurationError
from registry_sync.importing.model import Rule
from registry_sync.tags.semver import parse_range
from registry_sync.text import quoted

_UNEQUAL = re.compile(r"!=?\s*v?(\d+\.\d+\.\d+)(?![\w.+-])")

_PRERELEASE = re.compile(r"\d+\.\d+\.\d+-[0-9A-Za-z]")


def range_rule(text: str, *, takes_prereleases: bool | None = None) -> Rule:
    r"""The tag rule with the same meaning as a range.

    Masterminds/semver compares pre-releases where a version of the range has one.

    :param takes_prereleases: whether pre-releases count, whatever the range is; ``None`` for Masterminds' rule.
    :raises ConfigurationError: when there is no such range.

    >>> range_rule(">= v3.5.4-0").prereleases, range_rule(">= 1.22, != 1.25.0, < 1.30").exclude
    (True, ('/v?1\\.25\\.0/',))
    """
    unequal = _UNEQUAL.findall(text)
    if unequal and "||" in text:
        raise ConfigurationError(f"{quoted(text)} has != beside ||")
    bounds = _UNEQUAL.sub(" ", text).replace(",", " ").replace("=>", ">=").replace("=<", "<=").replace("==", "=")
    bounds = " ".join(re.sub(r"([<>=~^])\s+", r"\1", bounds).split())
    bounds = re.sub(r"(?<![\w.])v(?=\d)", "", bounds).replace("~>", "~") or "*"
    prereleases = _takes_prereleases(text) if takes_prereleases is None else takes_prereleases
    return Rule(
        semver=parse_range(bounds, prereleases=prereleases).text,
        prereleases=prereleases,
        exclude=tuple(f"/v?{re.escape(version)}/" for version in unequal),
    )


def _takes_prereleases(text: str) -> bool:
    """:raises ConfigurationError: when only some parts take them; ``prereleases`` here is for all parts of a range."""
    takes = {bool(_PRERELEASE.search(part)) for part in text.split("||")}
    if len(takes) > 1:
        raise ConfigurationError(f"{quoted(text)} takes pre-releases in some of its parts only; write a rule for each")
    return takes.pop()
