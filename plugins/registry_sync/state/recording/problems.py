"""Problems of a route that last after a run, each with its history."""

from __future__ import annotations

from registry_sync.errors import RegistrySyncError
from registry_sync.oci.artifact_tags import is_artifact_name
from registry_sync.state.recording.look import Look, RouteRecord, closes_gap, whole_seconds
from registry_sync.state.route import Problem
from registry_sync.sync.view import Failure, RouteView

MAX_PROBLEMS = 20
MAX_REASON_LENGTH = 500

UNKNOWN_REASON = "it failed in an earlier run; see the log of its task"
"""The reason of a problem beyond the first :data:`MAX_PROBLEMS`, which are not stored with their reasons."""


def lasting_problems(look: Look, view: RouteView, earlier: RouteRecord | None) -> dict[str | None, Problem]:
    """Return the problems that last after a run, by tag.

    The problem of a tag ends when a run looks at the tag and it does not fail; a rate limit proves neither. That of the
    route as a whole ends when a run looked at all pushes since the last look. That of an attached artifact ends when it
    arrives, or when a full check or its next try does not find it again.
    """
    known = known_problems(earlier)
    looked_at = {tag.tag for tag in view.tags if not tag.is_deferred} | {change.tag for change in view.changes}
    looked_at |= view.retried_artifacts
    deferred = {tag.tag for tag in view.tags if tag.is_deferred}
    kept = {
        tag: problem
        for tag, problem in known.items()
        if tag not in looked_at and (tag in deferred or not _looks_for(view, tag))
    }
    if closes_gap(view, earlier):
        kept.pop(None, None)
    return kept | {failure.tag: problem_of(failure, known.get(failure.tag), look) for failure in view.failures}


def _looks_for(view: RouteView, tag: str | None) -> bool:
    """Return whether a run would have found a problem of this tag again."""
    is_artifact = tag is not None and is_artifact_name(tag)
    return view.is_complete and (view.has_artifacts or not is_artifact)


def known_problems(earlier: RouteRecord | None) -> dict[str | None, Problem]:
    """The earlier problems by tag, also those that are stored without a reason."""
    if earlier is None:
        return {}
    problems: dict[str | None, Problem] = {
        tag.tag: Problem(
            tag=tag.tag,
            error_class=RegistrySyncError.error_class,
            reason=UNKNOWN_REASON,
            since=tag.failing_since,
            tries=tag.tries,
            run_id=earlier.state.run_id,
        )
        for tag in earlier.tags.tags
        if tag.failing_since
    }
    return problems | {problem.tag: problem for problem in earlier.state.problems}


def problem_of(failure: Failure, known: Problem | None, look: Look) -> Problem:
    """A failure with its history. Several tries of one run count once."""
    since, tries = (known.since, known.tries + (known.run_id != look.run_id)) if known else (look.looked_at, 1)
    return Problem(
        tag=failure.tag,
        error_class=failure.error_class,
        reason=failure.reason[:MAX_REASON_LENGTH],
        since=whole_seconds(since),
        tries=tries,
        run_id=look.run_id,
    )


def unstored_artifacts(view: RouteView, earlier: RouteRecord | None) -> int:
    """The number of failed artifacts beyond the first :data:`MAX_PROBLEMS`, which only a full check looks at again.

    Unlike tags, they are not in the table.
    """
    if earlier is None or (view.is_complete and view.has_artifacts) or earlier.tags.total > len(earlier.tags.tags):
        return 0
    return max(0, earlier.state.problem_count - len(known_problems(earlier)))
