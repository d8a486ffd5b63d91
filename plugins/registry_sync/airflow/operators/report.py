"""The last task of a mirror's DAG: print one table of all routes, and set the outcome of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from registry_sync.airflow.ids import (
    deletion_plans_key,
    last_look_key,
    watermark_key,
)
from registry_sync.airflow.runs.context import (
    leaves_last_look,
    read_deletion_plans,
    read_found,
    read_last_look,
    read_parameters,
    read_run_interval,
    read_unmodified,
    read_watermark,
    scheduled_end,
)
from registry_sync.airflow.runs.damaged_images import push_damaged
from registry_sync.airflow.runs.outcomes import DestinationOutcome, read_outcomes
from registry_sync.airflow.states.destination_state import DestinationOfMirror, EndedRun, record_destinations
from registry_sync.config.notify import Notifier
from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.routes.route import route_key
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifacts
from registry_sync.sync.report import RouteReport, RunReport
from registry_sync.sync.report_text import failure_message, report_table, run_summary
from registry_sync.sync.run_state import PlannedDeletions, Watermark, advance_watermark

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReportOperator(BaseOperator):
    """Print the results of all routes, and fail when a route failed: Airflow takes a run's state from its last task.

    :param mirror: name of the mirror.
    :param destinations: its destinations; :func:`routes_task` and :func:`copy_task` name their tasks.
    :param has_deep_checks: the mirror has a schedule for deep checks.
    :param note: a remark about the whole run, if not empty.
    :param notify: notifiers that get messages about failures, recoveries and broken promises.
    :param team: owner of the mirror, whom messages name.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e8e8e8"

    def __init__(
        self,
        *,
        mirror: str,
        destinations: Sequence[DestinationOfMirror],
        has_deep_checks: bool = False,
        note: str = "",
        notify: Sequence[Notifier] = (),
        team: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)
        self.mirror = mirror
        self.destinations = destinations
        self.has_deep_checks = has_deep_checks
        self.note = note
        self.notify = notify
        self.team = team

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the summary of the run. :raises AirflowFailException: when a route failed, or no tag was requested."""
        outcomes = read_outcomes(context, [place.destination.name for place in self.destinations])
        for outcome in outcomes:
            push_watermark(context, outcome)
            push_deletion_plans(context, outcome)
            push_last_look(context, outcome)
        reports = {outcome.destination: outcome.reports for outcome in outcomes}
        push_damaged(context, reports, has_deep_checks=self.has_deep_checks)
        run = RunReport(
            mirror=self.mirror,
            routes=tuple(report for outcome in outcomes for report in outcome.reports),
            missing=tuple(line for outcome in outcomes for line in outcome.missing),
            notes=(
                *filter(None, [self.note]),
                *(f"{outcome.destination}: {note}" for outcome in outcomes for note in outcome.notes),
            ),
        )
        self._log(run)
        self._send_counters(outcomes)
        self._record(context, outcomes, run_summary(run))
        self._send_gauges(outcomes)
        self._send_messages(context)
        if run.is_failed:
            raise AirflowFailException(failure_message(run))
        if unmatched := unmatched_tags(context, run):
            raise AirflowFailException(unmatched)
        self.log.info("%s", run_summary(run))
        return {"summary": run_summary(run), **({"note": self.note} if self.note else {})}

    def _send_counters(self, outcomes: Sequence[DestinationOutcome]) -> None:
        from registry_sync.airflow.metrics import send_metrics
        from registry_sync.state.metrics import run_metrics

        for outcome in outcomes:
            send_metrics(run_metrics(self.mirror, outcome.destination, outcome.reports))

    def _record(self, context: Context, outcomes: Sequence[DestinationOutcome], summary: str) -> None:
        """Write the results of the run to the state of each destination."""
        ended = [
            EndedRun(
                place=place,
                listing_state=outcome.listing_state,
                was_listed=outcome.routes is not None,
                worked_on=outcome.names,
                rows=outcome.rows,
                unrouted=outcome.unrouted,
                is_failed=outcome.is_failed,
                summary=summary,
            )
            for place, outcome in zip(self.destinations, outcomes, strict=True)
        ]
        record_destinations(context, ended)

    def _send_gauges(self, outcomes: Sequence[DestinationOutcome]) -> None:
        """Send the stored state of the destinations as metrics, after this run has stored its results."""
        from registry_sync.airflow.metrics import has_backend, send_metrics
        from registry_sync.airflow.states.state_store import losing, open_store
        from registry_sync.state.messages.known_destination import fetch_stored
        from registry_sync.state.metrics import destination_metrics

        for name in [outcome.destination for outcome in outcomes if has_backend()]:
            with losing(f"No gauges are sent for {name}"):
                stored = fetch_stored(open_store(self.mirror, name), self.mirror, name)
                send_metrics(destination_metrics(stored, datetime.now(UTC)))

    def _send_messages(self, context: Context) -> None:
        """Send the messages that are due. Dry runs have changed nothing that is stored."""
        from registry_sync.airflow.messages.notifications import send_run_messages

        names = [place.destination.name for place in self.destinations]
        if not context["params"].get("dry_run"):
            send_run_messages(context, self.mirror, names, self.notify, self.team)

    def _log(self, run: RunReport) -> None:
        if run.routes:
            self.log.info("\n%s", report_table(run.routes))
        for note in run.notes:
            self.log.warning("%s", note)
        for line in run.missing:
            self.log.error("%s", line)


def unmatched_tags(context: Context, run: RunReport) -> str:
    """The failure of a run by hand whose parameter ``tags`` matches no tag of any route; empty when it matches one.

    Artifacts are no tags of their own, so that nothing is said about patterns that name them.
    """
    patterns = read_parameters(context)["tags"] or []
    requested = [route.requested for route in run.routes]
    is_by_hand = read_run_interval(context).run_type == "manual"
    if not (is_by_hand and patterns and requested) or any(count != 0 for count in requested):
        return ""
    if any(is_artifact_tag(pattern) for pattern in patterns):
        return ""
    return (
        f"{run.mirror}: the parameter tags, {', '.join(patterns)}, matches no tag that the rules select, in any of "
        f"{len(requested)} routes; correct it (names, globs such as v1.2* or /regular expressions/), or see the logs "
        "of the routes for the tags that the rules leave out"
    )


def push_watermark(context: Context, outcome: DestinationOutcome) -> None:
    """Push the watermark that the next scheduled runs start from. The previous one stays when the listing failed."""
    end = scheduled_end(read_run_interval(context))
    if end is None:
        return
    watermark = read_watermark(context, outcome.destination)
    if outcome.routes is not None:
        finished = outcome.finished.union(read_unmodified(context, outcome.destination))
        lacking = _lacking(outcome, watermark)
        stale = _stale_tags(outcome, watermark)
        watermark = advance_watermark(watermark, end, finished, _unchecked(outcome, lacking), lacking, stale)
    if watermark is not None:
        context["ti"].xcom_push(watermark_key(outcome.destination), watermark.to_json())


def _lacking(outcome: DestinationOutcome, watermark: Watermark | None) -> Mapping[str, LackingArtifacts]:
    """The attached artifacts that the run's routes lack. A route without a look keeps those of earlier runs."""
    earlier = watermark.lacking if watermark else {}
    kept = {key: earlier.get(key, NONE_LACKING) for key in map(route_key, outcome.routes or ())}
    return kept | {
        report.route_key: report.lacking for report in outcome.reports if not (report.error or report.dry_run)
    }


