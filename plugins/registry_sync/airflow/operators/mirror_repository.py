"""One repository to one destination: the mapped task of every mirror's DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk._shared.secrets_masker import redact

from registry_sync.airflow.deferral import wait_or_raise
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.hooks.skopeo import SkopeoHook, task_of
from registry_sync.airflow.ids import REPORT_KEY
from registry_sync.airflow.retries import error_of
from registry_sync.errors import RegistrySyncError
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.window import Window

if TYPE_CHECKING:
    from airflow.sdk import Context

    from registry_sync.skopeo.copier import Skopeo


class MirrorRepositoryOperator(BaseOperator):
    """Bring one repository at one destination into step with the source.

    Self-contained and idempotent: each try observes afresh and copies only what is still missing.

    :param route: a :class:`~registry_sync.routes.route.Route` as JSON, from ``Route.to_json``.
    :param tags: of the tags that the route's rules select, work on those that match one of these globs; empty: all.
    :param window: push times to look at, a :class:`~registry_sync.sync.window.Window` as JSON; ``None``: everything.
    :param planned: deletions planned by earlier scheduled runs, a
        :class:`~registry_sync.sync.run_state.Planned` as JSON; ``None``: this run deletes nothing.
    :param is_dry_run: say what would be copied or deleted, and do neither.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#d5e8f7"

    def __init__(
        self,
        *,
        route: Mapping[str, Any],
        tags: Sequence[str] = (),
        window: Mapping[str, Any] | None = None,
        planned: Mapping[str, Any] | None = None,
        is_dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.route = route
        self.tags = tags
        self.window = window
        self.planned = planned
        self.is_dry_run = is_dry_run
        self._skopeo: Skopeo | None = None

    def execute(self, context: Context, event: Mapping[str, Any] | None = None, waits: int = 0) -> None:  # noqa: ARG002
        """Sync the route, push its report, and only then fail, retry or wait.

        :param event: of the trigger, when this is called again after a wait.
        :param waits: how often this try has waited for a registry already.
        """
        route = Route.from_json(self.route)
        try:
            report = self._sync(route, task_of(context))
            error = error_of(report)
        except RegistrySyncError as raised:
            report, error = RouteReport.of_error(route, raised, dry_run=self.is_dry_run), raised
        context["ti"].xcom_push(REPORT_KEY, _masked(report).to_json())
        if error is not None:
            wait_or_raise(self, error, waits)

    def on_kill(self) -> None:
        """End every skopeo that is running."""
        if self._skopeo is not None:
            self._skopeo.stop()

    def _sync(self, route: Route, task: str) -> RouteReport:
        from registry_sync.skopeo.copier import Skopeo
        from registry_sync.sync.route import EVERYTHING, Sides, sync_route
        from registry_sync.sync.run_state import PlannedDeletions
        from registry_sync.sync.session import policy_files_of
        from registry_sync.tags.rules import only_tags

        source, destination = RegistryHook(route.source), RegistryHook(route.destination)
        with ExitStack() as stack:
            sides = Sides(
                source=stack.enter_context(closing(source.get_conn())),
                destination=stack.enter_context(closing(destination.get_conn())),
            )
            self._skopeo = stack.enter_context(
                Skopeo(
                    SkopeoHook(route.settings.skopeo, task=task).get_conn(),
                    source=source.endpoint,
                    destination=destination.endpoint,
                    copy_timeout_seconds=route.settings.copy_timeout_minutes * 60,
                    stall_timeout_seconds=route.settings.stall_timeout_seconds,
                    policy_files=policy_files_of(route.settings),
                    log=self.log.info,
                )
            )
            only = only_tags(self.tags)
            window = Window.from_json(self.window) if self.window else EVERYTHING
            planned = PlannedDeletions.from_json(self.planned) if self.planned else None
            return sync_route(
                *(route, sides, self._skopeo),
                only_tags=only,
                window=window,
                planned=planned,
                dry_run=self.is_dry_run,
            )


def _masked(report: RouteReport) -> RouteReport:
    """The report with secrets masked in its texts, which a registry may have repeated in an answer.

    Airflow does that for logs and not for XCom.
    """
    tags = tuple(replace(each, reason=str(redact(each.reason))) for each in report.tags)
    notes = tuple(str(redact(each)) for each in report.notes)
    return replace(report, tags=tags, notes=notes, error=str(redact(report.error)) if report.error else None)
