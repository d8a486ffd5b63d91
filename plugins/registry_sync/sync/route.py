"""Sync one route: observe, plan, execute, report."""

from __future__ import annotations

import logging
import time

from registry_sync.sync.execute import execute, preview_plan
from registry_sync.sync.observe import observe
from registry_sync.sync.plan_route import plan_route
from registry_sync.sync.report import RouteReport, report_table
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.summarize import log_plan, summarize

log = logging.getLogger(__name__)


def sync_route(session: Session, scope: RouteScope) -> RouteReport:
    """Copy the tags that are missing or changed, and report each. A tag that fails does not stop the others.

    :raises RegistrySyncError: when the route as a whole fails, for example because a registry does not answer.
    """
    started = time.monotonic()
    observation = observe(session, scope)
    plan = plan_route(observation, session.route.settings)
    log_plan(plan)
    execution = preview_plan(plan) if scope.dry_run else execute(session, observation, plan)
    report = summarize(session.route, observation, plan, execution, seconds=time.monotonic() - started)
    log.info("\n%s", report_table([report]))
    return report
