"""Publish tags: transfer the content of each digest, copy its artifacts, PUT the tags, verify them.

A tag that fails does not stop the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime

from registry_sync.errors import (
    ConfigurationError,
    MissingContent,
    NotFound,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import is_blob
from registry_sync.sync.backup import backup_failure, keep_backup
from registry_sync.sync.content.foreign_layers import explain_refusal
from registry_sync.sync.content.transfer import Mover, Transfer, Transferred
from registry_sync.sync.obstacle import Obstacle
from registry_sync.sync.plan import CopyTag, Plan, group_by_digest
from registry_sync.sync.reading.second_listing import SecondListing
from registry_sync.sync.reading.tag_states import head_if_visible
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.sync.threads import PROGRESS_SECONDS, thread_pool
from registry_sync.tags.rules import LOST_PIN
from registry_sync.text_table import human_bytes

log = logging.getLogger(__name__)

FRESH_SECONDS = 3.0
"""Maximum age at which an observation of a tag counts as current."""


class Publisher:
    """Publishes the tags of one session.

    :param copy_artifacts: called with a digest and the digests in it that were transferred, before a tag that leads to
        them is published. When it raises, the tag is not published, so that the retry does both.
    :param observed_at: ``time.monotonic()`` before the destination was observed.
    """

    def __init__(
        self,
        session: Session,
        transfer: Transfer,
        copy_artifacts: Callable[[Digest, Sequence[Digest]], None],
        *,
        observed_at: float,
    ) -> None:
        self._observed_at = observed_at
        self._session = session
        self._transfer = transfer
        self._copy_artifacts = copy_artifacts
        self._pins = {tag: pin for tag, pin in session.route.settings.tags.named.items() if pin}
        self._listing = SecondListing(session.source, session.route.source_repository)
        self._obstacle = Obstacle(session.source.ping, session.destination.ping)

    @property
    def retry_at(self) -> datetime | None:
        """The time until which a registry rate-limits us, if one does."""
        return self._obstacle.retry_at

    def publish(self, plan: Plan) -> list[TagResult]:
        """One result per tag to copy. skopeo copies the first digest alone, so that layers of all are sent once.

        Backups are made first, one after the other, so that no digest is written twice at the same time.
        """
        progress = _Progress(self._transfer.mover, total=len(plan.copies))
        results = self._back_up(plan.copies)
        progress.add(results)
        groups = list(group_by_digest(plan.without(result.tag for result in results).copies).items())
        mover = self._transfer.mover
        for batch in filter(None, (groups,) if mover.shares_blobs else (groups[:1], groups[1:])):
            with thread_pool(mover.threads(len(batch))) as pool:
                try:
                    for done in self._publish_batch(pool, batch, progress):
                        progress.add(done)
                        results += done
                except BaseException:
                    self._session.stop()
                    raise
        return results

    def _back_up(self, copies: Iterable[CopyTag]) -> list[TagResult]:
        """Make the backups. Returns results for the tags whose backup failed, which must not be overwritten."""
        failed = []
        for copy in (copy for copy in copies if copy.backup):
            started = time.monotonic()
            try:
                if self._obstacle.error:
                    raise self._obstacle.error
                keep_backup(self._session, copy)
            except RegistrySyncError as error:
                self._obstacle.count(error)
                reason, seconds = backup_failure(copy, error), time.monotonic() - started
                failed.append(
                    TagResult.failed(copy.tag, reason, error.error_class, digest=copy.digest, seconds=seconds)
                )
        return failed

    def _publish_batch(
        self, pool: ThreadPoolExecutor, batch: Sequence[tuple[Digest, tuple[CopyTag, ...]]], progress: _Progress
    ) -> Iterator[list[TagResult]]:
        pending: dict[Future[list[TagResult]], tuple[CopyTag, ...]] = {}
        for digest, tags in batch:
            pending[pool.submit(self._publish_digest, digest, tags)] = tags
        while pending:
            done = wait(pending, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED).done
            if not done:
                progress.log([tags[0] for future, tags in pending.items() if future.running()])
            for future in done:
                pending.pop(future)
                yield future.result()

    def _publish_digest(self, digest: Digest, tags: tuple[CopyTag, ...]) -> list[TagResult]:
        """Transfer one digest, copy its artifacts, and publish its tags."""
        if obstacle := self._obstacle.error:
            return [_not_tried(tag, obstacle) for tag in tags]
        started = time.monotonic()
        try:
            transferred = self._transfer.transfer(digest)
            manifest = transferred.manifest
            self._copy_artifacts(digest, _subjects(manifest, is_made=tags[0].source_digest is not None))
            with self._transfer.lock(manifest):
                return self._publish_all(tags, transferred, started)
        except RegistrySyncError as error:
            self._obstacle.count(error)
            return [self._explain(tag, error, time.monotonic() - started) for tag in tags]

    def _publish_all(self, tags: Iterable[CopyTag], transferred: Transferred, started: float) -> list[TagResult]:
        """One result per tag. The bytes sent, and the time that took, are counted for the first tag."""
        results = []
        for tag in tags:
            obstacle = self._obstacle.error
            results.append(_not_tried(tag, obstacle) if obstacle else self._publish_tag(tag, transferred, started))
            transferred, started = replace(transferred, sent_bytes=0), time.monotonic()
        return results

    def _publish_tag(self, tag: CopyTag, transferred: Transferred, started: float) -> TagResult:
        """PUT the manifest's bytes under the tag, and verify the digest that the tag then has."""
        try:
            with self._session.locks.acquire({tag.tag}) as has_waited:
                is_known = not (has_waited or transferred.has_waited) and is_fresh(
                    self._session, tag, self._observed_at
                )
                was_published = not is_known and is_published(self._session, tag, self._pins.get(tag.tag))
                sent_bytes = transferred.sent_bytes + (0 if was_published else self._put(tag.tag, transferred))
                self._verify(tag)
        except RegistrySyncError as error:
            self._obstacle.count(error)
            return self._explain(tag, transferred.explain(error), time.monotonic() - started)
        self._obstacle.reset()
        seconds = time.monotonic() - started
        return TagResult.copied(
            tag.tag, tag.digest, tag.reason, sent_bytes=sent_bytes, seconds=seconds, accepted=tag.accepted
        )

    def _put(self, tag: str, transferred: Transferred) -> int:
        """Publish a tag. If the destination lacks content that it reported as present, send it and publish again.

        Returns the bytes sent.
        """
        try:
            self._put_manifest(tag, transferred.manifest)
        except MissingContent:
            if not transferred.was_held:
                raise
            sent_bytes = self._transfer.mover.send(transferred.manifest).sent_bytes
            self._put_manifest(tag, transferred.manifest)
            return sent_bytes
        return 0

    def _put_manifest(self, tag: str, manifest: Manifest) -> None:
        """:raises RefusedError: also when the destination does not store the image for its foreign layers."""
        try:
            self._session.destination.put_manifest(self._session.route.destination_repository, tag, manifest)
        except RegistrySyncError as error:
            raise explain_refusal(manifest, error) from error

    def _verify(self, tag: CopyTag) -> None:
        """:raises TemporaryError: when the destination's tag does not have the planned digest.

        :raises RefusedError: when the destination names its manifests by another algorithm.
        """
        client, repository = self._session.destination, self._session.route.destination_repository
        seen = client.head_manifest(repository, tag.tag, is_expected=True)
        if seen and seen.algorithm != tag.digest.algorithm:
            raise RefusedError(
                f"published, but the destination names its manifests by {seen.algorithm} and the source this one by "
                f"{tag.digest.algorithm}, so that they cannot be compared"
            )
        if seen != tag.digest:
            state = f"has {seen.short} instead of" if seen else "does not exist; expected"
            raise TemporaryError(f"published, but the destination's tag {state} {tag.digest.short}")

    def _explain(self, tag: CopyTag, error: RegistrySyncError, seconds: float) -> TagResult:
        """The result of a failed copy. Content that is missing at the source may have a simple reason."""
        if isinstance(error, UnsupportedArtifact):
            return TagResult.skipped(tag.tag, str(error), digest=tag.digest)
        if not isinstance(error, NotFound):
            return TagResult.of_error(tag.tag, error, digest=tag.digest, seconds=seconds)
        try:
            return self._explain_missing(tag, error, seconds)
        except RegistrySyncError as unreadable:
            self._obstacle.count(unreadable)
            return TagResult.of_error(tag.tag, unreadable, digest=tag.digest, seconds=seconds)

    def _explain_missing(self, tag: CopyTag, error: NotFound, seconds: float) -> TagResult:
        """The result for content that was not found: its tag was deleted or changed, or the image is incomplete."""
        pin, planned = self._pins.get(tag.tag), tag.source_digest or tag.digest
        client, repository = self._session.source, self._session.route.source_repository
        current = client.head_manifest(repository, pin or tag.tag, is_expected=True)
        if current is None and pin is None:
            return TagResult.skipped(tag.tag, "deleted at the source after it was listed")
        reason: RegistrySyncError
        if current is None:
            reason = ConfigurationError(LOST_PIN)
        elif current != planned and self._listing.has(tag.tag, planned):
            reason = RefusedError(
                f"{repository.host} lists this tag with {planned.short}, and the tag itself has {current.short}; the "
                f"listed image cannot be read ({error}). Its listing is wrong: write kind: distribution for this "
                "registry, so that each tag is read by itself"
            )
        elif current != planned:
            reason = TemporaryError(f"changed at the source during the copy, to {current.short}; the retry copies that")
        else:
            reason = RefusedError(f"the image is incomplete at the source: {error}")
        return TagResult.of_error(tag.tag, reason, digest=tag.digest, seconds=seconds)


