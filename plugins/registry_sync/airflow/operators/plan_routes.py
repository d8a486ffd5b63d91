"""The first task of a mirror's DAG: checks, and the list of routes that the mapped task is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from registry_sync.airflow.deferral import wait_or_raise
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.hooks.skopeo import SkopeoHook, task_of
from registry_sync.airflow.map_length import check_map_length
from registry_sync.config.model import Mirror, Registry
from registry_sync.errors import ConfigurationError, RegistrySyncError
from registry_sync.routes.discovery import FoundRoute, expand_routes, select_routes
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.run_state import DeletionPlans, PlannedDeletions, Watermark
from registry_sync.sync.scope import RouteScope, RouteTask
from registry_sync.sync.window import Asked, Run, Window, window_of_route, window_of_run
from registry_sync.tags.rules import only_tags

if TYPE_CHECKING:
    from airflow.sdk import Context

UNMODIFIED_KEY = "unmodified"
"""The XCom key of the routes (their keys) that a run leaves out, since nothing was pushed to their repository."""


class PlanRoutesOperator(BaseOperator):
    """List the routes of a mirror to one destination, after checking that they can be worked on.

    One clear failure here stands for what would be one failure per repository: skopeo missing or too old, a registry
    that does not answer, a password that it does not accept.

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
        event: Mapping[str, Any] | None = None,  # noqa: ARG002 - of the trigger, after a wait
        waits: int = 0,
    ) -> list[dict[str, Any]]:
        """Arguments of one :class:`MirrorRepositoryOperator` per route, in a stable order.

        :param waits: how often this try has waited for a registry already.
        """
        try:
            return self._plan(context)
        except RegistrySyncError as error:
            wait_or_raise(self, error, waits)

    def _plan(self, context: Context) -> list[dict[str, Any]]:
        params = read_parameters(context)
        run = read_run(context)
        window = window_of_run(run, read_asked(params), self.mirror.full_check)
        if params["destinations"] and self.destination.name not in params["destinations"]:
            self.log.info("%s is not among the destinations of this run; nothing to do", self.destination.name)
            return []
        tags = only_tags(params["tags"] or [])
        found, window = self._expand(window, task_of(context))
        chosen = select_routes(found, params["repositories"] or [])
        in_step = read_watermark(context, self.destination.name) if run.run_type == "scheduled" else None
        due = read_due_deletions(context, run, self.destination.name)
        work, unmodified = split_unmodified(chosen, window, run.run_type, in_step, self.mirror.full_check)
        if unmodified:
            context["ti"].xcom_push(UNMODIFIED_KEY, [route_key(each) for each in unmodified])
        check_map_length(len(work), f"mirror {self.mirror.name!r} has {len(work)} routes", "split the mirror")
        self._tell(window, work, unmodified)
        scope = RouteScope(tags=tags, dry_run=params["dry_run"])
        tasks = (
            RouteTask(route=route, scope=replace(scope, window=own, due_deletions=due.get(route_key(route))))
            for route, own in work
        )
        return [task.to_json() for task in tasks]

    def _expand(self, window: Window, task: str) -> tuple[list[FoundRoute], Window]:
        """Check both registries and skopeo; the routes that the mirror's rules give, and the window that can be had."""
        from registry_sync.skopeo.policy import check_policies
        from registry_sync.sync.session import policy_files_of
        from registry_sync.sync.source import repository_lister

        all_settings = [each.settings for each in self.mirror.rules]
        for options in dict.fromkeys(each.skopeo for each in all_settings):
            skopeo = SkopeoHook(options, task=task).get_conn()
            self.log.info("%s, version %s", skopeo.label, skopeo.version)
            check_policies((policy_files_of(each) for each in all_settings if each.skopeo == options), skopeo)
        with closing(RegistryHook(self.destination).get_conn()) as destination:
            destination.ping()
        with closing(RegistryHook(self.source).get_conn()) as source:
            source.ping()
            if not window.is_everything and not source.lists_push_times:
                window = Window(why=f"{window.why}; {self.source.host} tells no push times")
            found = expand_routes(self.mirror, self.source, self.destination, repository_lister(source))
            return found, window

    def _tell(self, window: Window, work: Sequence[tuple[Route, Window]], unmodified: Sequence[Route]) -> None:
        self.log.info("This run looks at %s", window)
        if unmodified:
            self.log.info("%d repositories have had no push in that time and are not read", len(unmodified))
        lines = [f"{route.label}: {own}" if own != window else route.label for route, own in work]
        self.log.info("%d routes:\n%s", len(work), "\n".join(lines))


