"""The first task of a mirror's DAG: check the registries and skopeo, and list the routes for the mapped task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.hooks.skopeo import check_skopeos
from registry_sync.airflow.ids import (
    ALL_ROUTES,
    DISABLED_KEY,
    FAILED_KEY,
    FOUND_KEY,
    LISTED_KEY,
    LISTING_ERROR_KEY,
    NOTES_KEY,
    UNMODIFIED_KEY,
)
from registry_sync.airflow.masking import masked, masked_text
from registry_sync.airflow.runs.context import (
    read_accepted,
    read_due_deletions,
    read_last_look,
    read_parameters,
    read_run_interval,
    read_watermark,
    read_window_request,
    task_label,
)
from registry_sync.airflow.runs.damaged_images import read_damaged
from registry_sync.airflow.runs.deferral import defer_or_raise
from registry_sync.airflow.runs.map_length import check_map_length
from registry_sync.airflow.runs.route_pages import push_routes
from registry_sync.config.mirror import Mirror
from registry_sync.config.registry import Registry
from registry_sync.errors import RegistrySyncError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.routes.acceptance import assign_accepted
from registry_sync.routes.disabled import disabled_note, split_disabled, until_text
from registry_sync.routes.discovery import Discovery, FailedRepository, expand_routes, select_routes
from registry_sync.routes.gone import find_gone, gone_failure, gone_note, repositories_to_remember
from registry_sync.routes.route import Route, route_key, settings_at
from registry_sync.state.names import route_names
from registry_sync.state.recording.problems import MAX_REASON_LENGTH
from registry_sync.sync.due_routes import check_accepted_are_compared, split_unmodified, widen_to_everything
from registry_sync.sync.earlier_runs import EarlierRuns
from registry_sync.sync.run_state import LastLook
from registry_sync.sync.scope import RouteScope, RouteTask
from registry_sync.sync.unrouted import unrouted_reports
from registry_sync.sync.verification.damaged_images import DamagedImage
from registry_sync.sync.verification.deep_check import (
    DeepCheck,
    DeepCheckRequest,
    Rotation,
    deep_check_of_route,
    rotation_of_run,
)
from registry_sync.sync.window import RunInterval, Window, compares_names, window_of_run
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
    ) -> list[int]:
        """Push the routes as XComs, in a stable order, and return the number of each, for the mapped task.

        :param deferrals: number of deferrals of this try so far.
        """
        try:
            return push_routes(context["ti"], self._list(context))
        except RegistrySyncError as error:
            reason = {"error_class": error.error_class, "reason": masked_text(str(error))[:MAX_REASON_LENGTH]}
            context["ti"].xcom_push(LISTING_ERROR_KEY, reason)
            defer_or_raise(self, error, deferrals)

    def _list(self, context: Context) -> list[RouteTask]:
        self._notes: list[str] = []
        params, run = read_parameters(context), read_run_interval(context)
        window = window_of_run(run, read_window_request(params), self.mirror.full_check)
        moved = read_accepted(params, run)
        if self._has_no_work(context, params["destinations"]):
            return []
        scope = RouteScope(tags=only_tags(params["tags"] or []), dry_run=params["dry_run"])
        self._check_skopeo(task_label(context))
        found, window = self._find_routes(window)
        names = route_names(candidate.route for candidate in found.routes)
        last_look = read_last_look(context, self.destination.name)
        if params["repositories"]:
            self._push_namespaces(context, found)
        else:
            found = self._compare(context, found, names, last_look, window)
        selected = self._split_disabled(context, select_routes(found, params["repositories"] or []), names)
        accepted = assign_accepted(moved, [entry.route for entry in selected.routes])
        self._push_failures(context, selected.failures)
        watermark = read_watermark(context, self.destination.name) if run.run_type == "scheduled" else None
        rotation = rotation_of_run(run, self.mirror.deep_check, watermark.until if watermark else None)
        work, unmodified = split_unmodified(selected.routes, window, run, watermark, self.mirror.full_check)
        if rotation:
            reason = f"deep check, {self.mirror.deep_check.schedule}"
            work, unmodified = widen_to_everything(work, unmodified, Window(reason=reason)), []
        check_accepted_are_compared(accepted, unmodified)
        if unmodified:
            context["ti"].xcom_push(UNMODIFIED_KEY, [route_key(route) for route in unmodified])
        check_map_length(len(work), f"mirror {self.mirror.name!r} has {len(work)} routes", "split the mirror")
        self._log_work(window, work, unmodified)
        deep_checks = self._deep_checks(context, rotation, work)
        due = read_due_deletions(context, run, self.destination.name)
        earlier = EarlierRuns(last_look=last_look, watermark=watermark, due_deletions=due)
        return self._tasks(run, scope, work, deep_checks, earlier, names, accepted)

    def _has_no_work(self, context: Context, destinations: Collection[str] | None) -> bool:
        """Return whether this run leaves out the destination, or the whole mirror is disabled.

        :param destinations: names from the run's parameters; none means all.
        """
        if destinations and self.destination.name not in destinations:
            self.log.info("Destination %s is not selected in this run; nothing to do", self.destination.name)
            return True
        if not self.mirror.is_disabled(datetime.now(UTC)):
            return False
        until = self.mirror.disabled_until
        self._note(context, f"the mirror is {until_text(until)}; nothing is copied or deleted")
        context["ti"].xcom_push(DISABLED_KEY, {ALL_ROUTES: until and until.isoformat()})
        return True

    def _compare(
        self, context: Context, found: Discovery, names: Mapping[str, str], last_look: LastLook, window: Window
    ) -> Discovery:
        """Compare the repositories with those that earlier runs found, and push the new state for the task ``report``.

        A repository of ``include_private`` that is gone is remembered, and fails each run that compares everything.
        """
        earlier = last_look.names_at(self.source.host)
        gone = list(find_gone(self.mirror, earlier, found))
        private = [repository for repository in gone if repository.rule.include_private]
        failures = [gone_failure(repository, self.source) for repository in private] if window.is_everything else []
        noted = [repository for repository in gone if not (repository in private and failures)]
        if noted:
            self._note(context, gone_note(noted))
        kept = {repository.name for repository in private}
        remembered = repositories_to_remember(found, earlier) | kept
        context["ti"].xcom_push(FOUND_KEY, sorted(str(Repository(self.source.host, name)) for name in remembered))
        now = datetime.now(UTC)
        if all(failure.is_disabled(now) for failure in found.failures if failure.name in found.unlisted):
            unlisted = tuple(f"{namespace}/" for namespace in found.unlisted)
            kept |= {failure.name for failure in found.failures}
            kept |= {name for name in earlier if name.startswith(unlisted)}
            context["ti"].xcom_push(LISTED_KEY, {"names": sorted(names.values()), "kept_sources": sorted(kept)})
        else:
            self._push_namespaces(context, found)
        return replace(found, failures=(*found.failures, *failures))

    def _push_namespaces(self, context: Context, found: Discovery) -> None:
        """Push the namespaces that were listed, for a run that does not know all routes: their failures end."""
        if found.listed:
            context["ti"].xcom_push(LISTED_KEY, {"namespaces": sorted(found.listed)})

    def _split_disabled(self, context: Context, found: Discovery, names: Mapping[str, str]) -> Discovery:
        """The routes that are not disabled. Pushes the others for the task ``report``, by their names in the state."""
        enabled, disabled = split_disabled(found, datetime.now(UTC))
        if disabled:
            self._note(context, disabled_note(disabled))
        until = {names[route_key(route)]: route.settings.until for route in disabled}
        if until:
            document = {name: time and time.isoformat() for name, time in until.items()}
            context["ti"].xcom_push(DISABLED_KEY, document)
        return enabled

    def _note(self, context: Context, note: str) -> None:
        """Log a remark, and push it with earlier ones for the task ``report``."""
        self.log.warning("%s", note)
        self._notes.append(note)
        context["ti"].xcom_push(NOTES_KEY, self._notes)

    def _push_failures(self, context: Context, failures: Sequence[FailedRepository]) -> None:
        """Log the repositories that get no mapped task, and push their reports for the task ``report``."""
        for failure in failures:
            self.log.error("%s is not mirrored: %s", failure.source, failure.error)
        reports = unrouted_reports(self.mirror.name, self.destination.host, failures)
        if reports:
            context["ti"].xcom_push(FAILED_KEY, [masked(report).to_json() for report in reports])

    def _tasks(
        self,
        run: RunInterval,
        scope: RouteScope,
        work: Sequence[tuple[Route, Window]],
        deep_checks: Sequence[DeepCheck | None],
        earlier: EarlierRuns,
        names: Mapping[str, str],
        accepted: Mapping[str, Mapping[str, Digest]],
    ) -> list[RouteTask]:
        """The work of the mapped tasks: each route with its name and the XCom state of earlier runs."""
        tasks = []
        for (route, window), deep_check in zip(work, deep_checks, strict=True):
            own = replace(
                scope,
                window=window,
                deep_check=deep_check,
                compares_names=compares_names(run, window, route, earlier.watermark, self.mirror.full_check),
                accepted=accepted.get(route_key(route), {}),
            )
            tasks.append(RouteTask(route=route, scope=earlier.add_to(own, route), name=names[route_key(route)]))
        return tasks

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
        """Find each skopeo that the mirror's rules need here, and check that it can enforce their policies."""
        for skopeo in check_skopeos([settings_at(rule, self.destination) for rule in self.mirror.rules], task):
            self.log.info("%s, version %s", skopeo.label, skopeo.version)

    def _find_routes(self, window: Window) -> tuple[Discovery, Window]:
        """Log in to both registries, and list the routes to the destination.

        The window becomes everything when the source does not report push times.
        """
        from registry_sync.sync.reading.source import repository_lister

        with closing(RegistryHook(self.destination).get_conn()) as destination:
            destination.ping()
        with closing(RegistryHook(self.source).get_conn()) as source:
            source.ping()
            if not window.is_everything and not source.lists_push_times:
                window = Window(reason=f"{window.reason}; {self.source.host} does not report push times")
            lister = repository_lister(source)
            found = expand_routes(self.mirror, self.source, self.destination, lister, datetime.now(UTC))
            return found, window

    def _log_work(self, window: Window, work: Sequence[tuple[Route, Window]], unmodified: Sequence[Route]) -> None:
        self.log.info("Window of this run: %s", window)
        if unmodified:
            self.log.info("%d repositories skipped: no push in the window", len(unmodified))
        lines = [f"{route.label}: {own}" if own != window else route.label for route, own in work]
        self.log.info("%d routes:\n%s", len(work), "\n".join(lines))
