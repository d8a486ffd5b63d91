"""The first task of a mirror's DAG: check the registries and skopeo, and list the routes for the mapped task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from registry_sync.airflow.damaged_images import read_damaged
from registry_sync.airflow.deferral import defer_or_raise
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.hooks.skopeo import SkopeoHook
from registry_sync.airflow.ids import UNMODIFIED_KEY
from registry_sync.airflow.map_length import check_map_length
from registry_sync.airflow.run_context import (
    read_due_deletions,
    read_parameters,
    read_run_interval,
    read_watermark,
    read_window_request,
    task_label,
)
from registry_sync.config.model import Mirror, Registry
from registry_sync.errors import RegistrySyncError
from registry_sync.routes.discovery import FoundRoute, expand_routes, select_routes
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.damaged_images import DamagedImage
from registry_sync.sync.deep_check import (
    DeepCheck,
    DeepCheckRequest,
    Rotation,
    deep_check_of_route,
    rotation_of_run,
)
from registry_sync.sync.run_state import Watermark
from registry_sync.sync.scope import RouteScope, RouteTask
from registry_sync.sync.window import RunInterval, Window, window_of_route, window_of_run
from registry_sync.tags.rules import only_tags

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListRoutesOperator(BaseOperator):
    """List the routes of a mirror to one destination, after checking skopeo and both registries.

    A missing skopeo, a registry that does not respond or a wrong password then fails this task once, instead of one
    task per repository.

    :param mirror: the entry of the mirrors file.
    :param source: the mirror's source.
    :param destination: one of its destinations.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, mirror: Mirror, source: Registry, destination: Registry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mirror = mirror
        self.source = source
        self.destination = destination

    def execute(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a deferral
        deferrals: int = 0,
    ) -> list[dict[str, Any]]:
        """Return the arguments of one :class:`MirrorRepositoryOperator` per route, in a stable order.

        :param deferrals: number of deferrals of this try so far.
        """
        try:
            return self._list(context)
        except RegistrySyncError as error:
            defer_or_raise(self, error, deferrals)

    def _list(self, context: Context) -> list[dict[str, Any]]:
        params, run = read_parameters(context), read_run_interval(context)
        window = window_of_run(run, read_window_request(params), self.mirror.full_check)
        if params["destinations"] and self.destination.name not in params["destinations"]:
            self.log.info("Destination %s is not selected in this run; nothing to do", self.destination.name)
            return []
        scope = RouteScope(tags=only_tags(params["tags"] or []), dry_run=params["dry_run"])
        self._check_skopeo(task_label(context))
        found, window = self._find_routes(window)
        selected = select_routes(found, params["repositories"] or [])
        watermark = read_watermark(context, self.destination.name) if run.run_type == "scheduled" else None
        rotation = rotation_of_run(run, self.mirror.deep_check, watermark.until if watermark else None)
        work, unmodified = split_unmodified(selected, window, run.run_type, watermark, self.mirror.full_check)
        if rotation:
            reason = f"deep check, {self.mirror.deep_check.schedule}"
            work, unmodified = widen_to_everything(work, unmodified, Window(reason=reason)), []
        if unmodified:
            context["ti"].xcom_push(UNMODIFIED_KEY, [route_key(route) for route in unmodified])
        check_map_length(len(work), f"mirror {self.mirror.name!r} has {len(work)} routes", "split the mirror")
        self._log_work(window, work, unmodified)
        deep_checks = self._deep_checks(context, rotation, work)
        return self._rows(context, run, scope, work, deep_checks)

    def _rows(
        self,
        context: Context,
        run: RunInterval,
        scope: RouteScope,
        work: Sequence[tuple[Route, Window]],
        deep_checks: Sequence[DeepCheck | None],
    ) -> list[dict[str, Any]]:
        """The arguments of the mapped tasks, with the deletions that are due in this run."""
        due = read_due_deletions(context, run, self.destination.name)
        scopes = (
            (route, replace(scope, window=own, due_deletions=due.get(route_key(route)), deep_check=deep_check))
            for (route, own), deep_check in zip(work, deep_checks, strict=True)
        )
        return [RouteTask(route=route, scope=own).to_json() for route, own in scopes]

    def _deep_checks(
        self, context: Context, rotation: Rotation | None, work: Sequence[tuple[Route, Window]]
    ) -> list[DeepCheck | None]:
        """The deep check of each route: all images if the run's parameters ask for that, or the share that is due.

        Images that an earlier run found damaged are also verified by other runs that compare everything.
        """
        params, rules, ti = read_parameters(context), self.mirror.deep_check, context["ti"]
        is_due = params["deep_check"] or rotation is not None
        has_suspects = rules.schedule and any(own.is_everything for _, own in work)
        damaged = read_damaged(ti, ti.dag_id) if is_due or has_suspects else {}
        known: dict[str, list[DamagedImage]] = {}
        for image in damaged.get(self.destination.name, ()):
            known.setdefault(image.repository, []).append(image)
        request = DeepCheckRequest(
            is_requested=params["deep_check"],
            read_bytes=round(params["read_megabytes"] * 1_000_000),
            rotation=rotation,
            schedule=rules.schedule,
        )
        return [deep_check_of_route(request, known.get(str(route.destination_repository), ())) for route, _ in work]

    def _check_skopeo(self, task: str) -> None:
        """Find each skopeo that the mirror's rules use, and check that it can enforce their policies."""
        from registry_sync.skopeo.policy import check_policies
        from registry_sync.sync.session import policy_files_of

        all_settings = [rule.settings for rule in self.mirror.rules]
        for options in dict.fromkeys(settings.skopeo for settings in all_settings):
            skopeo = SkopeoHook(options, task=task).get_conn()
            self.log.info("%s, version %s", skopeo.label, skopeo.version)
            check_policies((policy_files_of(each) for each in all_settings if each.skopeo == options), skopeo)

    def _find_routes(self, window: Window) -> tuple[list[FoundRoute], Window]:
        """Log in to both registries, and list the routes to the destination.

        The window becomes everything when the source does not report push times.
        """
        from registry_sync.sync.source import repository_lister

        with closing(RegistryHook(self.destination).get_conn()) as destination:
            destination.ping()
        with closing(RegistryHook(self.source).get_conn()) as source:
            source.ping()
            if not window.is_everything and not source.lists_push_times:
                window = Window(reason=f"{window.reason}; {self.source.host} does not report push times")
            found = expand_routes(self.mirror, self.source, self.destination, repository_lister(source))
            return found, window

    def _log_work(self, window: Window, work: Sequence[tuple[Route, Window]], unmodified: Sequence[Route]) -> None:
        self.log.info("Window of this run: %s", window)
        if unmodified:
            self.log.info("%d repositories skipped: no push in the window", len(unmodified))
        lines = [f"{route.label}: {own}" if own != window else route.label for route, own in work]
        self.log.info("%d routes:\n%s", len(work), "\n".join(lines))


def widen_to_everything(
    work: Sequence[tuple[Route, Window]], unmodified: Sequence[Route], everything: Window
) -> list[tuple[Route, Window]]:
    """All routes, each with a window of everything: its own if that is one."""
    widened = [(route, own if own.is_everything else everything) for route, own in work]
    return widened + [(route, everything) for route in unmodified]


def split_unmodified(
    found: Iterable[FoundRoute], window: Window, run_type: str, watermark: Watermark | None, full_check: str | None
) -> tuple[list[tuple[Route, Window]], list[Route]]:
    """Split routes into those to work on, each with its window, and those whose repository had no push in it."""
    work: list[tuple[Route, Window]] = []
    unmodified: list[Route] = []
    for candidate in found:
        route = candidate.route
        own = window_of_route(window, run_type, route, watermark, full_check)
        changed_at = route.settings.tags.last_entry(candidate.modified_at)
        if changed_at and own.since and changed_at < own.since:
            unmodified.append(route)
        else:
            work.append((route, own))
    return work, unmodified
