"""Sync or verify one route: observe, plan, execute, report."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

from registry_sync.sync.execute import Execution, add_verification, execute, preview_plan
from registry_sync.sync.plan import Plan
from registry_sync.sync.plan_route import plan_route
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.observe import observe
from registry_sync.sync.report import RouteReport
from registry_sync.sync.report_text import report_table
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.sizes import total_plan, total_requests
from registry_sync.sync.summarize import log_plan, summarize
from registry_sync.sync.totals import PlanTotals
from registry_sync.sync.view import RouteView
from registry_sync.sync.view_route import view_route

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedRoute:
    """The report of a synced route, and the view that the run had of it. Only the report crosses XCom."""

    report: RouteReport
    view: RouteView


def sync_route(session: Session, scope: RouteScope) -> SyncedRoute:
    """Copy the tags that are missing or changed, and report each. A tag that fails does not stop the others.

    :raises RegistrySyncError: when the route as a whole fails, for example because a registry does not answer.
    """
    started = time.monotonic()
    observation = observe(session, scope)
    plan = plan_route(observation, session.route.settings, has_schedule=session.route.has_schedule)
    log_plan(plan)
    if scope.dry_run:
        execution = add_verification(session, observation, plan, preview_plan(session, plan), repairs=False)
        totals = _preview_totals(session, observation, plan)
    else:
        execution, totals = execute(session, observation, plan), None
    report = replace(_summarize(session, observation, plan, execution, started), totals=totals)
    log.info("\n%s", report_table([report]))
    view = view_route(observation, plan, execution, session.route.settings.tags)
    return SyncedRoute(report=report, view=view)


def _preview_totals(session: Session, observation: Observation, plan: Plan) -> PlanTotals:
    route = session.route
    clients = ((route.source, session.source), (route.destination, session.destination))
    return total_plan(session, observation, plan) + total_requests(clients)


def verify_route(session: Session, scope: RouteScope) -> RouteReport:
    """Verify the content of the tags that are in sync, and repair it. No tag is written or deleted.

    In a dry run nothing is repaired. Tags that a sync would copy are reported so, and not verified.

    :raises ConfigurationError: when a repair needs skopeo, and there is none.
    :raises RegistrySyncError: when the route as a whole fails, for example because a registry does not answer.
    """
    started = time.monotonic()
    observation = observe(session, scope)
    plan = plan_route(observation, session.route.settings, has_schedule=session.route.has_schedule)
    with nullcontext() if scope.dry_run else session.skopeo:
        execution = add_verification(session, observation, plan, preview_plan(session, plan), repairs=not scope.dry_run)
    return _summarize(session, observation, plan, execution, started)


def _summarize(
    session: Session, observation: Observation, plan: Plan, execution: Execution, started: float
) -> RouteReport:
    notes = _registry_notes(session, execution)
    execution = replace(execution, notes=(*execution.notes, *notes))
    seconds = time.monotonic() - started
    return summarize(session.route, observation, plan, execution, seconds=seconds, traffic=session.traffic)


def _registry_notes(session: Session, execution: Execution) -> tuple[str, ...]:
    """Notes that the registries' own APIs give about both repositories."""
    route, is_changed = session.route, any(result.outcome == "copied" for result in execution.results)
    return (
        *session.source.notes(route.source_repository, is_changed=False),
        *session.destination.notes(route.destination_repository, is_changed=is_changed),
    )
