"""The outcome of a run at each destination: the states of its tasks, matched with the reports that they pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_sync.airflow.ids import copy_task, routes_task
from registry_sync.airflow.runs.context import read_failed, read_listing_error, read_notes
from registry_sync.airflow.runs.route_pages import pull_routes
from registry_sync.airflow.runs.route_results import pull_results
from registry_sync.routes.route import Route, route_key
from registry_sync.state.run_row import RunRow
from registry_sync.sync.report import RouteReport

if TYPE_CHECKING:
    from airflow.sdk import Context

_SUCCESSFUL = frozenset({"success", "skipped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOutcome:
    """The results of a run at one destination.

    :ivar routes: the routes of the mapped task, by map index; ``None`` when their listing failed.
    :ivar reports: reports of these routes, and of repositories that got none.
    :ivar missing: a line about each task that ended without a report, with its state.
    :ivar finished: keys of the routes that succeeded, or lack nothing but attached artifacts.
    :ivar full_checks: keys of the routes of which this run was a full check.
    :ivar notes: remarks about the list of routes.
    :ivar listing_state: state of the task that lists the routes.
    :ivar names: names of the routes in the state, by map index.
    :ivar rows: what the tasks hand on to the state of the destination; none in a dry run.
    :ivar unrouted: the reports of repositories that got no route.
    """

    destination: str
    routes: tuple[Route, ...] | None = None
    reports: tuple[RouteReport, ...] = ()
    missing: tuple[str, ...] = ()
    finished: frozenset[str] = frozenset()
    full_checks: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    listing_state: str | None = None
    names: tuple[str, ...] = ()
    rows: tuple[RunRow, ...] = ()
    unrouted: tuple[RouteReport, ...] = ()

    @property
    def is_failed(self) -> bool:
        return bool(self.missing) or any(report.is_failed for report in self.reports)


def read_outcomes(context: Context, destinations: Sequence[str]) -> list[DestinationOutcome]:
    """Read the outcome of each destination from the states and XComs of its tasks."""
    states = _task_states(context, [routes_task(destination) for destination in destinations])
    return [_read_outcome(context, destination, states.get(routes_task(destination))) for destination in destinations]


def _read_outcome(context: Context, destination: str, listing_state: str | None) -> DestinationOutcome:
    if listing_state not in _SUCCESSFUL:
        line = _unlisted(context, destination, listing_state)
        return DestinationOutcome(destination=destination, missing=(line,), listing_state=listing_state)
    ti = context["ti"]
    tasks = pull_routes(ti, routes_task(destination)) if listing_state == "success" else []
    routes = tuple(task.route for task in tasks)
    states = _mapped_states(context, copy_task(destination), len(routes))
    results = pull_results(ti, destination)
    reports, missing = match_reports(routes, [result.report for result in results], states)
    unrouted = [RouteReport.from_json(report) for report in read_failed(context, destination)]
    return DestinationOutcome(
        destination=destination,
        routes=routes,
        reports=(*reports, *unrouted),
        missing=tuple(map(_lost, missing)),
        finished=finished_routes(routes, reports, states),
        full_checks=frozenset(route_key(task.route) for task in tasks if task.scope.window.is_full_check),
        notes=tuple(read_notes(context, destination)),
        listing_state=listing_state,
        names=tuple(task.name for task in tasks),
        rows=tuple(result.row for result in results if result.row),
        unrouted=tuple(unrouted),
    )


def _unlisted(context: Context, destination: str, state: str | None) -> str:
    """A line about routes that could not be listed, with the reason that the task pushed before it failed."""
    task, error = f"{routes_task(destination)} ({state})", read_listing_error(context, destination)
    return f"{task}: {' '.join(error['reason'].split())}" if error else _lost(task)


def _lost(task: str) -> str:
    return f"{task} ended without a report; see the log of that task"


def _mapped_states(context: Context, task_id: str, length: int) -> list[str | None]:
    """States of a mapped task's instances, by map index.

    One task is queried at a time: the state of ``to_acr`` with map index 1 has the same key as the task ``to_acr_1``.
    """
    states = _task_states(context, [task_id])
    return [states.get(f"{task_id}_{index}") for index in range(length)]


def _task_states(context: Context, task_ids: list[str]) -> Mapping[str, str]:
    """States by task id. Airflow appends ``_INDEX`` to the id of a mapped task."""
    ti = context["ti"]
    runs = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id])
    states: Mapping[str, str] = runs.get(ti.run_id, {})
    return states


def match_reports(
    routes: Sequence[Route], pushed: Sequence[RouteReport], states: Sequence[str | None]
) -> tuple[list[RouteReport], list[str]]:
    """Return the reports of the routes, and the routes whose task failed without one (killed, for example).

    :param routes: the routes of the mapped task, by map index.
    :param pushed: reports, in any order.
    :param states: states of the mapped tasks, by map index.
    """
    by_key = {report.route_key: report for report in pushed}
    reports = [by_key.get(route_key(route)) for route in routes]
    missing = [
        f"{route.label} ({state})"
        for route, report, state in zip(routes, reports, states, strict=True)
        if state not in _SUCCESSFUL and (report is None or not report.is_failed)
    ]
    return [report for report in reports if report is not None], missing


def finished_routes(
    routes: Sequence[Route], reports: Sequence[RouteReport], states: Sequence[str | None]
) -> frozenset[str]:
    """Keys of the routes whose tags are all copied: their task succeeded with a report, or failed by artifacts alone.

    A state that a user set by hand does not count.

    :param routes: the routes of the mapped task, by map index.
    :param states: states of the mapped tasks, by map index.
    """
    real = [report for report in reports if not report.dry_run]
    succeeded = {report.route_key for report in real if not report.is_failed}
    lacking = {report.route_key for report in real if report.lacks_only_artifacts}
    keys = {route_key(route): state for route, state in zip(routes, states, strict=True)}
    return frozenset(
        key
        for key, state in keys.items()
        if (state == "success" and key in succeeded) or (state == "failed" and key in lacking)
    )