def _stale_tags(outcome: DestinationOutcome, watermark: Watermark | None) -> Mapping[str, tuple[str, ...]]:
    """The tags that listings have wrong. A route without a look keeps those of earlier runs."""
    earlier = watermark.stale_tags if watermark else {}
    kept = {key: earlier.get(key, ()) for key in map(route_key, outcome.routes or ())}
    return kept | {
        report.route_key: report.stale_tags for report in outcome.reports if not (report.error or report.dry_run)
    }


def _unchecked(outcome: DestinationOutcome, lacking: Mapping[str, LackingArtifacts]) -> Collection[str]:
    """Keys of the run's routes that need a full check: artifacts failed that are not stored, or were not all tried."""
    looked = {report.route_key for report in outcome.reports if not (report.error or report.retry_at)}
    unstored = {key for key, artifacts in lacking.items() if artifacts.needs_full_check}
    return unstored | (outcome.full_checks - looked)


def push_deletion_plans(context: Context, outcome: DestinationOutcome) -> None:
    """Push the planned deletions for the next scheduled runs. Without pruning, no XCom is pushed."""
    end = scheduled_end(read_run_interval(context))
    if end is None:
        return
    previous = plans = read_deletion_plans(context, outcome.destination)
    if outcome.routes is not None:
        pruned = {route_key(route) for route in outcome.routes if route.settings.deletes_tags}
        unmodified = read_unmodified(context, outcome.destination)
        plans = previous.after(_planned_deletions(outcome.reports, pruned), [*pruned, *unmodified], end)
    if previous.routes or plans.routes:
        context["ti"].xcom_push(deletion_plans_key(outcome.destination), plans.to_json())


def push_last_look(context: Context, outcome: DestinationOutcome) -> None:
    """Push the repositories that this run found, with the numbers of tags that complete looks selected.

    A run of some repositories, and a dry run, leave the state as it is.
    """
    found = read_found(context, outcome.destination)
    if found is None or not leaves_last_look(context):
        return
    names = {route_key(route): str(route.source_repository) for route in outcome.routes or ()}
    selected: dict[str, int] = {}
    for report in outcome.reports:
        if report.selected is not None and (name := names.get(report.route_key)):  # several rules may read one
            selected[name] = max(report.selected, selected.get(name, 0))
    state = read_last_look(context, outcome.destination).after(found, selected)
    context["ti"].xcom_push(last_look_key(outcome.destination), state.to_json())


def _planned_deletions(reports: Sequence[RouteReport], pruned: Collection[str]) -> Mapping[str, PlannedDeletions]:
    """Deletions that this run planned, for the routes that are pruned."""
    return {
        report.route_key: report.planned_deletions
        for report in reports
        if report.planned_deletions and report.route_key in pruned
    }
