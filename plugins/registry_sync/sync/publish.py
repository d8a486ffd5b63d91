"""Copy what a plan says: stage content under its digest, publish tags, verify. One bad tag does not stop the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime

from registry_sync.errors import (
    ConfigurationError,
    LockedTag,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import RegistryClient
from registry_sync.routes.route import Route
from registry_sync.skopeo.copier import Skopeo
from registry_sync.sync.backup import keep_backup, unkept
from registry_sync.sync.plan import CopyTag, Plan
from registry_sync.sync.report import TagResult
from registry_sync.sync.threads import PROGRESS_SECONDS, thread_pool
from registry_sync.sync.transfer import Transfer, Transferred
from registry_sync.tags.rules import LOST_PIN
from registry_sync.text_table import human_bytes

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 5
"""After so many temporary failures one after the other, the registries are asked whether they are there at all. If one
is not, the rest is left for the retry; otherwise the work goes on, since the good tags may be those behind the bad."""


class Publisher:
    """Copies digests and publishes tags for one route.

    :param bring: called with digests that are staged, before a tag that leads to them is published, to bring what
        belongs to them. When it raises, the tag is not published, so that another try does both.
    """

    def __init__(
        self,
        route: Route,
        *,
        source: RegistryClient,
        destination: RegistryClient,
        skopeo: Skopeo,
        stage: Transfer,
        bring: Callable[[Sequence[Digest]], None],
    ) -> None:
        self._route = route
        self._source = source
        self._destination = destination
        self._skopeo = skopeo
        self._stage = stage
        self._bring = bring
        self._pins = {tag: pin for tag, pin in route.settings.tags.named.items() if pin}
        self._counting = threading.Lock()
        self._failures_in_a_row = 0
        self._obstacle: RegistrySyncError | None = None

    @property
    def retry_at(self) -> datetime | None:
        """Until when a registry asks to be left alone, if one does."""
        return self._obstacle.retry_at if isinstance(self._obstacle, RateLimited) else None

    def apply(self, plan: Plan) -> list[TagResult]:
        """One result per tag to copy. The first digest goes alone, so that layers that all share go once.

        Backups are made before all else, one after the other: at no time is a digest written twice.
        """
        progress = _Progress(total=len(plan.copies), skopeo=self._skopeo)
        results = self._back_up(plan.copies)
        progress.add(results)
        groups = list(plan.without(each.tag for each in results).by_digest.items())
        with thread_pool(self._route.settings.parallel_copies) as pool:
            try:
                for batch in (groups[:1], groups[1:]):
                    for done in self._apply_batch(pool, batch, progress):
                        progress.add(done)
                        results += done
            except BaseException:
                self._skopeo.stop()
                raise
        return results

    def _back_up(self, copies: Iterable[CopyTag]) -> list[TagResult]:
        """Keep what will be overwritten; the results of those tags that must not be, since that failed."""
        failed = []
        for copy in (each for each in copies if each.backup):
            started = time.monotonic()
            try:
                if self._obstacle:
                    raise self._obstacle
                keep_backup(self._destination, self._route.destination_repository, copy)
            except RegistrySyncError as error:
                self._count(error)
                result = _failed(copy, error, seconds=time.monotonic() - started)
                failed.append(replace(result, reason=unkept(copy, error)))
        return failed

    def _apply_batch(
        self, pool: ThreadPoolExecutor, batch: Sequence[tuple[Digest, tuple[CopyTag, ...]]], progress: _Progress
    ) -> Iterator[list[TagResult]]:
        pending: dict[Future[list[TagResult]], tuple[CopyTag, ...]] = {}
        for digest, tags in batch:
            pending[pool.submit(self._copy, digest, tags)] = tags
        while pending:
            done = wait(pending, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED).done
            if not done:
                progress.log([tags[0] for future, tags in pending.items() if future.running()])
            for future in done:
                pending.pop(future)
                yield future.result()

    def _copy(self, digest: Digest, tags: tuple[CopyTag, ...]) -> list[TagResult]:
        """Stage one digest and publish its tags."""
        if self._obstacle:
            return [_not_tried(tag, self._obstacle) for tag in tags]
        started = time.monotonic()
        try:
            manifest, is_there = self._stage.read(digest)
            with self._stage.claim(manifest):
                staged = self._stage.stage(manifest, is_there=is_there or self._stage.holds(digest))
            self._bring(_subjects(manifest, is_made=tags[0].source_digest is not None))
            with self._stage.claim(manifest):
                return self._publish_all(tags, staged, started)
        except RegistrySyncError as error:
            self._count(error)
            return [self._explain(tag, error, time.monotonic() - started) for tag in tags]

    def _publish_all(self, tags: Iterable[CopyTag], staged: Transferred, started: float) -> list[TagResult]:
        """One result per tag. The bytes sent, and the time that took, are those of the first."""
        results = []
        for tag in tags:
            results.append(_not_tried(tag, self._obstacle) if self._obstacle else self._publish(tag, staged, started))
            staged, started = replace(staged, sent_bytes=0), time.monotonic()
        return results

    def _publish(self, tag: CopyTag, staged: Transferred, started: float) -> TagResult:
        """PUT the manifest's bytes under the tag, and read back what the tag then names."""
        try:
            with self._stage.claims.acquire({tag.tag}):
                is_there = self._stage.is_published(tag, self._pins.get(tag.tag))
                sent_bytes = staged.sent_bytes + (0 if is_there else self._put(tag.tag, staged))
                self._verify(tag)
        except RegistrySyncError as error:
            self._count(error)
            return self._explain(tag, staged.reason(error), time.monotonic() - started)
        self._failures_in_a_row = 0
        return TagResult(
            tag=tag.tag,
            outcome="copied",
            reason=tag.reason,
            digest=str(tag.digest),
            sent_bytes=sent_bytes,
            seconds=round(time.monotonic() - started, 3),
        )

    def _put(self, tag: str, staged: Transferred) -> int:
        """Publish; content that the destination claimed to hold and does not is sent. Returns the bytes sent."""
        repository, sent_bytes = self._route.destination_repository, 0
        try:
            self._destination.put_manifest(repository, tag, staged.manifest)
        except MissingContent:
            if not staged.was_there:
                raise
            sent_bytes = self._stage.send(staged.manifest).sent_bytes
            self._destination.put_manifest(repository, tag, staged.manifest)
        return sent_bytes

    def _verify(self, tag: CopyTag) -> None:
        """:raises TemporaryError: when the destination's tag does not name the planned digest."""
        seen = self._destination.head_manifest(self._route.destination_repository, tag.tag)
        if seen != tag.digest:
            what = seen.short if seen else "nothing"
            raise TemporaryError(f"published, but the destination's tag names {what}, not {tag.digest.short}")

    def _explain(self, tag: CopyTag, error: RegistrySyncError, seconds: float) -> TagResult:
        """What a failed copy means for a tag. Content that the source no longer has may have a simple reason."""
        if isinstance(error, LockedTag):
            return replace(_failed(tag, error, seconds=seconds), outcome="locked")
        if isinstance(error, UnsupportedArtifact):
            return TagResult(tag=tag.tag, outcome="skipped", reason=str(error), digest=str(tag.digest))
        if not isinstance(error, NotFound):
            return _failed(tag, error, seconds=seconds)
        try:
            now = self._now_at_source(tag)
        except RegistrySyncError as unreadable:
            self._count(unreadable)
            return _failed(tag, unreadable, seconds=seconds)
        if now is None and tag.tag in self._pins:
            return _failed(tag, ConfigurationError(LOST_PIN), seconds=seconds)
        if now is None:
            return TagResult(tag=tag.tag, outcome="skipped", reason="deleted at the source since it was listed")
        if now != (tag.source_digest or tag.digest):
            moved = f"moved at the source while it was copied, to {now.short}; the next try copies that"
            return _failed(tag, TemporaryError(moved), seconds=seconds)
        return _failed(tag, RefusedError(f"the source's own image is incomplete: {error}"), seconds=seconds)

    def _now_at_source(self, tag: CopyTag) -> Digest | None:
        """What is to be mirrored under a tag by now: what it is pinned to, or what the source's tag names."""
        return self._source.head_manifest(self._route.source_repository, self._pins.get(tag.tag) or tag.tag)

    def _count(self, error: RegistrySyncError) -> None:
        """Note a failure. One that concerns a whole registry ends the work, and leaves the rest for another try."""
        with self._counting:
            if isinstance(error, RateLimited):
                if self.retry_at is None or error.retry_at > self.retry_at:
                    self._obstacle = error
            elif not error.is_permanent and not self._obstacle:
                self._failures_in_a_row += 1
                if self._failures_in_a_row % FAILURES_IN_A_ROW == 0:
                    self._obstacle = self._absence()

    def _absence(self) -> RegistrySyncError | None:
        """Why one of the registries does not answer; ``None`` when both do."""
        try:
            self._source.ping()
            self._destination.ping()
        except RegistrySyncError as error:
            return error
        return None


