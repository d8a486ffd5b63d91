"""Verify that a destination holds the content of the tags in sync, and repair missing and damaged content."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime

from registry_sync.errors import NotWhole, RegistrySyncError
from registry_sync.oci.platforms import PlatformIndex
from registry_sync.oci.reference import Digest
from registry_sync.sync.content.movers import make_transfer
from registry_sync.sync.content.transfer import Transfer
from registry_sync.sync.obstacle import Obstacle
from registry_sync.sync.plan import Plan, Skipped, Unchanged
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool
from registry_sync.sync.verification.check_content import ContentCheck, Fault, ImageCheck, check_content
from registry_sync.sync.verification.damaged_images import MAX_PARTS, DamagedImage, DeepCheckResult
from registry_sync.sync.verification.deep_check import DeepCheck
from registry_sync.sync.verification.repair import Repair, advice_text, faults_text
from registry_sync.text_table import human_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The results of a deep check.

    :ivar results: for the tags whose image was not whole, or could not be verified.
    :ivar note: numbers for people.
    :ivar retry_at: the time until which a registry rate-limits us, if that left images for the retry.
    """

    results: Mapping[str, TagResult]
    note: str
    result: DeepCheckResult
    sent_bytes: int = 0
    retry_at: datetime | None = None


def verify_content(
    session: Session, observation: Observation, plan: Plan, deep_check: DeepCheck, *, repairs: bool
) -> Verification:
    """Verify the images of the tags that the plan leaves as they are, because they are in sync or kept.

    :param repairs: send missing and damaged content again. Otherwise, nothing is changed.
    """
    tags = _tags_by_digest(observation, plan)
    due = [digest for digest in tags if deep_check.includes(digest)]
    obstacle = Obstacle(session.source.ping, session.destination.ping)
    log.info("Deep check (%s): %d of %d images", deep_check.reason, len(due), len(tags))
    check = check_content(
        session,
        due,
        obstacle,
        read_bytes=deep_check.read_bytes,
        always_read={part for digest in due for part in deep_check.suspects.get(digest, ())},
    )
    faulty = [image for image in check.images if not image.is_whole]
    with thread_pool(session.route.destination.max_connections) as pool:
        transfer = _transfer(session, observation, pool)
        repair = Repair(session=session, transfer=transfer, obstacle=obstacle) if repairs else None
        outcomes = _conclude(session, faulty, repair)
    return Verification(
        results={tag: outcome.tag_result(tag) for outcome in outcomes for tag in tags[outcome.image.digest]},
        note=_note(deep_check, check, outcomes, total=len(tags)),
        result=_result(session, observation, deep_check, tags, outcomes),
        sent_bytes=sum(outcome.sent_bytes for outcome in outcomes),
        retry_at=obstacle.retry_at,
    )


def _tags_by_digest(observation: Observation, plan: Plan) -> dict[Digest, list[str]]:
    """The digests at the destination that the plan keeps, with their tags."""
    tags: dict[Digest, list[str]] = {}
    for decision in plan.decisions:
        digest = observation.destination.get(decision.tag)
        if isinstance(decision, Unchanged | Skipped) and isinstance(digest, Digest):
            tags.setdefault(digest, []).append(decision.tag)
    return tags


def _transfer(session: Session, observation: Observation, pool: Executor) -> Transfer:
    """A transfer that knows every platform index of the route."""
    filtered = observation.source
    made = {
        digest: PlatformIndex(source=source)
        for tag, source in filtered.sources.items()
        if isinstance(digest := filtered.states.get(tag), Digest)
    }
    return make_transfer(session, pool, {**made, **filtered.indexes})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """The outcome of an image that was not whole, or could not be verified.

    :ivar image: its first check.
    :ivar reason: what was seen, and what was or should be done.
    :ivar error_class: ``None`` when the image is whole now.
    """

    image: ImageCheck
    reason: str
    error_class: str | None = None
    sent_bytes: int = 0

    @property
    def is_damaged(self) -> bool:
        return bool(self.image.faults) and self.error_class is not None

    def tag_result(self, tag: str) -> TagResult:
        if self.error_class is None:
            return TagResult.repaired(tag, self.image.digest, self.reason, sent_bytes=self.sent_bytes)
        return TagResult.failed(tag, self.reason, self.error_class, digest=self.image.digest)


