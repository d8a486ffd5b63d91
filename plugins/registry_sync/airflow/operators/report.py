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
            rows = ti.xcom_pull(task_ids=plan_task(each)) or []
            planned = [Route.from_json(row["route"]) for row in rows]
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
    routes: Sequence[Route], reports: Sequence[RouteReport], task_id: str, states: Mapping[str, str]
) -> Collection[str]:
    """Keys of the routes whose task succeeded with a report, so not by a state that somebody set by hand.

    :param routes: the planned routes, by map index.
    """
    succeeded = {report.route_key for report in reports if not report.is_failed and not report.dry_run}
    keys = enumerate(map(route_key, routes))
    return [key for index, key in keys if states.get(f"{task_id}_{index}") == "success" and key in succeeded]


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
    context: Context, destination: str, routes: Sequence[Route] | None, reports: Sequence[RouteReport]
) -> None:
    """Leave the planned deletions to the next scheduled runs. Nothing is pushed without pruning.

    :param routes: the planned routes; ``None`` when it is not known which routes there are.
    """
    run, ti = read_run(context), context["ti"]
    if run.run_type != "scheduled" or run.end is None:
        return
    before = after = read_deletion_plans(context, destination)
    if routes is not None:
        keys = {route_key(route) for route in routes if route.settings.deletes_tags}
        planned = {
            report.route_key: report.planned_deletions
            for report in reports
            if report.planned_deletions and report.route_key in keys
        }
        unmodified = ti.xcom_pull(task_ids=plan_task(destination), key=UNMODIFIED_KEY) or []
        after = before.after(planned, [*keys, *unmodified], run.end)
    if before.routes or after.routes:
        ti.xcom_push(deletion_plans_key(destination), after.to_json())


def match_reports(
    routes: Sequence[Route],
    pushed: Sequence[Mapping[str, Any]],
    task_id: str,
    states: Mapping[str, str],
) -> tuple[list[RouteReport], list[str]]:
    """The reports of the planned routes, and the routes whose task failed without one (killed, for example).

    :param routes: the planned routes, by map index.
    :param pushed: reports as JSON, in any order.
    :param states: of mapped tasks, as ``{task_id}_{map_index}``.
    """
    reports = {report.route_key: report for report in map(RouteReport.from_json, filter(None, pushed))}
    found, lost = [], []
    for index, route in enumerate(routes):
        report, state = reports.get(route_key(route)), states.get(f"{task_id}_{index}")
        if report is not None:
            found.append(report)
        if state not in _FINE and (report is None or not report.is_failed):
            lost.append(f"{route.label} ({state})")
    return found, lost
