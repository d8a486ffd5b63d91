"""Bring one route into step: observe both sides, plan, apply, verify. Registries are known by their protocol only."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    MissingContent,
    NotCopyableWhole,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.mirrors import Route
from registry_sync.oci import Manifest
from registry_sync.plan import CopyTag, Decision, Failed, Plan, Skipped, TagState, Unchanged, Unreadable, plan_route
from registry_sync.reference import Digest, Reference, Repository
from registry_sync.registry.client import RegistryClient
from registry_sync.report import OUTCOMES, RouteReport, TagResult, human_bytes, text_table
from registry_sync.skopeo import Skopeo
from registry_sync.tags import Selection, TagRules, select_tags

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 15
FAILURES_IN_A_ROW = 5
"""So many temporary failures one after the other mean that a registry is down, and the rest is left for the retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two registries of a route."""

    source: RegistryClient
    destination: RegistryClient


def sync_route(
    route: Route, sides: Sides, skopeo: Skopeo, *, only_tags: TagRules = TagRules(), dry_run: bool = False
) -> RouteReport:
    """Copy what is missing or has moved, and report per tag. A tag that fails does not stop the others.

    :param only_tags: of the tags that the route's rules select, work on these only.
    :raises RegistrySyncError: when the route as a whole cannot be worked on, for example because a side is down.
    """
    started = time.monotonic()
    plan = observe_and_plan(route, sides, only_tags)
    log_plan(plan)
    if dry_run:
        results, retry_at = [_preview(each) for each in plan.decisions], None
    else:
        work = _Apply(route, sides, skopeo)
        results = [*work.apply(plan), *(_preview(each) for each in plan.decisions if not isinstance(each, CopyTag))]
        retry_at = work.retry_at
    report = _report(route, results, seconds=time.monotonic() - started, dry_run=dry_run, retry_at=retry_at)
    log.info("\n%s", text_table([report]))
    return report


def observe_and_plan(route: Route, sides: Sides, only_tags: TagRules) -> Plan:
    """Read both sides and decide; nothing is changed.

    :raises ConfigurationError: when the source has no such repository.
    """
    listed = _list_tags(sides.source, route.source_repository)
    selection = _select(listed, route.settings.tags, only_tags)
    log.info("%s lists %d tags, %d chosen", route.source_repository, len(listed), len(selection.selected))
    names = {name: listed[name] for name in selection.selected}
    source = _observe(sides.source, route.source_repository, names, route.source.max_connections)
    wanted = dict.fromkeys(name for name, state in source.items() if isinstance(state, Digest))
    there = _observe(sides.destination, route.destination_repository, wanted, route.destination.max_connections)
    return plan_route(selection, source, there, route.settings.on_moved_tag)


def log_plan(plan: Plan, limit: int = 20) -> None:
    """Say how many tags need what, and why the first ``limit`` of those not copied are left alone."""
    kinds = Counter(type(each).__name__ for each in plan.decisions)
    log.info("Plan: %s", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no tags")
    left = [each for each in plan.decisions if isinstance(each, Skipped | Failed)]
    for each in left[:limit]:
        log.info("  %s: %s", each.tag, each.reason)
    if len(left) > limit:
        log.info("  … and %d more", len(left) - limit)


def _list_tags(source: RegistryClient, repository: Repository) -> dict[str, Digest | None]:
    try:
        return {entry.name: entry.digest for entry in source.list_tags(repository)}
    except NotFound as error:
        advice = "check its name in the mirrors file, and that it holds a tag"
        raise ConfigurationError(f"the source has no repository {repository}; {advice} ({error})") from error


def _select(listed: Iterable[str], rules: TagRules, only: TagRules) -> Selection:
    """By the route's rules first, then by what this run was asked for."""
    by_rules = select_tags(listed, rules)
    asked = select_tags(by_rules.selected, only)
    return Selection(selected=asked.selected, rejected={**by_rules.rejected, **asked.rejected})


def _observe(
    client: RegistryClient, repository: Repository, listed: Mapping[str, Digest | None], threads: int
) -> dict[str, TagState]:
    """What each tag names: as listed, or by a HEAD where the listing has no digest."""
    states: dict[str, TagState] = {name: digest for name, digest in listed.items() if digest is not None}
    unknown = [name for name in listed if name not in states]
    due = time.monotonic() + PROGRESS_SECONDS
    with _pool(threads) as pool:
        pending = {pool.submit(_head, client, repository, name): name for name in unknown}
        for future in as_completed(pending):
            states[pending[future]] = future.result()
            _raise_if_hopeless(states)
            if time.monotonic() >= due:
                log.info("%s: looked at %d of %d tags", repository, len(states), len(listed))
                due += PROGRESS_SECONDS
    return states


def _head(client: RegistryClient, repository: Repository, tag: str) -> TagState:
    """A tag that cannot be read is a state, not an end; what concerns the whole registry is raised."""
    try:
        return client.head_manifest(repository, tag)
    except (RateLimited, DeniedError, ConfigurationError):
        raise
    except RegistrySyncError as error:
        return Unreadable(error_class=error.error_class, text=str(error))


