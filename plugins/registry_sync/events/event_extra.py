"""The ``extra`` of an asset event that stands for pushes to the source of a mirror.

Its JSON form::

    {"registry": "quay", "received_at": "2026-11-29T10:00:00+00:00",
     "pushes": [{"repository": "team/app", "tags": ["v1"]}]}

``tags`` is null where the sender does not name them. Everybody who may edit assets in Airflow can write such an event,
so nothing of it is trusted when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry_sync.events.push import Push

MAX_PUSHES = 50
"""Maximum number of repositories in one event. The receiver emits another event for more."""

MAX_TAGS = 50
"""Maximum number of tags that an event names for a repository. With more, it names none, and all tags are compared."""

MAX_REGISTRY_LENGTH = 100
"""Longest name of a registry in a mirrors file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEvent:
    """An asset event of pushes.

    :ivar registry: name of the registry in the mirrors file.
    :ivar received_at: time at which the first of the pushes was received, aware and in UTC.
    :ivar pushes: at most :data:`MAX_PUSHES`.
    """

    registry: str
    received_at: datetime
    pushes: tuple[Push, ...]


def to_extra(registry: str, pushes: Sequence[Push], received_at: datetime) -> dict[str, Any]:
    """The JSON of an event.

    :raises ValueError: when there are more pushes than :data:`MAX_PUSHES`.
    """
    if len(pushes) > MAX_PUSHES:
        raise ValueError(f"an event holds {MAX_PUSHES} pushes, got {len(pushes)}")
    return {
        "registry": registry,
        "received_at": received_at.astimezone(UTC).isoformat(),
        "pushes": [{"repository": push.repository, "tags": _tags(push)} for push in pushes],
    }


def _tags(push: Push) -> list[str] | None:
    return None if push.tags is None or len(push.tags) > MAX_TAGS else list(push.tags)


def parse_extra(extra: object) -> PushEvent | None:
    """Read the ``extra`` of an event; ``None`` when it is not one of pushes. Invalid names are left out.

    >>> pushes = [{"repository": "a/b", "tags": ["v1", "no tag"]}]
    >>> parse_extra({"registry": "quay", "received_at": "2026-11-29T10:00:00Z", "pushes": pushes}).pushes
    (Push(repository='a/b', tags=('v1',)),)
    >>> parse_extra({}), parse_extra({"registry": "quay", "received_at": "now", "pushes": []})
    (None, None)
    """
    if not isinstance(extra, Mapping) or not isinstance(extra.get("pushes"), list):
        return None
    registry, received_at = extra.get("registry"), _parse_time(extra.get("received_at"))
    if not isinstance(registry, str) or not 0 < len(registry) <= MAX_REGISTRY_LENGTH or received_at is None:
        return None
    read = (_parse_push(entry) for entry in extra["pushes"][:MAX_PUSHES])
    return PushEvent(registry=registry, received_at=received_at, pushes=tuple(push for push in read if push))


def _parse_time(written: object) -> datetime | None:
    """An aware time in ISO 8601, in UTC."""
    try:
        time = datetime.fromisoformat(written) if isinstance(written, str) else None
        return time.astimezone(UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _parse_push(entry: object) -> Push | None:
    """A push of the document. A list of tags that is too long stands for all tags."""
    if not isinstance(entry, Mapping):
        return None
    tags = entry.get("tags")
    too_many = isinstance(tags, list) and len(tags) > MAX_TAGS
    return Push.of(entry.get("repository"), None if too_many else tags)
