"""The last task of a mirror's DAG: one table, and the run's true outcome."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from registry_sync.airflow.ids import REPORT_KEY, copy_task, plan_task
from registry_sync.airflow.operators.plan_routes import (
    UNMODIFIED_KEY,
    deletion_plans_key,
    read_deletion_plans,
    read_run,
    read_watermark,
    watermark_key,
)
from registry_sync.routes.route import Route, route_key
from registry_sync.sync.report import RouteReport, RunReport, report_table, summary
from registry_sync.sync.run_state import advance_watermark

if TYPE_CHECKING:
    from airflow.sdk import Context

_FINE = frozenset({"success", "skipped"})


class ReportOperator(BaseOperator):
    """Print what all routes did; fail when one of them failed, since a DAG run's state is that of its last task.

    :param mirror: name of the mirror.
    :param destinations: names of its destinations; :func:`plan_task` and :func:`copy_task` name their tasks.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(self, *, mirror: str, destinations: Sequence[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.mirror = mirror
        self.destinations = destinations

    def execute(self, context: Context) -> dict[str, Any]:
        """The run's totals."""
        run = self._collect(context)
        if run.routes:
            self.log.info("\n%s", report_table(run.routes))
        for name in run.missing:
            self.log.error("%s ended without a report; its own log says why", name)
        if run.is_failed:
            raise AirflowFailException(summary(run))
        self.log.info("%s", summary(run))
        return {"summary": summary(run)}

    def _collect(self, context: Context) -> RunReport:
        ti = context["ti"]
        plans = _states(context, [plan_task(each) for each in self.destinations])
        routes: list[RouteReport] = []
        missing: list[str] = []
        for each in self.destinations:
            if plans.get(plan_task(each)) not in _FINE:
                missing.append(f"{plan_task(each)} ({plans.get(plan_task(each))})")
                push_watermark(context, each, None)
                push_deletion_plans(context, each, None, [])
                continue
            states = _states(context, [copy_task(each)])
            planned = ti.xcom_pull(task_ids=plan_task(each)) or []
            pushed = ti.xcom_pull(task_ids=[copy_task(each)], key=REPORT_KEY) or []
            found, lost = match_reports(planned, pushed, copy_task(each), states)
            push_watermark(context, each, finished_routes(planned, found, copy_task(each), states))
            push_deletion_plans(context, each, planned, found)
            routes += found
            missing += lost
        return RunReport(mirror=self.mirror, routes=tuple(routes), missing=tuple(missing))


def _states(context: Context, task_ids: list[str]) -> Mapping[str, str]:
    """States by task id, with ``_INDEX`` behind that of a mapped task.

    Mapped tasks are asked for one by one: ``to_acr`` with index 1 would be taken for the task ``to_acr_1``.
    """
    ti = context["ti"]
    found = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id])
    states: Mapping[str, str] = found.get(ti.run_id, {})
    return states


def finished_routes(
    planned: Sequence[Mapping[str, Any]], reports: Sequence[RouteReport], task_id: str, states: Mapping[str, str]
) -> Collection[str]:
    """The keys of the planned routes whose task succeeded, and not because somebody marked it so."""
    fine = {(each.source, each.destination) for each in reports if not each.is_failed and not each.dry_run}
    routes = (Route.from_json(row["route"]) for row in planned)
    return [
        route_key(each)
        for index, each in enumerate(routes)
        if states.get(f"{task_id}_{index}") == "success"
        and (str(each.source_repository), str(each.destination_repository)) in fine
    ]


def push_watermark(context: Context, destination: str, finished: Collection[str] | None) -> None:
    """Say for the scheduled runs to come what is in step: they look no further back than that.

    :param finished: keys of the routes that succeeded; ``None`` when this run learned nothing, so that what was known
        before still holds.
    """
    run, ti = read_run(context), context["ti"]
    if run.run_type != "scheduled" or run.end is None:
        return
    previous = read_watermark(context, destination)
    if finished is not None:
        unmodified = ti.xcom_pull(task_ids=plan_task(destination), key=UNMODIFIED_KEY) or []
        previous = advance_watermark(previous, run.end, [*finished, *unmodified])
    if previous is not None:
        ti.xcom_push(watermark_key(destination), previous.to_json())


def push_deletion_plans(
    context: Context, destination: str, planned: Sequence[Mapping[str, Any]] | None, reports: Sequence[RouteReport]
) -> None:
    """Say for the scheduled runs to come what this one planned to delete. Without pruning nothing is said.

    :param planned: arguments of the mapped task; ``None`` when it is not known which routes there are.
    """
    run, ti = read_run(context), context["ti"]
    if run.run_type != "scheduled" or run.end is None:
        return
    before = after = read_deletion_plans(context, destination)
    if planned is not None:
        routes = [Route.from_json(row["route"]) for row in planned]
        keys = {_ends(each): route_key(each) for each in routes if each.settings.deletes_tags}
        found = {keys[each.ends]: each.pruning for each in reports if each.pruning and each.ends in keys}
        unmodified = ti.xcom_pull(task_ids=plan_task(destination), key=UNMODIFIED_KEY) or []
        after = before.after(found, [*keys.values(), *unmodified], run.end)
    if before.routes or after.routes:
        ti.xcom_push(deletion_plans_key(destination), after.to_json())


def _ends(route: Route) -> tuple[str, str]:
    return str(route.source_repository), str(route.destination_repository)


def match_reports(
    planned: Sequence[Mapping[str, Any]],
    pushed: Sequence[Mapping[str, Any]],
    task_id: str,
    states: Mapping[str, str],
) -> tuple[list[RouteReport], list[str]]:
    """The reports of the planned routes, and the routes whose task failed without one (killed, for example).

    :param planned: arguments of the mapped task, by map index.
    :param pushed: reports as JSON, in any order.
    :param states: of mapped tasks, as ``{task_id}_{map_index}``.
    """
    reports = {each.ends: each for each in map(RouteReport.from_json, filter(None, pushed))}
    found, lost = [], []
    for index, row in enumerate(planned):
        route, state = Route.from_json(row["route"]), states.get(f"{task_id}_{index}")
        report = reports.get(_ends(route))
        if report is not None:
            found.append(report)
        if state not in _FINE and (report is None or not report.is_failed):
            lost.append(f"{route.label} ({state})")
    return found, lost
