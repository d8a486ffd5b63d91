"""Record the view that a run had of a route: merge it with the state of earlier runs. Pure: no clock and no Airflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.errors import RegistrySyncError
from registry_sync.oci.artifact_tags import is_artifact_name
from registry_sync.state.document import as_document, size_of
from registry_sync.state.names import MAX_VALUE_BYTES
from registry_sync.state.recording.same_view import fingerprint
from registry_sync.state.route import (
    LACKING,
    STATUSES,
    Arrival,
    KnownTag,
    Problem,
    RouteState,
    TagTable,
    due_since,
    lag,
    oldest_lacking,
)
from registry_sync.sync.view import Failure, RouteView, SeenTag, TagStatus
from registry_sync.sync.window import CLOCK_SKEW

MAX_PROBLEMS = 20
MAX_ARRIVALS = 10
MAX_REASON_LENGTH = 500

UNKNOWN_REASON = "it failed in an earlier run; see the log of its task"
"""The reason of a problem beyond the first :data:`MAX_PROBLEMS`, which are not stored with their reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A run's look at a route: its names, and the task. The fields are those of ``RouteState``."""

    route: str
    source: str
    destination: str
    run_id: str
    task_id: str
    map_index: int
    looked_at: datetime
    fresh_within: float | None = None


