"""Record the view that a run had of a route: merge it with the state of earlier runs. Pure: no clock and no Airflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from registry_sync.state.recording.look import Look, RouteRecord, looked_until, whole_seconds
from registry_sync.state.recording.problems import (
    MAX_PROBLEMS,
    known_problems,
    lasting_problems,
    problem_of,
    unstored_artifacts,
)
from registry_sync.state.recording.route_tags import fit_tags, hidden_statuses, seen_tags, uncompared_tags
from registry_sync.state.recording.same_view import fingerprint
from registry_sync.state.route import Arrival, KnownTag, Problem, RouteState, lag, oldest_lacking
from registry_sync.sync.view import Failure, RouteView

MAX_ARRIVALS = 10


def record_view(look: Look, view: RouteView, earlier: RouteRecord | None) -> RouteRecord:
    """The state after a run that read both registries, whether or not tags failed.

    A complete look replaces the tags. Any other, over a window or of some tags, adds to them.
    """
    problems = lasting_problems(look, view, earlier)
    seen = seen_tags(view, earlier, problems)
    known = {} if view.is_complete or earlier is None else {tag.tag: tag for tag in earlier.tags.tags}
    tags = tuple({**known, **seen, **uncompared_tags(view, earlier)}.values())
    counts = Counter(tag.status for tag in tags)
    if not view.is_complete:
        counts += hidden_statuses(earlier)
    arrived = sorted((seen[tag.tag] for tag in view.tags if tag.is_published), key=_published_at, reverse=True)
    before = earlier.state if earlier else _nothing_known(look)
    state = replace(
        before,
        looked_at=looked_until(look, view, earlier),
        complete_at=whole_seconds(view.read_at) if view.is_complete else before.complete_at,
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
    state = _finish(state, look, problems.values(), unstored=unstored_artifacts(view, earlier))
    return RouteRecord(state=state, tags=fit_tags(tags, counts.total()))


def record_same_view(look: Look, view: RouteView, earlier: RouteRecord) -> RouteRecord:
    """The state after a run that saw the same as the last one, :func:`is_same_view`. The tags are not needed."""
    state = replace(
        earlier.state,
        looked_at=looked_until(look, view, earlier),
        complete_at=whole_seconds(view.read_at),
        window=view.window,
        listed=earlier.state.listed if view.listed is None else view.listed,
    )
    return replace(earlier, state=_finish(state, look, ()))


def record_failure(look: Look, failure: Failure, earlier: RouteRecord | None) -> RouteRecord:
    """The state after a run in which the route failed as a whole. Its tags and its last look stay as they are."""
    problems = known_problems(earlier)
    problems[None] = problem_of(failure, problems.get(None), look)
    before = earlier or RouteRecord(state=_nothing_known(look))
    unstored = max(0, before.state.problem_count - len(known_problems(earlier)))
    return replace(before, state=_finish(before.state, look, problems.values(), unstored=unstored))


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
        looked_at=whole_seconds(look.looked_at),
    )


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
