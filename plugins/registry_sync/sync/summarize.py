"""Summarize a route for people: the log of its plan, and the report with its notes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from registry_sync.registry.kinds import first_push_advice
from registry_sync.registry.traffic import Traffic
from registry_sync.routes.route import Route
from registry_sync.sync.acceptance import acceptance_note
from registry_sync.sync.execute import Execution
from registry_sync.sync.plan import CopyTag, DeleteTag, Failed, Locked, NotCompared, Plan, Skipped, Unchanged
from registry_sync.sync.pruning.delete import kept_tags_notes, undone_deletions
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.report import OUTCOMES, RouteReport, TagResult
from registry_sync.tags.select import steps_text

log = logging.getLogger(__name__)

MAX_LOGGED_TAGS = 20

_WORDS = (
    (CopyTag, "to copy"),
    (Unchanged, "unchanged"),
    (NotCompared, "not compared"),
    (Skipped, "skipped"),
    (DeleteTag, "to delete"),
    (Locked, "locked"),
    (Failed, "failed"),
)

_NOT_WRITABLE = frozenset({"denied", "not_found", "refused"})
"""Error classes of a destination that accepts no push to a repository, perhaps because it does not exist."""


def log_plan(plan: Plan) -> None:
    """Log the number of decisions by kind, and the first reasons of tags that are not copied."""
    counts = Counter(type(decision) for decision in plan.decisions)
    log.info("Plan: %s", ", ".join(f"{counts[kind]} {words}" for kind, words in _WORDS if counts[kind]) or "no tags")
    others = [skipped for skipped in plan.decisions if isinstance(skipped, Skipped | DeleteTag | Locked | Failed)]
    for decision in others[:MAX_LOGGED_TAGS]:
        log.info("  %s: %s", decision.tag, decision.reason)
    if len(others) > MAX_LOGGED_TAGS:
        log.info("  … and %d more", len(others) - MAX_LOGGED_TAGS)


def summarize(
    route: Route, observation: Observation, plan: Plan, execution: Execution, *, seconds: float, traffic: Traffic
) -> RouteReport:
    """The report of a route."""
    results = execution.results
    counts = Counter(result.outcome for result in results)
    shown = [result for result in results if result.outcome not in ("unchanged", "skipped")]
    return RouteReport.of_route(
        route,
        counts={outcome: counts[outcome] for outcome in OUTCOMES},
        tags=tuple(sorted(shown, key=lambda result: result.tag)),
        notes=(
            *_notes_of_results(route, observation, results),
            *_first_push_advice(route, results),
            *plan.notes,
            *execution.notes,
            *kept_tags_notes(plan, results),
            *acceptance_note(plan.decisions, route.source_repository),
        ),
        selects_none=bool(observation.selection.warning),
        sent_bytes=execution.sent_bytes,
        seconds=round(seconds, 3),
        dry_run=observation.scope.dry_run,
        window=str(observation.scope.window),
        deep_check=execution.deep_check,
        planned_deletions=undone_deletions(plan, results),
        selected=_count_selected(observation),
        requested=observation.selection.requested if observation.scope.window.is_everything else None,
        retry_at=execution.retry_at,
        lacking=execution.lacking,
        stale_tags=tuple(sorted(observation.stale_tags)),
        traffic=traffic,
    )


def _count_selected(observation: Observation) -> int | None:
    """The number of selected tags, if all tags of the source were looked at."""
    is_whole = observation.is_complete and observation.scope.is_everything
    return len(observation.selection.selected) if is_whole else None


def selection_steps(route: Route, observation: Observation) -> str:
    """The number of tags that each rule left, such as ``listed 412 → include 98``; empty without any rule."""
    has_rules = route.settings.tags.applies or observation.scope.tags.applies
    return steps_text(observation.selection) if has_rules else ""


def selection_steps_note(route: Route, observation: Observation) -> list[str]:
    """The selection's steps, if one of them dropped a tag."""
    steps = selection_steps(route, observation)
    return [steps] if steps and observation.selection.drops_tags else []


def selection_notes(observation: Observation) -> list[str]:
    """Notes about the source's tags and how they were selected, and the warning that none was."""
    selection = observation.selection
    return [*selection.notes, *filter(None, [selection.warning])]


def _notes_of_results(route: Route, observation: Observation, results: Sequence[TagResult]) -> list[str]:
    """Notes for a successful report: tags left by each rule, or that there was nothing to do."""
    notes = [*selection_steps_note(route, observation), *selection_notes(observation)]
    if not results and not observation.outside_window:
        notes.append("the source repository has no tags")
    if results and all(result.outcome == "skipped" for result in results):
        notes.append(f"no tag is mirrored, all {len(results)} were skipped")
    return notes


def _first_push_advice(route: Route, results: Sequence[TagResult]) -> tuple[str, ...]:
    """Advice for a destination repository that may not exist, when nothing could be written to it."""
    is_refused = any(result.outcome == "failed" and result.error_class in _NOT_WRITABLE for result in results)
    has_tags = any(result.outcome in ("copied", "unchanged") for result in results)
    advice = first_push_advice(route.destination.api_kind, route.destination_repository.name)
    return (advice,) if advice and is_refused and not has_tags else ()