def _raise_if_hopeless(states: Mapping[str, TagState]) -> None:
    """:raises TemporaryError: when several tags could not be read and none could."""
    if len(states) == FAILURES_IN_A_ROW:
        unreadable = [
            each
            for each in states.values()
            if isinstance(each, Unreadable) and each.error_class == TemporaryError.error_class
        ]
        if len(unreadable) == FAILURES_IN_A_ROW:
            raise TemporaryError(unreadable[-1].text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Staged:
    """Content that the destination holds under its digest and that only lacks its tags.

    ``refusal`` is set when the registry took the content of a single image, but not its manifest under a digest.
    """

    manifest: Manifest
    was_there: bool
    sent_bytes: int = 0
    refusal: RefusedError | None = None


class _Apply:
    """Copies digests and publishes tags for one route."""

    def __init__(self, route: Route, sides: Sides, skopeo: Skopeo) -> None:
        self._route = route
        self._sides = sides
        self._skopeo = skopeo
        self._failures_in_a_row = 0
        self.retry_at: datetime | None = None

    def apply(self, plan: Plan) -> list[TagResult]:
        """One result per tag to copy. The first digest goes alone, so that layers that all share go once."""
        groups = list(plan.by_digest.items())
        results: list[TagResult] = []
        progress = _Progress(total=len(plan.copies), skopeo=self._skopeo)
        with _pool(self._route.settings.parallel_copies) as pool:
            try:
                for batch in (groups[:1], groups[1:]):
                    for done in self._apply_batch(pool, batch, progress):
                        progress.add(done)
                        results += done
            except BaseException:
                self._skopeo.stop()
                raise
        return results

    def _apply_batch(
        self, pool: ThreadPoolExecutor, batch: Sequence[tuple[Digest, tuple[CopyTag, ...]]], progress: _Progress
    ) -> Iterator[list[TagResult]]:
        pending: dict[Future[list[TagResult]], tuple[CopyTag, ...]] = {}
        for digest, tags in batch:
            pending[pool.submit(self._copy, digest, tags)] = tags
        while pending:
            progress.copying = [tags[0] for future, tags in pending.items() if future.running()]
            done = wait(pending, timeout=PROGRESS_SECONDS, return_when=FIRST_COMPLETED).done
            if not done:
                progress.log()
            for future in done:
                pending.pop(future)
                yield future.result()

    def _copy(self, digest: Digest, tags: tuple[CopyTag, ...]) -> list[TagResult]:
        """Stage one digest and publish its tags."""
        if self.retry_at or self._failures_in_a_row >= FAILURES_IN_A_ROW:
            why = "not tried: a registry asked to wait" if self.retry_at else "not tried: the copies before it failed"
            return [_failed(tag, TemporaryError(why), seconds=0.0) for tag in tags]
        started = time.monotonic()
        try:
            staged = self._stage(digest)
        except RegistrySyncError as error:
            self._count(error)
            return [self._explain(tag, error, time.monotonic() - started) for tag in tags]
        results = []
        for tag in tags:
            results.append(self._publish(tag, staged, started))
            staged, started = replace(staged, sent_bytes=0), time.monotonic()
        return results

    def _stage(self, digest: Digest) -> _Staged:
        """Have the destination hold a digest and all that it names, under digests only."""
        manifest = self._sides.source.get_manifest(self._route.source_repository, digest)
        if self._sides.destination.head_manifest(self._route.destination_repository, digest) == digest:
            return _Staged(manifest=manifest, was_there=True)
        return self._send(manifest)

    def _send(self, manifest: Manifest) -> _Staged:
        source = Reference(self._route.source_repository, manifest.digest)
        destination = Reference(self._route.destination_repository, manifest.digest)
        try:
            sent = self._skopeo.copy(source, destination, is_index=manifest.is_index, format=manifest.format)
        except NotCopyableWhole as error:
            log.info("%s: skopeo cannot copy it whole, copying its parts (%s)", manifest.digest.short, error)
            return self._send_parts(manifest)
        except RefusedError as error:
            if manifest.is_index:
                raise
            return _Staged(manifest=manifest, was_there=False, refusal=error)
        return _Staged(manifest=manifest, was_there=False, sent_bytes=sent.sent_bytes)

    def _send_parts(self, index: Manifest) -> _Staged:
        """Children one by one, then the index's own bytes. Works for every shape of index (nested, for example)."""
        sent_bytes = 0
        for child in index.children:
            staged = self._stage(child.digest)
            if staged.refusal:
                raise staged.refusal
            sent_bytes += staged.sent_bytes
        self._sides.destination.put_manifest(self._route.destination_repository, index.digest, index)
        return _Staged(manifest=index, was_there=False, sent_bytes=sent_bytes)

    def _publish(self, tag: CopyTag, staged: _Staged, started: float) -> TagResult:
        """PUT the manifest's bytes under the tag, and read back what the tag then names."""
        try:
            sent_bytes = staged.sent_bytes + self._put(tag.tag, staged)
            self._verify(tag)
        except RegistrySyncError as error:
            self._count(error)
            return _failed(tag, staged.refusal or error, seconds=time.monotonic() - started)
        self._failures_in_a_row = 0
        return TagResult(
            tag=tag.tag,
            outcome="copied",
            reason=tag.reason,
            digest=str(tag.digest),
            sent_bytes=sent_bytes,
            seconds=round(time.monotonic() - started, 3),
        )

    def _put(self, tag: str, staged: _Staged) -> int:
        """Publish; content that the destination claimed to hold and does not is sent. Returns the bytes sent."""
        repository, sent_bytes = self._route.destination_repository, 0
        try:
            self._sides.destination.put_manifest(repository, tag, staged.manifest)
        except MissingContent:
            if not staged.was_there:
                raise
            sent_bytes = self._send(staged.manifest).sent_bytes
            self._sides.destination.put_manifest(repository, tag, staged.manifest)
        return sent_bytes

    def _verify(self, tag: CopyTag) -> None:
        """:raises TemporaryError: when the destination's tag does not name the planned digest."""
        seen = self._sides.destination.head_manifest(self._route.destination_repository, tag.tag)
        if seen != tag.digest:
            what = seen.short if seen else "nothing"
            raise TemporaryError(f"published, but the destination's tag names {what}, not {tag.digest.short}")

    def _explain(self, tag: CopyTag, error: RegistrySyncError, seconds: float) -> TagResult:
        """What a failed copy means for a tag. Content that the source no longer has may have a simple reason."""
        if not isinstance(error, NotFound):
            return _failed(tag, error, seconds=seconds)
        try:
            now = self._sides.source.head_manifest(self._route.source_repository, tag.tag)
        except RegistrySyncError as unreadable:
            return _failed(tag, unreadable, seconds=seconds)
        if now is None:
            return TagResult(tag=tag.tag, outcome="skipped", reason="deleted at the source since it was listed")
        if now != tag.digest:
            moved = f"moved at the source while it was copied, to {now.short}; the next try copies that"
            return _failed(tag, TemporaryError(moved), seconds=seconds)
        return _failed(tag, RefusedError(f"the source's own image is incomplete: {error}"), seconds=seconds)

    def _count(self, error: RegistrySyncError) -> None:
        if isinstance(error, RateLimited):
            self.retry_at = max(self.retry_at or error.retry_at, error.retry_at)
        if not error.is_permanent:
            self._failures_in_a_row += 1


class _Progress:
    """Log lines about a route at work: tags done of how many, bytes, rate, what is being copied."""

    def __init__(self, *, total: int, skopeo: Skopeo) -> None:
        self._total, self._done = total, 0
        self._skopeo, self._started = skopeo, time.monotonic()
        self.copying: list[CopyTag] = []

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

    def log(self) -> None:
        """Say how far a long copy is."""
        sent, seconds = self._skopeo.sent_bytes, time.monotonic() - self._started
        names = ", ".join(f"{each.tag} {each.digest.short}" for each in self.copying) or "nothing"
        rate = human_bytes(sent / seconds)
        log.info("%d of %d tags, %s sent, %s/s, copying %s", self._done, self._total, human_bytes(sent), rate, names)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that, unlike its own context manager, does not wait for its threads when the task is being killed."""
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="registry_sync")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _failed(tag: CopyTag, error: RegistrySyncError, *, seconds: float) -> TagResult:
    return TagResult(
        tag=tag.tag,
        outcome="failed",
        reason=str(error),
        digest=str(tag.digest),
        seconds=round(seconds, 3),
        error_class=error.error_class,
    )


def _preview(decision: Decision) -> TagResult:
    """A decision as a result, for what needs no work and for a dry run."""
    match decision:
        case CopyTag(tag=tag, digest=digest, reason=reason):
            return TagResult(tag=tag, outcome="would_copy", reason=reason, digest=str(digest))
        case Unchanged(tag=tag, digest=digest):
            return TagResult(tag=tag, outcome="unchanged", reason="same digest", digest=str(digest))
        case Skipped(tag=tag, reason=reason):
            return TagResult(tag=tag, outcome="skipped", reason=reason)
        case Failed(tag=tag, reason=reason, error_class=error_class):
            return TagResult(tag=tag, outcome="failed", reason=reason, error_class=error_class)


def _report(
    route: Route, results: Sequence[TagResult], *, seconds: float, dry_run: bool, retry_at: datetime | None
) -> RouteReport:
    counts = Counter(each.outcome for each in results)
    kept = sorted((each for each in results if each.outcome not in ("unchanged", "skipped")), key=lambda each: each.tag)
    return RouteReport(
        mirror=route.mirror,
        source=str(route.source_repository),
        destination=str(route.destination_repository),
        counts={outcome: counts[outcome] for outcome in OUTCOMES},
        tags=tuple(kept),
        notes=() if results else ("the source repository holds no tag",),
        sent_bytes=sum(each.sent_bytes for each in results),
        seconds=round(seconds, 3),
        dry_run=dry_run,
        retry_at=retry_at,
    )