NO_TAGS = TagTable(tags=(), total=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord:
    """The state of a route and its tags."""

    state: RouteState
    tags: TagTable = NO_TAGS


def record_view(look: Look, view: RouteView, earlier: RouteRecord | None) -> RouteRecord:
    """The state after a run that read both registries, whether or not tags failed.

    A complete look replaces the tags. Any other, over a window or of some tags, adds to them.
    """
    problems = _problems(look, view, earlier)
    seen = _seen_tags(view, earlier, problems)
    known = {} if view.is_complete or earlier is None else {tag.tag: tag for tag in earlier.tags.tags}
    tags = tuple({**known, **seen, **_uncompared_tags(view, earlier)}.values())
    counts = Counter(tag.status for tag in tags)
    if not view.is_complete:
        counts += _hidden(earlier)
    arrived = sorted((seen[tag.tag] for tag in view.tags if tag.is_published), key=_published_at, reverse=True)
    before = earlier.state if earlier else _nothing_known(look)
    state = replace(
        before,
        looked_at=_looked_until(look, view, earlier),
        complete_at=_whole(view.read_at) if view.is_complete else before.complete_at,
        window=view.window,
        listed=before.listed if view.listed is None else view.listed,
        selected=counts.total(),
        in_sync=counts["in_sync"],
        missing=counts["missing"],
        changed=counts["changed"],
        failing=counts["failing"],
        locked=counts["locked"],
        kept=counts["kept"],
        oldest_lacking=oldest_lacking(tags),
        lag_seconds=_lag_seconds(arrived[0]) if arrived else before.lag_seconds,
        arrivals=(*_arrivals(arrived, view), *before.arrivals)[:MAX_ARRIVALS],
        view=fingerprint(view),
    )
    state = _finish(state, look, problems.values(), unstored=_unstored_artifacts(view, earlier))
    return RouteRecord(state=state, tags=fit_tags(tags, counts.total()))


def record_same_view(look: Look, view: RouteView, earlier: RouteRecord) -> RouteRecord:
    """The state after a run that saw the same as the last one, :func:`is_same_view`. The tags are not needed."""
    state = replace(
        earlier.state,
        looked_at=_looked_until(look, view, earlier),
        complete_at=_whole(view.read_at),
        window=view.window,
        listed=earlier.state.listed if view.listed is None else view.listed,
    )
    return replace(earlier, state=_finish(state, look, ()))


def record_failure(look: Look, failure: Failure, earlier: RouteRecord | None) -> RouteRecord:
    """The state after a run in which the route failed as a whole. Its tags and its last look stay as they are."""
    problems = _known_problems(earlier)
    problems[None] = _problem(failure, problems.get(None), look)
    before = earlier or RouteRecord(state=_nothing_known(look))
    unstored = max(0, before.state.problem_count - len(_known_problems(earlier)))
    return replace(before, state=_finish(before.state, look, problems.values(), unstored=unstored))


def _unstored_artifacts(view: RouteView, earlier: RouteRecord | None) -> int:
    """The number of failed artifacts beyond the first :data:`MAX_PROBLEMS`, which only a full check looks at again.

    Unlike tags, they are not in the table.
    """
    if earlier is None or (view.is_complete and view.has_artifacts) or earlier.tags.total > len(earlier.tags.tags):
        return 0
    return max(0, earlier.state.problem_count - len(_known_problems(earlier)))


def _finish(state: RouteState, look: Look, problems: Iterable[Problem], *, unstored: int = 0) -> RouteState:
    """The state with its problems, and with the run that looked.

    :param unstored: number of problems of which nothing else is known.
    """
    ordered = sorted(problems, key=lambda problem: (problem.since, problem.tag or ""))
    return replace(
        state,
        run_id=look.run_id,
        task_id=look.task_id,
        map_index=look.map_index,
        fresh_within=look.fresh_within,
        problems=tuple(ordered[:MAX_PROBLEMS]),
        problem_count=len(ordered) + unstored,
    )


def _nothing_known(look: Look) -> RouteState:
    return RouteState(
        route=look.route,
        source=look.source,
        destination=look.destination,
        run_id=look.run_id,
        task_id=look.task_id,
        map_index=look.map_index,
        looked_at=_whole(look.looked_at),
    )


def _closes_gap(view: RouteView, earlier: RouteRecord | None) -> bool:
    """Return whether the run looked at all pushes since the last look, up to a later time.

    False for a run of some tags, for a window that begins after the last look, and for one that ends before it.
    """
    if view.is_narrowed or earlier is None:
        return not view.is_narrowed and view.since is None
    last = earlier.state.looked_at
    return (view.since is None or view.since <= last) and (view.until is None or view.until > last)


def _looked_until(look: Look, view: RouteView, earlier: RouteRecord | None) -> datetime:
    """The time up to which pushes were looked at. A look at a part, or at the past, does not move it."""
    reached = _whole(min(look.looked_at, view.until or look.looked_at))
    if earlier is None:
        return _whole(look.looked_at)
    return max(earlier.state.looked_at, reached) if _closes_gap(view, earlier) else earlier.state.looked_at


def _hidden(earlier: RouteRecord | None) -> Counter[TagStatus]:
    """The statuses of the tags that did not fit into the earlier table."""
    if earlier is None:
        return Counter()
    counts = {status: int(getattr(earlier.state, status)) for status in STATUSES}
    return Counter(counts) - Counter(tag.status for tag in earlier.tags.tags)


def _problems(look: Look, view: RouteView, earlier: RouteRecord | None) -> dict[str | None, Problem]:
    """Return the problems that last after a run, by tag.

    The problem of a tag ends when a run looks at the tag and it does not fail; a rate limit proves neither. That of the
    route as a whole ends when a run looked at all pushes since the last look. That of an attached artifact ends when it
    arrives, or when a full check or its next try does not find it again.
    """
    known = _known_problems(earlier)
    looked_at = {tag.tag for tag in view.tags if not tag.is_deferred} | {change.tag for change in view.changes}
    looked_at |= view.retried_artifacts
    deferred = {tag.tag for tag in view.tags if tag.is_deferred}
    kept = {
        tag: problem
        for tag, problem in known.items()
        if tag not in looked_at and (tag in deferred or not _looks_for(view, tag))
    }
    if _closes_gap(view, earlier):
        kept.pop(None, None)
    return kept | {failure.tag: _problem(failure, known.get(failure.tag), look) for failure in view.failures}


def _looks_for(view: RouteView, tag: str | None) -> bool:
    """Return whether a run would have found a problem of this tag again."""
    is_artifact = tag is not None and is_artifact_name(tag)
    return view.is_complete and (view.has_artifacts or not is_artifact)


def _known_problems(earlier: RouteRecord | None) -> dict[str | None, Problem]:
    """The earlier problems by tag, also those that are stored without a reason."""
    if earlier is None:
        return {}
    problems: dict[str | None, Problem] = {
        tag.tag: Problem(
            tag=tag.tag,
            error_class=RegistrySyncError.error_class,
            reason=UNKNOWN_REASON,
            since=tag.failing_since,
            tries=tag.tries,
            run_id=earlier.state.run_id,
        )
        for tag in earlier.tags.tags
        if tag.failing_since
    }
    return problems | {problem.tag: problem for problem in earlier.state.problems}


def _problem(failure: Failure, known: Problem | None, look: Look) -> Problem:
    """A failure with its history. Several tries of one run count once."""
    since, tries = (known.since, known.tries + (known.run_id != look.run_id)) if known else (look.looked_at, 1)
    return Problem(
        tag=failure.tag,
        error_class=failure.error_class,
        reason=failure.reason[:MAX_REASON_LENGTH],
        since=_whole(since),
        tries=tries,
        run_id=look.run_id,
    )


def _seen_tags(
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


def _uncompared_tags(view: RouteView, earlier: RouteRecord | None) -> dict[str, KnownTag]:
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
            found[tag] = KnownTag(tag=tag, status="kept", first_seen=_whole(view.read_at))
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
        pushed_at=(same and same.pushed_at) or (_whole(tag.pushed_at) if tag.pushed_at else None),
        first_seen=same.first_seen if same else _whole(read_at),
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
        return _whole(read_at)
    return _whole(tag.entered_at) if tag.entered_at != tag.pushed_at else None


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
        return _whole(tag.published_at)
    was_lacking = known is not None and (same is None or known.status in LACKING)
    return _whole(read_at) if was_lacking else None


def _arrivals(arrived: Sequence[KnownTag], view: RouteView) -> Iterable[Arrival]:
    """The tags that a run published, in the given order."""
    replaced = {tag.tag: tag.replaced for tag in view.tags}
    for tag in arrived:
        old = replaced[tag.tag]
        yield Arrival(
            tag=tag.tag,
            digest=tag.digest or "",
            replaced=str(old) if old else None,
            pushed_at=tag.pushed_at,
            published_at=_published_at(tag),
        )


def _published_at(tag: KnownTag) -> datetime:
    return tag.published_at or tag.first_seen


def _lag_seconds(tag: KnownTag) -> float | None:
    took = lag(tag)
    return took.total_seconds() if took is not None else None


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


def _whole(time: datetime) -> datetime:
    """The time in whole seconds, as tags are stored."""
    return time.replace(microsecond=0)
