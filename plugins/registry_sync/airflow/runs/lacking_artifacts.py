"""Attached artifacts that failed in an earlier try of a task, and that its next try must not forget.

Images that were published in the earlier try are in sync in the next one, which tries their artifacts again only if it
knows them. A try loses the XComs of the one before it, but not the task's own state store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from registry_sync.airflow.states.state_store import losing
from registry_sync.sync.artifacts.lacking import LackingArtifacts
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope

if TYPE_CHECKING:
    from airflow.sdk import Context

LACKING_KEY = "lacking_artifacts"


def note_lacking(context: Context, report: RouteReport) -> None:
    """Keep the artifacts that failed, for the next try."""
    if report.lacking and not report.dry_run:
        with losing("A retry of this task does not try the artifacts that failed"):
            context["task_state_store"].set(LACKING_KEY, report.lacking.to_json())


def scope_of_retry(context: Context, scope: RouteScope) -> RouteScope:
    """The scope of a later try: with the artifacts that failed before. It is a full check if they are not known."""
    stored: list[Any] = []
    with losing("Artifacts of all images in sync are tried again"):
        stored.append(context["task_state_store"].get(LACKING_KEY))
    if not stored:
        return replace(scope, window=replace(scope.window, is_full_check=True))
    return replace(scope, lacking=scope.lacking.merge(LackingArtifacts.from_json(stored[0]))) if stored[0] else scope
