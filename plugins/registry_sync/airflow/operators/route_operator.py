"""The engine of the tasks that sync one route: sync it, push its report, then fail, retry or defer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from registry_sync.airflow.hooks.connections import HookConnections
from registry_sync.airflow.runs.context import task_label
from registry_sync.airflow.runs.deferral import defer_or_raise
from registry_sync.airflow.runs.lacking_artifacts import note_lacking, scope_of_retry
from registry_sync.airflow.runs.retries import error_of_report
from registry_sync.airflow.runs.route_results import RouteResult, push_result
from registry_sync.airflow.states.route_state import Try
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.traffic import NO_TRAFFIC
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.state.run_row import RunRow
    from registry_sync.sync.route import SyncedRoute
    from registry_sync.sync.session import Session


class RouteOperator(BaseOperator):
    """Syncs one route. Each try observes both registries again and copies only what is still missing."""

    ui_color = "#d5e8f7"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._session: Session | None = None
        self._traffic = NO_TRAFFIC

    def sync(self, context: Context, route: Route, scope: RouteScope, deferrals: int) -> SyncedRoute:
        """Sync the route, record the results, push the report, and only then fail, retry or defer.

        :param deferrals: number of deferrals of this try so far.
        """
        ended: SyncedRoute | RegistrySyncError
        is_first = _is_first(context, deferrals)
        try:
            ended = self._sync(route, scope if is_first else scope_of_retry(context, scope), task_label(context))
        except RegistrySyncError as raised:
            ended = raised
        if isinstance(ended, RegistrySyncError):
            report = RouteReport.of_error(route, ended, dry_run=scope.dry_run, traffic=self._traffic)
            self._leave(context, route, Try(seen=ended, is_first=is_first, is_last=False), report)
            defer_or_raise(self, ended, deferrals)
        error = error_of_report(ended.report)
        done = Try(seen=ended.view, is_first=is_first, is_last=error is None)
        self._leave(context, route, done, ended.report)
        note_lacking(context, ended.report)
        if error is not None:
            defer_or_raise(self, error, deferrals)
        return ended

    def _leave(self, context: Context, route: Route, done: Try, report: RouteReport) -> None:
        """Record the results, and push the report. A dry run records nothing.

        The report is pushed also when the time limit of the task ends the recording.
        """
        row = None
        try:
            if not report.dry_run:
                row = self.record(context, route, done)
        finally:
            push_result(context["ti"], RouteResult(report=report, row=row))

    def record(self, context: Context, route: Route, done: Try) -> RunRow | None:  # noqa: ARG002 - of the mapped task
        """Store the results of a try, and return their row. Without a mirrors file there is no place for them."""
        return None

    def on_kill(self) -> None:
        """End every running copy."""
        if self._session is not None:
            self._session.stop()

    def _sync(self, route: Route, scope: RouteScope, task: str) -> SyncedRoute:
        from registry_sync.sync.route import sync_route
        from registry_sync.sync.session import open_session

        with open_session(route, HookConnections(task)) as session:
            self._session = session
            try:
                return sync_route(session, scope)
            finally:
                self._traffic = session.traffic


def _is_first(context: Context, deferrals: int) -> bool:
    """Return whether no try or deferral of the task came before this one."""
    return context["ti"].try_number == 1 and not deferrals