def split_unmodified(
    found: Iterable[FoundRoute], window: Window, run_type: str, in_step: Watermark | None, full_check: str | None
) -> tuple[list[tuple[Route, Window]], list[Route]]:
    """The routes to work on, each with its window; and those to whose repository nothing was pushed in it."""
    work: list[tuple[Route, Window]] = []
    unmodified: list[Route] = []
    for each in found:
        own = window_of_route(window, run_type, each.route, in_step, full_check)
        changed_at = each.route.settings.tags.enters_at(each.modified_at)
        if changed_at and own.since and changed_at < own.since:
            unmodified.append(each.route)
        else:
            work.append((each.route, own))
    return work, unmodified


def read_run(context: Context) -> Run:
    """The run's type and data interval; a manual run may have none."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return Run(run_type=context["dag_run"].run_type.value, start=_utc(start), end=_utc(end))


def read_asked(params: Mapping[str, Any]) -> Asked:
    """The window that the run's parameters ask for."""
    start, end = params["window_from"], params["window_to"]
    return Asked(
        window=params["window"],
        start=_utc(datetime.fromisoformat(start)) if start else None,
        end=_utc(datetime.fromisoformat(end)) if end else None,
    )


def _utc(moment: datetime | None) -> datetime | None:
    """Plain aware UTC; a moment without a zone is UTC."""
    if moment is None:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.fromtimestamp(zoned.timestamp(), UTC)


def read_watermark(context: Context, destination: str) -> Watermark | None:
    """What the last scheduled run before this one left in step, from the XCom of its report."""
    document = context["ti"].xcom_pull(
        task_ids="report", key=watermark_key(destination), map_indexes=-1, include_prior_dates=True
    )
    return Watermark.from_json(document) if document else None


def read_due_deletions(context: Context, run: Run, destination: str) -> Mapping[str, PlannedDeletions]:
    """Deletions that earlier scheduled runs planned, by the keys of the routes. Only scheduled runs delete."""
    if run.run_type != "scheduled" or run.end is None:
        return {}
    plans = read_deletion_plans(context, destination)
    return {key: due for key in plans.routes if (due := plans.before(key, run.end))}


def read_deletion_plans(context: Context, destination: str) -> DeletionPlans:
    """What scheduled runs planned to delete, from the XCom of the report of the last one."""
    document = context["ti"].xcom_pull(
        task_ids="report", key=deletion_plans_key(destination), map_indexes=-1, include_prior_dates=True
    )
    return DeletionPlans.from_json(document or {})


def deletion_plans_key(destination: str) -> str:
    """The XCom key under which the report says what is planned to be deleted at a destination."""
    return f"planned_deletions_{destination}"


def watermark_key(destination: str) -> str:
    """The XCom key under which the report says what is in step at a destination."""
    return f"in_step_{destination}"


def read_parameters(context: Context) -> Mapping[str, Any]:
    """The run's parameters.

    Airflow takes any key in a run's conf, and adds it to the parameters; a typo would then quietly mean "everything".

    :raises ConfigurationError: for a key that is no parameter.
    """
    params, declared = context["params"], context["dag"].params
    unknown = sorted(set(params) - set(declared))
    if unknown:
        raise ConfigurationError(f"unknown parameters {unknown}; there are {sorted(declared)}")
    return {name: _stripped(value) for name, value in params.items()}


def _stripped(value: Any) -> Any:
    """The trigger form's text areas give a last empty line."""
    return [text for each in value if (text := each.strip())] if isinstance(value, list) else value
