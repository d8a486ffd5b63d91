"""Execute a plan at the destination: transfer, copy artifacts, publish, verify, prune."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from registry_sync.errors import RegistrySyncError
from registry_sync.oci.platforms import PlatformIndex
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.attached import AttachedArtifacts
from registry_sync.sync.artifacts.lacking import NONE_LACKING, LackingArtifacts
from registry_sync.sync.artifacts.outcomes import skipped_artifacts_note
from registry_sync.sync.content.blob_copies import blobs_at_once
from registry_sync.sync.content.movers import make_transfer
from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, NotCompared, Plan, Skipped, Unchanged
from registry_sync.sync.pruning.delete import delete_due
from registry_sync.sync.publish import Publisher
from registry_sync.sync.reading.case_folding import fail_overwritten
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.platform_cache import write_platform_cache
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool
from registry_sync.sync.verification.damaged_images import DeepCheckResult
from registry_sync.sync.verification.verify import verify_content

log = logging.getLogger(__name__)

_CONNECTIONS_PER_IMAGE = 4
"""Manifests and layers of one image that are sent at the same time. To open a connection takes as long as requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The results of an executed plan.

    :ivar results: one per tag of the plan, and one per attached artifact that was copied, refused or failed.
    :ivar retry_at: the time until which a registry rate-limits us, if that left work for the retry.
    :ivar deep_check: set when content was verified.
    :ivar lacking: attached artifacts that failed, for the next run.
    :ivar retried_artifacts: names of the artifacts that failed in an earlier run, and were looked at again.
    """

    results: tuple[TagResult, ...]
    notes: tuple[str, ...] = ()
    sent_bytes: int = 0
    retry_at: datetime | None = None
    deep_check: DeepCheckResult | None = None
    lacking: LackingArtifacts = NONE_LACKING
    retried_artifacts: frozenset[str] = frozenset()


def execute(session: Session, observation: Observation, plan: Plan) -> Execution:
    """Do the copies of a plan, then its deletions.

    :raises ConfigurationError: when something is to be copied, and no usable skopeo is found.
    """
    settings = session.route.settings
    copies_artifacts = settings.signatures
    with session.skopeo, thread_pool(blobs_at_once(session.route)) as pool:
        if plan.copies and settings.transfer == "skopeo":
            session.skopeo.prepare()
        held = {digest for digest in observation.destination.values() if isinstance(digest, Digest)}
        if settings.transfer == "direct" and session.are_far:
            session.open_connections(_CONNECTIONS_PER_IMAGE * len(plan.copies))
        transfer = make_transfer(session, pool, planned_indexes(observation, plan), expected=held)
        artifacts = AttachedArtifacts(session, transfer.without_policy(), observation)
        copy_artifacts = artifacts.copy_for if copies_artifacts else lambda _image, _subjects: None
        publisher = Publisher(session, transfer, copy_artifacts, observed_at=observation.observed_at)
        if plan.copies and session.route.destination.create_repository:
            session.destination.create_repository(session.route.destination_repository)
        copied = fail_overwritten(session, plan, publisher.publish(plan))
        if copies_artifacts and not publisher.retry_at:
            artifacts.copy_added_later()
        cache = observation.source.cache
        notes = write_platform_cache(session.destination, session.route, cache) if cache else ()
        others = [preview(decision) for decision in plan.decisions if not isinstance(decision, CopyTag | DeleteTag)]
        results = [*copied, *artifacts.results, *others]
        execution = Execution(
            results=(*results, *delete_due(session, plan, results)),
            notes=(
                *notes,
                *artifacts.notes,
                *skipped_artifacts_note(artifacts.results),
                *(write_faults(session) if _is_refused(copied) else ()),
                *filter(None, [session.source.pull_note]),
            ),
            sent_bytes=transfer.mover.sent_bytes,
            retry_at=publisher.retry_at or artifacts.retry_at,
            lacking=artifacts.lacking,
            retried_artifacts=artifacts.retried,
        )
        return add_verification(session, observation, plan, execution)


def _is_refused(copied: Sequence[TagResult]) -> bool:
    return any(result.error_class in ("denied", "refused") for result in copied)


def write_faults(session: Session) -> tuple[str, ...]:
    """The reason that the destination repository takes no pushes, as far as the registry's API reports one."""
    repository = session.route.destination_repository
    try:
        fault = session.destination.write_fault(repository)
    except RegistrySyncError as error:
        log.info("%s: its state is not known (%s)", repository, error)
        fault = ""
    return (fault,) if fault else ()


def preview_plan(session: Session, plan: Plan) -> Execution:
    """The execution of a dry run: each decision as a result, and the reason why copies would be refused."""
    return Execution(results=tuple(map(preview, plan.decisions)), notes=write_faults(session) if plan.copies else ())


def add_verification(
    session: Session, observation: Observation, plan: Plan, execution: Execution, *, repairs: bool = True
) -> Execution:
    """Do the deep check of the run's scope, if it has one. Its results replace those of tags in sync.

    While a registry rate-limits us, it is left to the retry.
    """
    deep_check = observation.scope.deep_check
    if deep_check is None or execution.retry_at:
        return execution
    verification = verify_content(session, observation, plan, deep_check, repairs=repairs)
    others = (result for result in execution.results if result.tag not in verification.results)
    return replace(
        execution,
        results=(*others, *verification.results.values()),
        notes=(*execution.notes, verification.note),
        sent_bytes=execution.sent_bytes + verification.sent_bytes,
        retry_at=verification.retry_at,
        deep_check=verification.result,
    )


def planned_indexes(observation: Observation, plan: Plan) -> dict[Digest, PlatformIndex]:
    """The platform indexes among the planned copies, with their manifests where these were read."""
    filtered = observation.source
    made = {copy.digest: PlatformIndex(source=copy.source_digest) for copy in plan.copies if copy.source_digest}
    copied = {copy.digest for copy in plan.copies}
    return made | {digest: index for digest, index in filtered.indexes.items() if digest in copied}


def preview(decision: Decision) -> TagResult:
    """A decision as a result, in a dry run or when it needs no work."""
    match decision:
        case CopyTag(tag=tag, digest=digest, reason=reason, accepted=accepted):
            return TagResult.would_copy(tag, digest, reason, accepted=accepted)
        case Unchanged(tag=tag, digest=digest):
            return TagResult.unchanged(tag, digest)
        case NotCompared(tag=tag, reason=reason):
            return TagResult.not_compared(tag, reason)
        case Skipped(tag=tag, reason=reason):
            return TagResult.skipped(tag, reason)
        case DeleteTag(tag=tag, digest=digest, reason=reason):
            return TagResult.would_delete(tag, digest, reason)
        case Locked(tag=tag, digest=digest, reason=reason):
            return TagResult.locked(tag, reason, digest=digest)
        case Failed(tag=tag, reason=reason, error_class=error_class, moved_to=digest):
            return TagResult.failed(tag, reason, error_class, digest=digest)
        case _ as unreachable:
            assert_never(unreachable)
