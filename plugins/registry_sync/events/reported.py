"""The result of reading a body: pushes under their possible names, or a reason to ignore it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from registry_sync.events.push import Push


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPush:
    """A push of a body.

    :ivar candidates: the same push under each name that the repository may have in a mirrors file. Artifactory and
        Nexus serve a repository with or without their own repository's name in front.
    """

    candidates: tuple[Push, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A genuine event that is not a push of a tag, with the reason for a person who reads the response."""

    reason: str


Reported = tuple[ReportedPush, ...] | Ignored


def reported(names: Iterable[object], tags: object) -> Reported:
    """The push of one repository under its possible names; ignored when it names no valid tag.

    >>> reported(["team/app"], ["v1"])
    (ReportedPush(candidates=(Push(repository='team/app', tags=('v1',)),)),)
    >>> reported(["team/app"], ["sha256:0a"])
    Ignored(reason='it names no tag: a push by digest alone')
    """
    texts = list(names)
    found = tuple(push for name in texts if (push := Push.of(name, tags)))
    if found:
        return (ReportedPush(candidates=found),)
    if not any(Push.of(name, None) for name in texts):
        return Ignored(reason="its repository's name is not valid")
    return Ignored(reason="it names no tag: a push by digest alone")


def text(value: object) -> str:
    """``value`` if it is a text, else an empty text."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> dict[str, Any]:
    """``value`` if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[Any]:
    """``value`` if it is a list, else an empty list."""
    return value if isinstance(value, list) else []
