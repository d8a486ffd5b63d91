"""The state of a route, written by its mapped task after each try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry_sync.airflow.masking import masked_text
from registry_sync.airflow.states.state_store import losing, open_store, read_state, with_tags
from registry_sync.errors import RateLimited, RegistrySyncError
from registry_sync.routes.route import Route
from registry_sync.state.changes import NO_CHANGES, Changes, changes_of_view
from registry_sync.state.destination import figures_of
from registry_sync.state.document import as_document, read_document
from registry_sync.state.names import tags_key
from registry_sync.state.recording.found_tags import found_tags
from registry_sync.state.recording.look import Look, RouteRecord
from registry_sync.state.recording.record import record_failure, record_same_view, record_view
from registry_sync.state.recording.same_view import is_same_view
from registry_sync.state.route import RouteState
from registry_sync.state.run_row import FoundTag, RunRow
from registry_sync.state.store import StateStore
from registry_sync.sync.view import Failure, RouteView

if TYPE_CHECKING:
    from airflow.sdk import Context

CHANGES_KEY = "changes"
"""The key of the changes that earlier tries of a task made, in its own state store: retries lose their XComs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try of a mapped task: the view that it had of its route, or the error that ended it.

    :ivar is_first: no try or deferral of this task came before it.
    :ivar is_last: the task has succeeded. Otherwise another try may follow.
    """

    seen: RouteView | RegistrySyncError
    is_first: bool
    is_last: bool


def record_try(context: Context, route: Route, name: str, done: Try) -> RunRow | None:
    """Merge what a try saw with the state of its route, store it, and return the row for the run's last tasks.

    A rate limit of the route as a whole proves nothing about it, and is not recorded: there is no row.

    :param name: of the route in the state.
    """
    if isinstance(done.seen, RateLimited):
        return None
    row = RunRow(route=name, is_complete=isinstance(done.seen, RouteView) and done.seen.is_complete)
    with losing(f"The state of {route.label} stays as it was"):
        record, found = _merge(context, route, name, done.seen)
        row = replace(row, figures=figures_of(record.state), found=found)
    changes = NO_CHANGES
    with losing(f"The event of this run lacks changes of {route.label}"):
        changes = _all_changes(context, route, done)
    return replace(row, changes=changes)


def _merge(
    context: Context, route: Route, name: str, seen: RouteView | RegistrySyncError
) -> tuple[RouteRecord, tuple[FoundTag, ...]]:
    """Read, merge and write the state of a route, and return it with the tags that are new at the source.

    The tags are written only if they changed.
    """
    store, look = open_store(route.mirror, route.destination.name), _look(context, route, name)
    last = read_state(store, name, RouteState)
    if last and (last.source, last.destination) != (look.source, look.destination):
        last = None
    if last and isinstance(seen, RouteView) and is_same_view(seen, last):
        return _record_same(store, look, seen, last), ()
    earlier = with_tags(store, last) if last else None
    if isinstance(seen, RouteView):
        record = record_view(look, seen, earlier)
    else:
        failure = Failure(tag=None, error_class=seen.error_class, reason=str(seen))
        record = record_failure(look, failure, earlier)
    problems = tuple(replace(problem, reason=masked_text(problem.reason)) for problem in record.state.problems)
    record = replace(record, state=replace(record.state, problems=problems))
    _write(store, record, earlier)
    return record, found_tags(seen, earlier) if isinstance(seen, RouteView) else ()


def _record_same(store: StateStore, look: Look, seen: RouteView, last: RouteState) -> RouteRecord:
    """Write the state of a route that a run saw as the last one did. Its tags are not read."""
    record = record_same_view(look, seen, RouteRecord(state=last))
    store.set(look.route, as_document(record.state))
    return record


def _look(context: Context, route: Route, name: str) -> Look:
    ti, promise = context["ti"], route.settings.fresh_within
    return Look(
        route=name,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        looked_at=datetime.now(UTC),
        fresh_within=promise.length.total_seconds() if promise else None,
    )


def _write(store: StateStore, record: RouteRecord, earlier: RouteRecord | None) -> None:
    """Store a record. The tags of a route in sync are the same in each run, and are not written again."""
    if earlier is None or earlier.tags != record.tags:
        store.set(tags_key(record.state.route), as_document(record.tags))
    store.set(record.state.route, as_document(record.state))


def _all_changes(context: Context, route: Route, done: Try) -> Changes:
    """The changes of this try and of earlier ones, which stay in the task's own store for the next."""
    seen, repository = done.seen, str(route.destination_repository)
    changes = changes_of_view(repository, seen) if isinstance(seen, RouteView) else NO_CHANGES
    if not done.is_first and (document := context["task_state_store"].get(CHANGES_KEY)):
        changes = read_document(Changes, document).plus(changes)
    if not done.is_last and changes.total:
        context["task_state_store"].set(CHANGES_KEY, as_document(changes))
    return changes
