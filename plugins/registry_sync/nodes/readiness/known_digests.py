"""The digests of bootstrap images that were last read at their sources. They are used while a source is down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from registry_sync.oci.reference import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDigests:
    """Digests that earlier checks read.

    :ivar digests: by the images' names at their sources, such as ``quay.io/giantswarm/pause:3.9``.
    :ivar read_at: when each source repository was read (aware UTC). It may be unknown.
    """

    digests: Mapping[str, Digest] = field(default_factory=dict)
    read_at: Mapping[str, datetime] = field(default_factory=dict)

    def updated(self, newer: KnownDigests) -> KnownDigests:
        """These digests, updated by ``newer`` ones, which replace all digests of each repository that was read."""
        kept = {name: digest for name, digest in self.digests.items() if repository_of(name) not in newer.read_at}
        return KnownDigests(digests={**kept, **newer.digests}, read_at={**self.read_at, **newer.read_at})


Recall = Callable[[], KnownDigests]
"""Returns what earlier checks read. It is called when a source does not answer."""


def repository_of(image: str) -> str:
    """The repository in the name of an image with a tag.

    >>> repository_of("local.example:5000/team/app:v1")
    'local.example:5000/team/app'
    """
    return image.rpartition(":")[0]


def when_read(host: str, read_at: datetime | None, now: datetime) -> str:
    """The time at which a registry last answered, and its age.

    >>> from datetime import UTC
    >>> when_read("quay.io", datetime(2026, 11, 28, 9, 45, tzinfo=UTC), datetime(2026, 11, 29, 12, 50, tzinfo=UTC))
    'quay.io at 2026-11-28 09:45 UTC, 27 hours ago'
    """
    if read_at is None:
        return f"{host} when it last answered"
    return f"{host} at {read_at:%Y-%m-%d %H:%M} UTC, {_age(max(0, round((now - read_at).total_seconds())))} ago"


def _age(seconds: int) -> str:
    """An age in the unit in which it has two digits at most, or in days.

    >>> _age(59), _age(60 * 119), _age(3600 * 47), _age(86400 * 9)
    ('1 minute', '119 minutes', '47 hours', '9 days')
    """
    for unit, length, limit in (("minute", 60, 120), ("hour", 3600, 48), ("day", 86400, 0)):
        count = seconds // length
        if count < limit or not limit:
            count = max(1, count)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError
