"""Tags of a route after a run: those that it saw, merged with their earlier state, and the table that is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from registry_sync.state.document import as_document, size_of
from registry_sync.state.names import MAX_VALUE_BYTES
from registry_sync.state.recording.look import RouteRecord, whole_seconds
from registry_sync.state.route import LACKING, STATUSES, KnownTag, Problem, TagTable, due_since
from registry_sync.sync.view import RouteView, SeenTag, TagStatus
from registry_sync.sync.window import CLOCK_SKEW


def seen_tags(
    view: RouteView, earlier: RouteRecord | None, problems: Mapping[str | None, Problem]
) -> dict[str, KnownTag]:
    """The tags that a run looked at, by name, merged with their earlier state."""
    known = {tag.tag: tag for tag in earlier.tags.tags} if earlier else {}
    complete_at = earlier.state.complete_at if earlier else None
    tags = {}
    for tag in view.tags:
        problem = problems.get(tag.tag)
        merged = _merge_tag(tag, known.get(tag.tag), view.read_at, complete_at)
        tags[tag.tag] = replace(
            merged,
            status="failing" if tag.is_deferred and problem else merged.status,
            failing_since=problem.since if problem else None,
            tries=problem.tries if problem else 0,
        )
    return tags


def uncompared_tags(view: RouteView, earlier: RouteRecord | None) -> dict[str, KnownTag]:
    """The tags that exist although earlier runs left them as missing, or did not know them.

    A task that is killed brings tags that no state has. A failure stays: it may be damaged content. A tag that is not
    in a table which was cut is already counted.
    """
    known = {tag.tag: tag for tag in earlier.tags.tags} if earlier else {}
    is_cut = earlier is not None and earlier.tags.total > len(known)
    found = {}
    for tag in view.uncompared:
        before = known.get(tag)
        if before is None and not is_cut:
            found[tag] = KnownTag(tag=tag, status="kept", first_seen=whole_seconds(view.read_at))
        elif before and before.status in ("missing", "changed"):
            found[tag] = replace(before, status="kept")
    return found


def _merge_tag(tag: SeenTag, known: KnownTag | None, read_at: datetime, complete_at: datetime | None) -> KnownTag:
    """A tag merged with the earlier state of the same digest. A tag with an unreadable digest counts as unchanged."""
    digest = str(tag.digest) if tag.digest else known.digest if known else None
    same = known if known and known.digest in (digest, None) else None
    return KnownTag(
        tag=tag.tag,
        status=tag.status,
        digest=digest,
        pushed_at=(same and same.pushed_at) or (whole_seconds(tag.pushed_at) if tag.pushed_at else None),
        first_seen=same.first_seen if same else whole_seconds(read_at),
        selected_at=same.selected_at if same else _selected_at(tag, read_at, complete_at),
        published_at=_time_of_publication(tag, known, same, read_at),
    )


def _selected_at(tag: SeenTag, read_at: datetime, complete_at: datetime | None) -> datetime | None:
    """The time at which a tag began to be selected, if that was after its push.

    A tag that is older than the last complete look, which did not have it, was selected by changed rules; before the
    first complete look all were. Otherwise a new mirror would be years behind.
    """
    if tag.entered_at is None:
        return None
    if complete_at is None or tag.entered_at < complete_at - CLOCK_SKEW:
        return whole_seconds(read_at)
    return whole_seconds(tag.entered_at) if tag.entered_at != tag.pushed_at else None


def _time_of_publication(
    tag: SeenTag, known: KnownTag | None, same: KnownTag | None, read_at: datetime
) -> datetime | None:
    """Return the time at which the destination got a tag: by this run, as known before, or as its listing has it.

    A tag that the destination lacked at an earlier look, and that another writer brought, counts from this look.
    """
    if tag.status != "in_sync":
        return None
    if not tag.is_published and same and same.published_at:
        return same.published_at
    if tag.published_at:
        return whole_seconds(tag.published_at)
    was_lacking = known is not None and (same is None or known.status in LACKING)
    return whole_seconds(read_at) if was_lacking else None


def hidden_statuses(earlier: RouteRecord | None) -> Counter[TagStatus]:
    """The statuses of the tags that did not fit into the earlier table."""
    if earlier is None:
        return Counter()
    counts = {status: int(getattr(earlier.state, status)) for status in STATUSES}
    return Counter(counts) - Counter(tag.status for tag in earlier.tags.tags)


def fit_tags(tags: Iterable[KnownTag], total: int) -> TagTable:
    """As many tags as fit into one value: lacking ones first, the oldest before others, then the newest."""
    ordered = sorted(tags, key=_rank)
    table = TagTable(tags=tuple(ordered), total=total)
    while (size := size_of(as_document(table))) > MAX_VALUE_BYTES:
        count = int(len(table.tags) * min(0.98, MAX_VALUE_BYTES / size))
        table = replace(table, tags=table.tags[:count])
    return table


def _rank(tag: KnownTag) -> tuple[bool, float, str]:
    if tag.status in LACKING:
        return False, due_since(tag).timestamp(), tag.tag
    return True, -(tag.published_at or due_since(tag)).timestamp(), tag.tag
