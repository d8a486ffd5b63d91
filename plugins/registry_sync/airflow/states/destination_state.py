"""The state of each destination, written by the task ``report`` at the end of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from registry_sync.airflow.ids import ALL_ROUTES, DISABLED_KEY, LISTED_KEY, is_of_pushes, routes_task
from registry_sync.airflow.runs.context import read_listing_error, read_parameters, read_run_interval
from registry_sync.airflow.states.state_store import losing, open_store, parse_state, read_record, read_state
from registry_sync.config.registry import Registry
from registry_sync.errors import TemporaryError
from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex, figures_of
from registry_sync.state.document import as_document
from registry_sync.state.names import DESTINATION_KEY, index_key, source_of, tags_key
from registry_sync.state.recording.look import Look
from registry_sync.state.recording.record import record_failure
from registry_sync.state.recording.record_run import DestinationRecord, ListedRoutes, RunOfDestination, record_run
from registry_sync.state.route import RouteState
from registry_sync.state.run_row import RunRow
from registry_sync.state.store import StateStore
from registry_sync.sync.report import RouteReport
from registry_sync.sync.view import Failure

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOfMirror:
    """A destination of a mirror, its source, and the promise in seconds for routes that have no other."""

    mirror: str
    source: Registry
    destination: Registry
    fresh_within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """The end of a run at one destination, as the task ``report`` found it.

    :ivar was_listed: the task that lists the routes succeeded. ``listing_state`` is its state.
    :ivar worked_on: names of the routes that had a mapped task.
    :ivar rows: the rows that these tasks left.
    :ivar unrouted: reports of repositories without a route.
    """

    place: DestinationOfMirror
    listing_state: str | None
    was_listed: bool
    worked_on: Sequence[str]
    rows: Sequence[RunRow]
    unrouted: Sequence[RouteReport]
    is_failed: bool
    summary: str


def record_destinations(context: Context, ended: Collection[EndedRun]) -> None:
    """Write the states of the destinations that a run worked on. A dry run writes none."""
    params = read_parameters(context)
    if params["dry_run"]:
        return
    for run in ended:
        place = run.place
        if params["destinations"] and place.destination.name not in params["destinations"]:
            continue
        with losing(f"The state of {place.destination.name} stays as it was"):
            _record(context, run)


def _record(context: Context, ended: EndedRun) -> None:
    """Read, merge and write the state of one destination. Only the parts of the index that changed are written."""
    place, now = ended.place, datetime.now(UTC).replace(microsecond=0)
    store = open_store(place.mirror, place.destination.name)
    parts = list(read_index(store))
    earlier = read_state(store, DESTINATION_KEY, DestinationState)
    if earlier and (earlier.host, earlier.source_host) != (place.destination.host, place.source.host):
        earlier, parts = None, []
    failed = dict(_unrouted_rows(context, store, ended, parts, now))
    known = [name for part in parts for name in part.routes]
    document = _pull_listed(context, place.destination.name) if ended.was_listed else {}
    run = _run(context, ended, failed, now, known, _listed(document))
    run = replace(run, listed_again=_listed_again(store, document, known))
    record = record_run(run, earlier, parts)
    _write(store, record, parts)


def _run(
    context: Context,
    ended: EndedRun,
    failed: dict[str, RouteFigures],
    now: datetime,
    known: Sequence[str],
    listed: ListedRoutes | None,
) -> RunOfDestination:
    place = ended.place
    reported = {row.route for row in ended.rows if row.figures}
    return RunOfDestination(
        mirror=place.mirror,
        destination=place.destination.name,
        host=place.destination.host,
        source_host=place.source.host,
        run_id=context["ti"].run_id,
        ended_at=now,
        is_failed=ended.is_failed,
        summary=ended.summary,
        listed=listed,
        looks_at_all=_looks_at_all(context),
        rows=ended.rows,
        failed=failed,
        disabled=_disabled(context, place.destination.name, known) if ended.was_listed else {},
        unreported=[name for name in ended.worked_on if name not in reported],
        listing_failure=None if ended.was_listed else _listing_failure(context, ended),
        fresh_within=place.fresh_within,
        is_of_pushes=is_of_pushes(context["ti"].dag_id),
    )


def _pull_listed(context: Context, destination: str) -> Mapping[str, list[str]]:
    """The lists of the run, of all routes or of namespaces; empty without any."""
    return context["ti"].xcom_pull(task_ids=routes_task(destination), key=LISTED_KEY) or {}


def _listed(document: Mapping[str, list[str]]) -> ListedRoutes | None:
    """All routes, if the run listed them completely."""
    if "names" not in document:
        return None
    return ListedRoutes(names=frozenset(document["names"]), kept_sources=frozenset(document["kept_sources"]))


def _listed_again(store: StateStore, document: Mapping[str, list[str]], known: Sequence[str]) -> frozenset[str]:
    """The rows of namespaces that could not be listed earlier, and that the run listed.

    A repository may have the name of a namespace. Its state has the name of its copy, and that of a namespace a host.
    """
    states = {name: read_state(store, name, RouteState) for name in document.get("namespaces", ()) if name in known}
    return frozenset(name for name, state in states.items() if state and "/" not in state.destination)


def _disabled(context: Context, destination: str, known: Sequence[str]) -> dict[str, datetime | None]:
    """The routes that the run left out because they are disabled, and until when.

    :param known: the routes of the index: all that is known of a mirror that is disabled as a whole.
    """
    document = context["ti"].xcom_pull(task_ids=routes_task(destination), key=DISABLED_KEY) or {}
    if ALL_ROUTES in document:
        document = dict.fromkeys(known, document[ALL_ROUTES])
    return {name: datetime.fromisoformat(until) if until else None for name, until in document.items()}


def _looks_at_all(context: Context) -> bool:
    """Return whether the run looked at all pushes since the last one, so that what it skipped has none.

    The window of a scheduled run begins where the last one ended. Other runs may have a window in the past.
    """
    params, run_type = read_parameters(context), read_run_interval(context).run_type
    has_all_times = params["window"] == "all" or (params["window"] == "auto" and run_type == "manual")
    return not params["tags"] and (run_type == "scheduled" or has_all_times)


def _listing_failure(context: Context, ended: EndedRun) -> Failure:
    """The reason that the task pushed before it failed. It pushes none when it is killed."""
    destination = ended.place.destination.name
    error = read_listing_error(context, destination)
    if error is not None:
        return Failure(tag=None, error_class=error["error_class"], reason=error["reason"])
    reason = f"the task {routes_task(destination)} ended without a result ({ended.listing_state}); see its log"
    return Failure(tag=None, error_class=TemporaryError.error_class, reason=reason)


def _unrouted_rows(
    context: Context, store: StateStore, ended: EndedRun, parts: Sequence[RouteIndex], now: datetime
) -> Iterator[tuple[str, RouteFigures]]:
    """Record the failure of each repository without a route, and return its rows: those that it had, else a new one."""
    start = f"{ended.place.source.host}/"
    for report in ended.unrouted:
        if not report.source.startswith(start):
            continue
        source = report.source.removeprefix(start)
        known = [name for part in parts for name in part.routes if source_of(name) == source]
        for name in known or [source]:
            yield name, _record_unrouted(context, store, ended, report, name, now)


def _record_unrouted(
    context: Context, store: StateStore, ended: EndedRun, report: RouteReport, name: str, now: datetime
) -> RouteFigures:
    earlier = read_record(store, name)
    look = Look(
        route=name,
        source=report.source,
        destination=earlier.state.destination if earlier else report.destination,
        run_id=context["ti"].run_id,
        task_id=routes_task(ended.place.destination.name),
        map_index=-1,
        looked_at=now,
        fresh_within=ended.place.fresh_within,
    )
    failure = Failure(tag=None, error_class=report.error_class or "", reason=report.error or "")
    state = record_failure(look, failure, earlier).state
    store.set(name, as_document(state))
    return figures_of(state)


def read_index(store: StateStore) -> Iterator[RouteIndex]:
    """The parts of the index. One that cannot be read is empty: its rows come back when their routes are looked at."""
    for number in count():
        key = index_key(number)
        document = store.get(key)
        if document is None:
            return
        yield parse_state(key, document, RouteIndex) or RouteIndex(routes={})


def _write(store: StateStore, record: DestinationRecord, earlier: Sequence[RouteIndex]) -> None:
    """Write the changed parts, then the summary, then delete what no longer exists."""
    for number, part in enumerate(record.parts):
        if number >= len(earlier) or earlier[number] != part:
            store.set(index_key(number), as_document(part))
    store.set(DESTINATION_KEY, as_document(record.state))
    for number in range(len(record.parts), len(earlier)):
        store.delete(index_key(number))
    for name in record.gone:
        store.delete(name)
        store.delete(tags_key(name))
