"""Shared parsing of vendor APIs' tag listings: optional times and digests, and pages by offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime
from itertools import islice
from typing import Any

from registry_sync.errors import TemporaryError
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag


def parse_time(raw: Any) -> datetime | None:
    """Parse an RFC 3339 text or a number of seconds since 1970, as aware UTC; ``None`` for everything else.

    Zero values of programming languages (1970 and the year 1) mean "none".

    >>> parse_time("2023-06-13T04:58:23.89489Z")
    datetime.datetime(2023, 6, 13, 4, 58, 23, 894890, tzinfo=datetime.timezone.utc)
    """
    try:
        time = datetime.fromisoformat(raw) if isinstance(raw, str) else datetime.fromtimestamp(raw, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return time.astimezone(UTC) if time.tzinfo and 1970 < time.year < MAXYEAR else None


def parse_digest(raw: Any) -> Digest | None:
    """Parse a digest; ``None`` for anything else, so that a HEAD is sent for it."""
    try:
        return Digest.parse(raw)
    except (TypeError, ValueError):
        return None


def read_tags(
    read_pages: Callable[[], Iterator[Sequence[ListedTag]]], *, since: datetime | None, where: str
) -> Iterator[ListedTag]:
    """Read a listing that is paged by offset, newest first. Each name is returned once.

    With ``since``, reading stops after a page if everything beyond it is older: all times so far are known and descend.

    Offsets shift when tags change during the reading:

    - A push moves one entry to the front. The next page then repeats the last entry of the page before, and the first
      page is read again to find the pushed tag.
    - A deletion moves an entry from a later page to one that was already read, which cannot be detected. Several pages
      are therefore read twice with ``since``, because no later window would include that entry. Without ``since``, the
      next full listing has it. Code that deletes tags missing from a listing must first check each of them by name.

    :param read_pages: starts reading from the first page.
    :param where: the repository, for messages.
    :raises TemporaryError: when a page repeats earlier ones only and is followed by another.
    """
    seen, order, brings_new, has_moved, pages = set[str](), _Order(), True, False, 0
    for page in read_pages():
        pages += 1
        if not brings_new:
            raise TemporaryError(f"{where}: the tag listing repeats itself and does not end")
        new = list(_unseen(page, seen))
        brings_new, has_moved = bool(new), has_moved or len(new) < len(page)
        yield from new
        order.see(page)
        if since and order.is_older_from_here(since):
            break
    again = pages if since and pages > 1 else int(has_moved)
    for page in islice(read_pages(), again) if again else ():
        yield from _unseen(page, seen)


def _unseen(page: Iterable[ListedTag], seen: set[str]) -> Iterator[ListedTag]:
    for entry in page:
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


class _Order:
    """Tracks whether the push times so far descend."""

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._oldest: datetime | None = None
        self._descends = True

    def see(self, page: Iterable[ListedTag]) -> None:
        for pushed_at in (entry.pushed_at for entry in page):
            if pushed_at is None or (self._oldest and pushed_at > self._oldest):
                self._descends = False
            self._newest = self._newest or pushed_at
            self._oldest = pushed_at

    def is_older_from_here(self, since: datetime) -> bool:
        """Return whether all further tags are older than ``since``. Equal times show no direction: ``False``."""
        if self._newest is None or self._oldest is None or not self._descends:
            return False
        return self._newest > self._oldest and self._oldest < since