def is_fresh(session: Session, tag: CopyTag, observed_at: float) -> bool:
    """Return whether a tag need not be read again: that was done seconds ago, and it may be overwritten anyway.

    :param observed_at: ``time.monotonic()`` before it was read.
    """
    return session.route.settings.overwrites(tag.tag) and time.monotonic() < observed_at + FRESH_SECONDS


def is_published(session: Session, tag: CopyTag, pin: Digest | None = None) -> bool:
    """Return whether the destination's tag has the planned digest already, by another run since the plan was made.

    :param pin: digest that ``names`` pins the tag to, whatever digest the source's tag has.
    :raises TemporaryError: when the tag was pushed meanwhile and must not be overwritten without a new plan; or when
        the source's tag has changed, too: the plan is then older than the other run's, and would set the tag back.
    """
    route = session.route
    current = head_if_visible(session.destination, route.destination_repository, tag.tag)
    has_changed = current not in (tag.digest, tag.replaces)
    if current and has_changed and not route.settings.overwrites(tag.tag):
        raise TemporaryError(
            f"the destination's tag was pushed since planning and has {current.short}; the retry plans again"
        )
    expected = tag.source_digest or tag.digest
    if not has_changed:
        return current == tag.digest
    if session.source.head_manifest(route.source_repository, pin or tag.tag, is_expected=True) != expected:
        seen = f"now has {current.short}" if current else "is gone"
        raise TemporaryError(
            f"the tag changed at source and destination since planning (another run?): the destination's tag {seen}; "
            "the retry compares them again"
        )
    return current == tag.digest


