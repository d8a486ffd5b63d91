"""The mapped task of a mirror's DAG: one repository to one destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from registry_sync.airflow.deferral import defer_or_raise
from registry_sync.airflow.hooks.connections import HookConnections
from registry_sync.airflow.ids import REPORT_KEY
from registry_sync.airflow.masking import masked
from registry_sync.airflow.retries import error_of_report
from registry_sync.airflow.route_pages import pull_route
from registry_sync.airflow.run_context import task_label
from registry_sync.airflow.states.route_state import Try, record_try
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.traffic import NO_TRAFFIC
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope, RouteTask
from registry_sync.sync.view import RouteView

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from registry_sync.sync.route import SyncedRoute
    from registry_sync.sync.session import Session


class MirrorRepositoryOperator(BaseOperator):
    """Sync one repository to one destination.

    Each try observes both registries again and copies only what is still missing.

    :param routes_task: the task that listed the routes.
    :param number: the number of the route, one of those that ``routes_task`` returned.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#d5e8f7"

    def __init__(self, *, routes_task: str, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.routes_task = routes_task
        self.number = number
        self._work: RouteTask | None = None
        self._session: Session | None = None
        self._traffic = NO_TRAFFIC

    def execute(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a deferral
        deferrals: int = 0,
    ) -> None:
        """Sync the route, push its report, record its state, and only then fail, retry or defer.

        :param deferrals: number of deferrals of this try so far.
        """
        work = self.pull_work(context["ti"])
        route = work.route
        error: RegistrySyncError | None
        seen: RouteView | RegistrySyncError
        try:
            synced = self._sync(route, work.scope, task_label(context))
            report, error, seen = synced.report, error_of_report(synced.report), synced.view
        except RegistrySyncError as raised:
            report = RouteReport.of_error(route, raised, dry_run=work.scope.dry_run, traffic=self._traffic)
            error = seen = raised
        context["ti"].xcom_push(REPORT_KEY, masked(report).to_json())
        if not report.dry_run:
            is_first = context["ti"].try_number == 1 and not deferrals
            record_try(context, route, work.name, Try(seen=seen, is_first=is_first, is_last=error is None))
        if error is not None:
            defer_or_raise(self, error, deferrals)

    def pull_work(self, ti: RuntimeTaskInstanceProtocol) -> RouteTask:
        """The route and the scope of the run. The label of the instance reads it too, before the task executes.

        :raises ConfigurationError: when Airflow no longer has it.
        """
        self._work = self._work or pull_route(ti, self.routes_task, self.number)
        return self._work

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
