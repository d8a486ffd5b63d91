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
from registry_sync.airflow.run_context import task_label
from registry_sync.airflow.states.route_state import Try, record_try
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.traffic import NO_TRAFFIC
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.view import RouteView

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.sync.route import SyncedRoute
    from registry_sync.sync.session import Session


class MirrorRepositoryOperator(BaseOperator):
    """Sync one repository to one destination.

    Each try observes both registries again and copies only what is still missing.

    :param route: a :class:`~registry_sync.routes.route.Route` as JSON.
    :param scope: the part of it that this run works on, a :class:`~registry_sync.sync.scope.RouteScope` as JSON.
    :param route_name: the name of the route in the state. All three are the keys of ``RouteTask.to_json``.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#d5e8f7"

    def __init__(self, *, route: Mapping[str, Any], scope: Mapping[str, Any], route_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.route = route
        self.scope = scope
        self.route_name = route_name
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
        route = Route.from_json(self.route)
        error: RegistrySyncError | None
        seen: RouteView | RegistrySyncError
        try:
            synced = self._sync(route, RouteScope.from_json(self.scope), task_label(context))
            report, error, seen = synced.report, error_of_report(synced.report), synced.view
        except RegistrySyncError as raised:
            dry_run = bool(self.scope["dry_run"])
            report = RouteReport.of_error(route, raised, dry_run=dry_run, traffic=self._traffic)
            error = seen = raised
        context["ti"].xcom_push(REPORT_KEY, masked(report).to_json())
        if not report.dry_run:
            is_first = context["ti"].try_number == 1 and not deferrals
            record_try(context, route, self.route_name, Try(seen=seen, is_first=is_first, is_last=error is None))
        if error is not None:
            defer_or_raise(self, error, deferrals)

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