def _conclude(session: Session, faulty: list[ImageCheck], repair: Repair | None) -> list[_Outcome]:
    """Repair the images with faults, several at a time."""
    with thread_pool(session.route.settings.parallel_copies) as pool:
        outcomes = []
        for outcome in pool.map(lambda image: _outcome(session, image, repair), faulty):
            log.info("Deep check: %s: %s", outcome.image.digest.short, outcome.reason)
            outcomes.append(outcome)
        return outcomes


def _outcome(session: Session, image: ImageCheck, repair: Repair | None) -> _Outcome:
    if not image.faults:
        return _not_verified(image, image)
    seen = f"{faults_text(image.faults)} at the destination"
    if repair is None:
        reason = f"{seen}; not repaired, because this run changes nothing"
        return _Outcome(image=image, reason=reason, error_class=NotWhole.error_class)
    try:
        repaired = repair.repair(image)
    except RegistrySyncError as error:
        error_class = NotWhole.error_class if error.is_permanent else error.error_class
        return _Outcome(image=image, reason=f"{seen}, and was not repaired: {error}", error_class=error_class)
    left = repaired.check
    if left.faults:
        reason = f"{faults_text(left.faults)} at the destination; {advice_text(session, left.faults)}"
        return _Outcome(image=image, reason=reason, error_class=NotWhole.error_class, sent_bytes=repaired.sent_bytes)
    if left.error:
        return _not_verified(image, left)
    reason = f"{faults_text(image.faults, 'was')} at the destination; sent again"
    return _Outcome(image=image, reason=reason, sent_bytes=repaired.sent_bytes)


def _not_verified(image: ImageCheck, check: ImageCheck) -> _Outcome:
    """The outcome of an image whose last ``check`` could not end."""
    error_class = check.error.error_class if check.error else NotWhole.error_class
    return _Outcome(image=image, reason=f"its content was not verified: {check.error}", error_class=error_class)


def _result(
    session: Session,
    observation: Observation,
    deep_check: DeepCheck,
    tags: Mapping[Digest, list[str]],
    outcomes: list[_Outcome],
) -> DeepCheckResult:
    """The images that are damaged now, and images of earlier runs that no longer are."""
    failed = {outcome.image.digest for outcome in outcomes if outcome.error_class}
    gone = observation.is_complete and observation.scope.is_everything
    return DeepCheckResult(
        damaged=tuple(
            DamagedImage(
                repository=str(session.route.destination_repository),
                digest=outcome.image.digest,
                tags=tuple(tags[outcome.image.digest]),
                parts=tuple(fault.digest for fault in sorted(outcome.image.faults, key=_is_missing)[:MAX_PARTS]),
                problem=outcome.reason,
                at=datetime.now(UTC),
            )
            for outcome in outcomes
            if outcome.is_damaged
        ),
        cleared=tuple(digest for digest in deep_check.suspects if digest not in failed and (digest in tags or gone)),
    )


def _is_missing(fault: Fault) -> bool:
    """A key that sorts damaged parts first, because only reading them whole shows their fault again."""
    return fault.kind == "missing"


def _note(deep_check: DeepCheck, check: ContentCheck, outcomes: list[_Outcome], *, total: int) -> str:
    """The numbers of a deep check."""
    damaged = sum(outcome.is_damaged for outcome in outcomes)
    repaired = sum(outcome.error_class is None for outcome in outcomes)
    counts = {"repaired": repaired, "missing or damaged": damaged, "not verified": len(outcomes) - damaged - repaired}
    others = "".join(f", {count} {words}" for words, count in counts.items() if count)
    images = f"{len(check.images)} of {total} images with {check.blobs} blobs"
    return f"deep check ({deep_check.reason}): {images}, {human_bytes(check.read_bytes)} read{others}"
