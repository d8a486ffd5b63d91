"""``version:`` of a tag rule: an expression whose group is the part of a tag that is its version. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.tags.name_forms import Form, forms_meet, forms_of
from registry_sync.tags.patterns import Pattern, compile_expression, parse_pattern, refuse_posix_classes
from registry_sync.tags.semver import MAX_NUMBER, Range, Version, read_version
from registry_sync.tags.tag_patterns import no_tag_fault
from registry_sync.text import quoted


@dataclass(frozen=True, slots=True)
class VersionPart:
    """A compiled ``version:``. It must match the whole tag.

    >>> str(parse_version_part("stable-(.+)").text_in("stable-2.14.10"))
    '2.14.10'
    """

    text: str
    _compiled: Any = field(compare=False, repr=False)

    def text_in(self, tag: str) -> str | None:
        """The group of ``tag``; ``None`` when the expression does not match, or its group takes no part."""
        match = self._compiled.fullmatch(tag)
        return str(match[1]) if match and match[1] is not None else None

    def __str__(self) -> str:
        return self.text


def parse_version_part(text: str) -> VersionPart:
    """Compile an expression with exactly one group.

    :raises ConfigurationError: when it is invalid, has another number of groups, or can match no tag.
    """
    if text.startswith("/"):
        advice = f"version is always a regular expression; write {quoted(text.strip('/'))}"
        raise ConfigurationError(f"{quoted(text)} has slashes, but {advice}")
    refuse_posix_classes(text)
    compiled = compile_expression(text, text, captures=True)
    if compiled.groups != 1:
        raise ConfigurationError(
            f"{quoted(text)} has {compiled.groups} groups, but version needs one, whose text is the version; write "
            "such as 'stable-(.+)', and (?:…) for other groups"
        )
    if fault := no_tag_fault(parse_pattern(f"/{text}/")):
        raise ConfigurationError(f"{quoted(text)} {fault}")
    return VersionPart(text, compiled)


def version_of(tag: str, part: VersionPart | None) -> Version | None:
    """The version that a tag stands for; ``None`` when it stands for none.

    A number alone is a version only where ``part`` says that it is one.
    """
    if part is None:
        return read_version(tag)
    text = part.text_in(tag)
    return read_version(text, number_alone=True) if text else None


_NUMBER = r"(?:0|[1-9][0-9]*)"

_BEGINS_VERSION = re.compile(rf"v?(?:(?:{_NUMBER}\.){{0,2}}{_NUMBER}?|{_NUMBER}(?:\.{_NUMBER}){{0,2}}[-_].*)")
"""Texts that the name of a version may begin with."""


def never_a_version(patterns: Iterable[Pattern], part: VersionPart | None) -> bool:
    """Return whether the texts of the patterns show that no tag that matches one of them is a version."""
    forms = [form for pattern in patterns for form in forms_of(pattern)]
    if part:
        own = forms_of(parse_pattern(f"/{part.text}/"))
        return not any(forms_meet(form, other) for form in forms for other in own)
    return not any(_BEGINS_VERSION.fullmatch(_beginning(form)) for form in forms)


def _beginning(form: Form) -> str:
    """The text before the first wildcard or set of a form."""
    return "".join(min(member) for member in takewhile(lambda member: member and len(member) == 1, form) if member)


_FIXED_NUMBERS = re.compile(rf"v?({_NUMBER})\.(?:({_NUMBER})[._-])?")
"""The major number of all tags with a beginning, and maybe the minor one."""


def never_in_range(patterns: Iterable[Pattern], versions: Range) -> bool:
    """Return whether the beginnings of the patterns show that no tag that matches one of them is in the range."""
    return not any(_may_be_in(_beginning(form), versions) for pattern in patterns for form in forms_of(pattern))


def _may_be_in(beginning: str, versions: Range) -> bool:
    match = _FIXED_NUMBERS.match(beginning)
    if match is None or int(match[1]) >= MAX_NUMBER or int(match[2] or 0) >= MAX_NUMBER:
        return True
    major, minor = int(match[1]), int(match[2] or 0)
    following = (major, minor + 1) if match[2] else (major + 1, 0)
    return versions.may_hold_between(Version.of(major, minor, 0, "0"), Version.of(*following, 0, "0"))