class _Progress:
    """Log lines about the progress of a route: tags done, bytes, rate, current copies."""

    def __init__(self, mover: Mover, *, total: int) -> None:
        self._mover, self._total, self._done = mover, total, 0
        self._started = time.monotonic()

    def add(self, results: Iterable[TagResult]) -> None:
        """Log the results of finished tags."""
        for result in results:
            self._done += 1
            log.info("[%d/%d] %s %s", self._done, self._total, result.tag, _result_text(result))

    def log(self, copying: Iterable[CopyTag]) -> None:
        """Log the progress of a long copy."""
        sent, seconds = self._mover.sent_bytes, time.monotonic() - self._started
        names = ", ".join(f"{copy.tag} {copy.digest.short}" for copy in copying) or "nothing"
        rate = human_bytes(sent / seconds)
        log.info("%d of %d tags, %s sent, %s/s, copying %s", self._done, self._total, human_bytes(sent), rate, names)


def _result_text(result: TagResult) -> str:
    if result.outcome != "copied":
        return f"{result.outcome}: {result.reason}"
    text = f"copied {result.digest or ''}".strip()
    if not result.sent_bytes:
        return text
    rate = human_bytes(result.sent_bytes / result.seconds) if result.seconds else "0 B"
    return f"{text}, {human_bytes(result.sent_bytes)} in {result.seconds:.1f} s ({rate}/s)"


def _subjects(manifest: Manifest, *, is_made: bool) -> list[Digest]:
    """The digests that artifacts can be attached to. A platform index that is made here has none itself."""
    children = [child.digest for child in manifest.children if not is_blob(child)]
    return children if is_made else [manifest.digest, *children]


def _not_tried(tag: CopyTag, obstacle: RegistrySyncError) -> TagResult:
    return TagResult.failed(tag.tag, f"not tried, because of: {obstacle}", obstacle.error_class, digest=tag.digest)
