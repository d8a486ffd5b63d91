"""Attached artifacts that failed in an earlier try of a task, and that its next try must not forget.

Images that were published in the earlier try are in sync in the next one, which tries their artifacts again only in a
full check. A try loses the XComs of the one before it, but not the task's own state store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from registry_sync.airflow.states.state_store import losing
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope

if TYPE_CHECKING:
    from airflow.sdk import Context

LACKING_KEY = "lacking_artifacts"


def note_lacking(context: Context, report: RouteReport) -> None:
    """Keep that an artifact failed, for the next try."""
    if report.lacks_artifacts and not report.dry_run:
        with losing("A retry of this task does not try the artifacts that failed"):
            context["task_state_store"].set(LACKING_KEY, True)


def scope_of_retry(context: Context, scope: RouteScope) -> RouteScope:
    """The scope of a later try: with the artifacts of images in sync if one failed before, or if that is not known."""
    lacks = True
    with losing("Artifacts of all images in sync are tried again"):
        lacks = bool(context["task_state_store"].get(LACKING_KEY))
    return replace(scope, window=replace(scope.window, is_full_check=True)) if lacks else scope
