"""What the listings of registries' own APIs have in common: fields that may be unknown, and pages by offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime
from itertools import islice
from typing import Any

from registry_sync.errors import TemporaryError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import TagEntry


def parse_time(raw: Any) -> datetime | None:
    """An RFC 3339 text or a number of seconds since 1970, as aware UTC; ``None`` for everything else.

    The zeros of programming languages, 1970 and the year 1, stand for "none" and are no times.

    >>> parse_time("2023-06-13T04:58:23.89489Z")
    datetime.datetime(2023, 6, 13, 4, 58, 23, 894890, tzinfo=datetime.timezone.utc)
    """
    try:
        moment = datetime.fromisoformat(raw) if isinstance(raw, str) else datetime.fromtimestamp(raw, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo and 1970 < moment.year < MAXYEAR else None


def parse_digest(raw: Any) -> Digest | None:
    """A digest; ``None`` when there is none that we can compare, so that a HEAD will tell."""
    try:
        return Digest.parse(raw)
    except (TypeError, ValueError):
        return None


def read_tags(
    read_pages: Callable[[], Iterator[Sequence[TagEntry]]], *, since: datetime | None, where: str
) -> Iterator[TagEntry]:
    """The tags of pages that are counted by offset, newest first; each name once.

    With ``since``, reading stops behind a page when everything further is older: when the times of all pages so far
    descend, and none is missing.

    The offset moves when tags change while pages are read. A push moves one entry to the front, and those before its
    old place by one: then a page begins with what the last one ended with, and the first page is read again for what
    went there. A deletion shows nowhere; it moves an entry from a page to come to one that was read. With ``since`` the
    pages are therefore read once more when they are several, for no later window would hold that entry. Without, the
    next full listing has it; whoever deletes what a listing lacks has to ask for it by name first.

    :param read_pages: starts to read from the first page.
    :param where: what is read, for texts.
    :raises TemporaryError: when pages bring nothing new and do not end.
    """
    seen, order, brings_new, has_moved, pages = set[str](), _Order(), True, False, 0
    for page in read_pages():
        pages += 1
        if not brings_new:
            raise TemporaryError(f"{where}: the listing of its tags does not end, and repeats itself")
        new = list(_unseen(page, seen))
        brings_new, has_moved = bool(new), has_moved or len(new) < len(page)
        yield from new
        order.see(page)
        if since and order.is_older_from_here(since):
            break
    again = pages if since and pages > 1 else int(has_moved)
    for page in islice(read_pages(), again) if again else ():
        yield from _unseen(page, seen)


def _unseen(page: Iterable[TagEntry], seen: set[str]) -> Iterator[TagEntry]:
    for entry in page:
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


class _Order:
    """Whether push times descend, as far as they were seen."""

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._oldest: datetime | None = None
        self._descends = True

    def see(self, page: Iterable[TagEntry]) -> None:
        for pushed_at in (each.pushed_at for each in page):
            if pushed_at is None or (self._oldest and pushed_at > self._oldest):
                self._descends = False
            self._newest = self._newest or pushed_at
            self._oldest = pushed_at

    def is_older_from_here(self, since: datetime) -> bool:
        """Times that are all the same do not tell in which direction they go."""
        if self._newest is None or self._oldest is None or not self._descends:
            return False
        return self._newest > self._oldest and self._oldest < since