class _Progress:
    """Log lines about a route at work: tags done of how many, bytes, rate, what is being copied."""

    def __init__(self, *, total: int, skopeo: Skopeo) -> None:
        self._total, self._done = total, 0
        self._skopeo, self._started = skopeo, time.monotonic()

    def add(self, results: Iterable[TagResult]) -> None:
        """Say what became of finished tags."""
        for each in results:
            self._done += 1
            what = (
                f"{each.outcome} {each.digest or ''}".strip()
                if each.outcome == "copied"
                else f"{each.outcome}: {each.reason}"
            )
            rate = human_bytes(each.sent_bytes / each.seconds) if each.seconds else "0 B"
            sent = f", {human_bytes(each.sent_bytes)} in {each.seconds:.1f} s ({rate}/s)" if each.sent_bytes else ""
            log.info("[%d/%d] %s %s%s", self._done, self._total, each.tag, what, sent)

    def log(self, copying: Iterable[CopyTag]) -> None:
        """Say how far a long copy is."""
        sent, seconds = self._skopeo.sent_bytes, time.monotonic() - self._started
        names = ", ".join(f"{each.tag} {each.digest.short}" for each in copying) or "nothing"
        rate = human_bytes(sent / seconds)
        log.info("%d of %d tags, %s sent, %s/s, copying %s", self._done, self._total, human_bytes(sent), rate, names)


def _subjects(manifest: Manifest, *, is_made: bool) -> list[Digest]:
    """The digests that signatures can be about; of an index that is made here there are none."""
    children = [child.digest for child in manifest.children]
    return children if is_made else [manifest.digest, *children]


def _not_tried(tag: CopyTag, obstacle: RegistrySyncError) -> TagResult:
    reason = f"not tried any more after: {obstacle}"
    return TagResult(
        tag=tag.tag, outcome="failed", reason=reason, digest=str(tag.digest), error_class=obstacle.error_class
    )


def _failed(tag: CopyTag, error: RegistrySyncError, *, seconds: float) -> TagResult:
    return TagResult(
        tag=tag.tag,
        outcome="failed",
        reason=str(error),
        digest=str(tag.digest),
        seconds=round(seconds, 3),
        error_class=error.error_class,
    )
