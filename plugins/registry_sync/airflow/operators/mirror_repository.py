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
from registry_sync.errors import RegistrySyncError
from registry_sync.registry.traffic import NO_TRAFFIC
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope, RouteTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.skopeo.copier import Skopeo


class MirrorRepositoryOperator(BaseOperator):
    """Sync one repository to one destination.

    Each try observes both registries again and copies only what is still missing.

    :param route: a :class:`~registry_sync.routes.route.Route` as JSON.
    :param scope: the part of it that this run works on, a :class:`~registry_sync.sync.scope.RouteScope` as JSON. Both
        are the keys of ``RouteTask.to_json``.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#d5e8f7"

    def __init__(self, *, route: Mapping[str, Any], scope: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.route = route
        self.scope = scope
        self._skopeo: Skopeo | None = None
        self._traffic = NO_TRAFFIC

    def execute(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a deferral
        deferrals: int = 0,
    ) -> None:
        """Sync the route, push its report, and only then fail, retry or defer.

        :param deferrals: number of deferrals of this try so far.
        """
        route = Route.from_json(self.route)
        try:
            report = self._sync(RouteTask(route=route, scope=RouteScope.from_json(self.scope)), task_label(context))
            error = error_of_report(report)
        except RegistrySyncError as raised:
            dry_run = bool(self.scope["dry_run"])
            report, error = RouteReport.of_error(route, raised, dry_run=dry_run, traffic=self._traffic), raised
        context["ti"].xcom_push(REPORT_KEY, masked(report).to_json())
        if error is not None:
            defer_or_raise(self, error, deferrals)

    def on_kill(self) -> None:
        """Stop every running skopeo."""
        if self._skopeo is not None:
            self._skopeo.stop()

    def _sync(self, work: RouteTask, task: str) -> RouteReport:
        from registry_sync.sync.route import sync_route
        from registry_sync.sync.session import open_session

        with open_session(work.route, HookConnections(task)) as session:
            self._skopeo = session.skopeo
            try:
                return sync_route(session, work.scope)
            finally:
                self._traffic = session.traffic
