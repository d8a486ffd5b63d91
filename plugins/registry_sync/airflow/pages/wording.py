"""Times, durations, digests and long names as the pages show them."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_sync.text import one_line
from registry_sync.text_table import human_duration

SHOWN_DIGEST = 12
"""Characters of a digest's hash in a table. The title and the JSON have all of them."""

SHOWN_REASON = 400
"""Characters of a reason."""

SHOWN_NAME = 160
"""Characters of a name in a table. A registry may list names of kilobytes."""


def relative(moment: datetime, now: datetime) -> str:
    """A time as seen from now, in its largest unit. Its title has the seconds.

    >>> now = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
    >>> relative(now.replace(hour=9), now), relative(now.replace(hour=13, minute=40), now), relative(now, now)
    ('3 h ago', 'in 1 h', 'just now')
    """
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 10:
        return "just now"
    count, unit = human_duration(abs(seconds)).split(" ")[:2]
    return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"


def exact(moment: datetime) -> str:
    """A time in UTC, to the second.

    >>> exact(datetime(2026, 11, 29, 9, 5, tzinfo=UTC))
    '2026-11-29 09:05:00 UTC'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short_digest(digest: str) -> str:
    """The start of a digest's hash.

    >>> short_digest("sha256:0123456789abcdef0123")
    '0123456789ab'
    """
    return digest.rpartition(":")[2][:SHOWN_DIGEST]


def short_name(name: str) -> str:
    """A name without the middle part of a very long one.

    >>> short_name("team/app"), len(short_name("a" * 4096))
    ('team/app', 160)
    """
    half = SHOWN_NAME // 2
    return name if len(name) <= SHOWN_NAME else f"{name[: half - 1]}…{name[-half:]}"


def cut(reason: str) -> str:
    """A reason, cut if it is very long. The log of its task has all of it.

    >>> cut("no such host"), len(cut("a" * 4096))
    ('no such host', 400)
    """
    return one_line(reason, SHOWN_REASON)


def number(count: int, noun: str) -> str:
    """A count with its noun.

    >>> number(1, "tag"), number(3, "repository")
    ('1 tag', '3 repositories')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
