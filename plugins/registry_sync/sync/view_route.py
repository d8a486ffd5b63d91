"""Make the view of a route from the observation, the plan and the execution of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from registry_sync.errors import RateLimited
from registry_sync.oci.reference import Digest, is_tag
from registry_sync.sync.execute import Execution
from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, NotCompared, Plan, Skipped, Unchanged
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.report import TagResult
from registry_sync.sync.view import ChangeKind, Failure, RouteView, SeenTag, TagChange, TagStatus
from registry_sync.tags.rules import TagRules


def view_route(observation: Observation, plan: Plan, execution: Execution, rules: TagRules) -> RouteView:
    """The view of a route after its plan was executed."""
    results = {result.tag: result for result in execution.results}
    seen = (_see(decision, results.get(decision.tag), observation, rules) for decision in plan.decisions)
    return RouteView(
        read_at=observation.read_at,
        window=str(observation.scope.window),
        is_complete=observation.is_complete and observation.scope.is_everything and not observation.kept,
        has_artifacts=observation.scope.window.is_full_check and execution.retry_at is None,
        retried_artifacts=execution.retried_artifacts,
        is_narrowed=observation.scope.tags.applies,
        since=observation.scope.window.since,
        until=observation.scope.window.end,
        listed=observation.listed if observation.is_complete else None,
        tags=tuple(tag for tag in seen if tag is not None),
        uncompared=observation.kept,
        failures=tuple(_failures(execution.results)),
        changes=tuple(_changes(plan, execution.results)),
    )


def _see(decision: Decision, result: TagResult | None, observation: Observation, rules: TagRules) -> SeenTag | None:
    """A selected tag; ``None`` for one that no rule selects, that the source lacks now, or that was not compared."""
    status = _status(decision, result)
    if status is None:
        return None
    tag = decision.tag
    digest, pushed_at = observation.source.states.get(tag), observation.pushed_at.get(tag)
    is_published = result is not None and result.outcome == "copied"
    listed_at = observation.published_at.get(tag) if status == "in_sync" else None
    return SeenTag(
        tag=tag,
        status=status,
        digest=digest if isinstance(digest, Digest) else None,
        pushed_at=pushed_at,
        entered_at=min(filter(None, rules.entry_times(tag, pushed_at)), default=None),
        published_at=result.done_at if result and is_published else listed_at,
        is_published=is_published,
        is_deferred=bool(result and _is_deferred(result)),
        replaced=decision.replaces if isinstance(decision, CopyTag) else None,
    )


def _status(decision: Decision, result: TagResult | None) -> TagStatus | None:
    match decision:
        case DeleteTag() | NotCompared() | Skipped(kept=None):
            return None
        case Skipped():
            return "kept"
        case Unchanged():
            return "failing" if result and result.outcome == "failed" else "in_sync"
        case Locked():
            return "locked"
        case Failed(error_class=error_class):
            return "missing" if error_class == RateLimited.error_class else "failing"
        case CopyTag():
            return _status_of_copy(decision, result)
        case _ as unreachable:
            assert_never(unreachable)


def _status_of_copy(decision: CopyTag, result: TagResult | None) -> TagStatus | None:
    """The status after a copy was tried, or left to a later run. ``None`` for a tag that was skipped after all."""
    match result.outcome if result else "would_copy":
        case "copied" | "unchanged" | "repaired":
            return "in_sync"
        case "skipped":
            return None
        case "locked":
            return "locked"
        case "failed" if result and not _is_deferred(result):
            return "failing"
    return "changed" if decision.replaces else "missing"


def _is_deferred(result: TagResult) -> bool:
    """Return whether a rate limit stopped the copy, which does not count as a failure of the tag."""
    return result.error_class == RateLimited.error_class


def _failures(results: Sequence[TagResult]) -> Iterator[Failure]:
    for result in results:
        if result.error_class and not _is_deferred(result):
            yield Failure(tag=result.tag, error_class=result.error_class, reason=result.reason)


def _changes(plan: Plan, results: Sequence[TagResult]) -> Iterator[TagChange]:
    """The changes in the order of the results. Referrers without a tag are left out."""
    copies: Mapping[str, CopyTag] = {copy.tag: copy for copy in plan.copies}
    for result in results:
        if result.digest is None or not is_tag(result.tag):
            continue
        match result.outcome:
            case "copied":
                yield from _changes_of_copy(result.tag, result.digest, copies.get(result.tag))
            case "deleted":
                yield TagChange(tag=result.tag, kind="deleted", digest=result.digest)
            case "repaired":
                yield TagChange(tag=result.tag, kind="repaired", digest=result.digest)


def _changes_of_copy(tag: str, digest: Digest, copy: CopyTag | None) -> Iterator[TagChange]:
    """The published tag, and the backup of its old image."""
    replaced = copy.replaces if copy else None
    if copy and copy.backup:
        yield TagChange(tag=copy.backup.tag, kind="backed_up", digest=copy.backup.digest)
    kind: ChangeKind = "moved" if replaced else "arrived"
    yield TagChange(tag=tag, kind=kind, digest=digest, old_digest=replaced, accepted=copy is not None and copy.accepted)
