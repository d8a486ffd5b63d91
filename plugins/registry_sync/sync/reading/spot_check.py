"""Compare some digests of a vendor's listing with the tags themselves: a listing may be stale.

Where the tag has moved and the listed digest still exists, nothing else shows it: the run would be green, with an old
image at the destination. A HEAD for each tag would undo what listings are for, so that a full check takes a few.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from registry_sync.errors import ConnectTimeout, RateLimited, RegistrySyncError, ResponseTimeout
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.sync.reading.second_listing import SecondListing
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.threads import needed_threads, thread_pool

log = logging.getLogger(__name__)

SPOT_CHECKS = 20
"""Tags of a repository that a full check compares at each registry."""

Side = Literal["source", "destination"]

_LASTING = (RateLimited, ResponseTimeout, ConnectTimeout)

_NEWEST = SPOT_CHECKS // 2
_DAYS_OF_WEEK = 7
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotCheck:
    """The result of the spot check of one repository.

    :ivar failed: the reason for each tag that the listing has wrong, with the remedy.
    :ivar notes: tags that could not be compared.
    """

    failed: Mapping[str, str]
    notes: tuple[str, ...] = ()


def check_listing(
    client: RegistryClient,
    repository: Repository,
    listed: Mapping[str, Digest],
    pushed_at: Mapping[str, datetime],
    side: Side,
    scope: RouteScope,
    now: datetime,
) -> SpotCheck:
    """Compare a few of the listed digests with the tags themselves, by one HEAD each.

    In a full check these are chosen; each run compares those that were wrong in the last one.

    :param listed: the digests that the listing has; without any, nothing is sent.
    """
    chosen = choose_tags(list(listed), pushed_at, now.toordinal()) if scope.window.is_full_check else []
    compared = dict.fromkeys([*sorted(scope.stale_tags.intersection(listed)), *chosen])
    return _compare(client, repository, {tag: listed[tag] for tag in compared}, side, scope.stale_tags)


def choose_tags(tags: Sequence[str], pushed_at: Mapping[str, datetime], day: int) -> list[str]:
    """The tags that are compared on a day: the newest, and others in turn, so that all are compared in time.

    :param pushed_at: push times, as far as they are known. Without any, all take turns.
    :param day: a number that grows by one each day. Weekly checks come to all tags, too.
    """
    ordered = sorted(tags, key=lambda tag: (pushed_at.get(tag, _OLDEST), tag), reverse=True)
    newest = [tag for tag in ordered[:_NEWEST] if tag in pushed_at]
    rest = sorted(ordered[len(newest) :])
    turns = max(1, -(-len(rest) // (SPOT_CHECKS - len(newest))))
    turns += turns % _DAYS_OF_WEEK == 0
    return [*newest, *rest[day % turns :: turns]]


def _compare(
    client: RegistryClient, repository: Repository, listed: Mapping[str, Digest], side: Side, stale: Collection[str]
) -> SpotCheck:
    """HEAD each tag, and look again at listing and tag where they differ: a push in between is not a mistake.

    A rate limit or a timeout ends it, because each further tag would wait for minutes.
    A tag that the source lists and does not have was deleted. One that the destination does not have is missing.

    :param stale: tags that the listing had wrong in the last run, which fail also when they cannot be compared.
    """
    second, unread, lasting = SecondListing(client, repository), dict[str, str](), list[str]()

    def differs(tag: str) -> tuple[str, Digest | None] | None:
        if lasting:
            unread[tag] = lasting[0]
            return None
        try:
            first = client.head_manifest(repository, tag, is_expected=True)
            if first == listed[tag] or (first is None and side == "source"):
                return None
            is_stale = second.has(tag, listed[tag]) and first == client.head_manifest(repository, tag, is_expected=True)
        except RegistrySyncError as error:
            log.info("%s:%s cannot be compared with the listing: %s", repository, tag, error)
            unread[tag] = str(error)
            if isinstance(error, _LASTING):
                lasting.append(str(error))
            return None
        return (tag, first) if is_stale else None

    with thread_pool(needed_threads(len(listed), _NEWEST)) as pool:
        wrong = [found for found in pool.map(differs, listed) if found]
    reason = partial(_reason, repository, listed, side)
    failed = {tag: reason(tag, seen) for tag, seen in wrong}
    failed |= {
        tag: f"the {side} had this tag wrong in its listing, and the tag cannot be compared with it now: {error}"
        for tag, error in unread.items()
        if tag in stale
    }
    return SpotCheck(failed=failed, notes=tuple(_note(side, list(unread.values()))))


def _reason(repository: Repository, listed: Mapping[str, Digest], side: str, tag: str, seen: Digest | None) -> str:
    has = f"has {seen.short}" if seen else "does not exist"
    return (
        f"{repository.host}, the {side}, lists this tag with {listed[tag].short}, and the tag itself {has}, each seen "
        "twice. Its listing is wrong: write kind: distribution for this registry, so that each tag is read by itself"
    )


def _note(side: str, unread: Sequence[str]) -> Iterator[str]:
    if unread:
        yield f"{len(unread)} tags of the {side} could not be compared with its listing: {unread[0]}"
