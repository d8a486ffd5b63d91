"""Bring along what belongs to an image: cosign's tags, and OCI 1.1 referrers, of its digest and of its children's.

They arrive before the image's own tag does, so that nobody pulls a tag whose signature is still on its way, and so that
another try, which looks only at tags that are missing, brings both. One that the destination refuses for good does not
keep the image back: it is reported by itself.

Referrers are asked for once per digest. Tags are known from the listing, which costs nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime

from registry_sync.config.settings import RouteSettings
from registry_sync.errors import (
    DeniedError,
    LockedTag,
    MissingContent,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.artifact_tags import COSIGN_SUFFIXES, ArtifactTag, referrers_tag, subject_of
from registry_sync.oci.manifest import Manifest, merge_indexes, select_children
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import RegistryClient, TagEntry
from registry_sync.routes.route import Route
from registry_sync.sync.backup import keep_backup, unkept
from registry_sync.sync.plan import CopyTag, Decision, Failed, Plan, Unchanged, plan_tag
from registry_sync.sync.report import TagResult
from registry_sync.sync.threads import thread_pool
from registry_sync.sync.transfer import Transfer, Transferred
from registry_sync.sync.window import Window
from registry_sync.tags.overwrite_policy import overwriting
from registry_sync.tags.select import Selection

log = logging.getLogger(__name__)


class AttachedArtifacts:
    """What belongs to the images of one route. Safe to use from several threads.

    :param stage: sends without asking a trust policy, since signatures are not signed themselves.
    :param plan: has the tags that the source was seen to list. Where these are not all, it is asked for all once that
        matters: what belongs to an image may have been pushed long before a tag of that image was.
    """

    def __init__(
        self,
        route: Route,
        source: RegistryClient,
        destination: RegistryClient,
        stage: Transfer,
        plan: Plan,
    ) -> None:
        self._route = route
        self._source = source
        self._destination = destination
        self._stage = stage
        self._listed = {each.name: each for each in plan.about}
        self._is_whole = plan.is_whole
        self._in_step = {each.digest for each in plan.decisions if isinstance(each, Unchanged)}
        settings = route.settings
        self._overwriting = overwriting(settings.on_moved_tag, settings.backup_tag, frozenset(), datetime.now(UTC))
        self._lock = threading.Lock()
        self._brought: dict[Digest, Future[list[Digest]]] = {}
        self._results: list[TagResult] = []
        self._retry_at: datetime | None = None

    @property
    def retry_at(self) -> datetime | None:
        """Until when a registry asks to be left alone, where that kept something back."""
        return self._retry_at

    @property
    def results(self) -> list[TagResult]:
        """What was copied, was refused, or failed."""
        with self._lock:
            return list(self._results)

    def bring(self, subjects: Sequence[Digest]) -> None:
        """Bring what belongs to these digests, and what belongs to that in turn. Each digest is looked at once.

        What another thread is bringing is waited for, and fails here as well when it fails there.

        :raises TemporaryError: when a part of it may arrive with another try.
        :raises RateLimited: when a registry asks to wait.
        """
        waiting, seen = list(subjects), set[Digest]()
        while waiting:
            subject = waiting.pop(0)
            if subject not in seen:
                seen.add(subject)
                waiting += self._bring_once(subject)

    def _bring_once(self, subject: Digest) -> list[Digest]:
        """Who brings something waits for nobody, so that nobody waits for ever."""
        with self._lock:
            is_ours = subject not in self._brought
            brought = self._brought.setdefault(subject, Future())
        if is_ours:
            try:
                brought.set_result(self._bring_one(subject))
            except BaseException as error:
                brought.set_exception(error)
                raise
        return brought.result()

    def _bring_one(self, subject: Digest) -> list[Digest]:
        """Returns what is there now, also what was before: an earlier try may have ended between it and its own."""
        try:
            return [*self._bring_tags(subject), *self._bring_referrers(subject)]
        except TemporaryError as error:
            raise TemporaryError(f"what belongs to {subject.short} did not arrive: {error}") from error

    def copy_added_later(self, window: Window) -> None:
        """Bring what came to the source after its image did, which a run notices only later.

        Tags that were pushed in the run's window; in a full check, all tags, and the referrers of all that is in step.
        """
        late = {*self._late_subjects(window), *(self._in_step if window.is_full_check else ())}
        with thread_pool(self._route.settings.parallel_copies) as pool:
            for _ in pool.map(self._bring_one_late, sorted(late - self._brought.keys())):
                continue

    def _late_subjects(self, window: Window) -> Iterator[Digest]:
        if window.is_everything and not window.is_full_check:
            return
        for name, entry in self._listed.items():
            subject = subject_of(name)
            if subject and window.holds(entry.pushed_at):
                yield subject

    def _bring_one_late(self, subject: Digest) -> None:
        if self._retry_at:
            return
        try:
            if subject in self._in_step or self._stage.holds(subject):
                self.bring([subject])
        except RegistrySyncError as error:
            if isinstance(error, RateLimited):
                self._retry_at = error.retry_at
            self._add(_failed(referrers_tag(subject), error))

    def _bring_tags(self, subject: Digest) -> list[Digest]:
        names = (f"{subject.algorithm}-{subject.encoded}{suffix}" for suffix in COSIGN_SUFFIXES)
        tags = self._tags()
        return [digest for name in names if name in tags for digest in self._bring_tag(name, tags[name], subject)]

    def _tags(self) -> Mapping[str, Digest | None]:
        with self._lock:
            if not self._is_whole:
                repository = self._route.source_repository
                listed = self._source.list_tags(repository)
                self._listed |= {each.name: each for each in map(_about, listed) if subject_of(each.name)}
                self._is_whole = True
            return {name: each.digest for name, each in self._listed.items()}

    def _bring_tag(self, tag: str, listed: Digest | None, subject: Digest) -> list[Digest]:
        started = time.monotonic()
        try:
            digest = listed or self._source.head_manifest(self._route.source_repository, tag)
            there = self._destination.head_manifest(self._route.destination_repository, tag)
            decision = plan_tag(tag, digest, there, self._overwriting)
            if not isinstance(decision, CopyTag):
                return self._leave(decision, subject)
            staged = self._bring_manifest(decision.digest)
            with self._stage.claims.hold([tag]):
                if not self._stage.is_published(decision):
                    self._back_up(decision)
                    self._publish(tag, staged)
        except (RefusedError, DeniedError, NotFound) as error:
            self._add(_refused(tag, subject, error))
            return []
        self._add(_copied(tag, subject, staged, started, f"; {decision.reason}" if there else ""))
        return [decision.digest]

    def _leave(self, decision: Decision, subject: Digest) -> list[Digest]:
        """What is in step counts as brought. A destination may keep signatures of its own, and may insist on them."""
        if isinstance(decision, Failed):
            reason, error_class = f"belongs to {subject.short}; {decision.reason}", decision.error_class
            self._add(TagResult(tag=decision.tag, outcome="failed", reason=reason, error_class=error_class))
        return [decision.digest] if isinstance(decision, Unchanged) else []

    def _back_up(self, copy: CopyTag) -> None:
        """:raises RegistrySyncError: when that fails. Then the tag must not be overwritten."""
        try:
            keep_backup(self._destination, self._route.destination_repository, copy)
        except RateLimited:
            raise
        except RegistrySyncError as error:
            kind = type(error) if isinstance(error, TemporaryError | DeniedError) else RefusedError
            raise kind(unkept(copy, error)) from error

    def _bring_manifest(self, digest: Digest) -> Transferred:
        """Have the destination hold it under its digest."""
        manifest, is_there = self._stage.read(digest)
        with self._stage.claim(manifest):
            return self._stage.stage(manifest, is_there=is_there or self._stage.holds(digest))

    def _publish(self, tag: str, staged: Transferred) -> None:
        """:raises TemporaryError: when the tag then names something else."""
        repository, manifest = self._route.destination_repository, staged.manifest
        try:
            self._destination.put_manifest(repository, tag, manifest)
        except RegistrySyncError as error:
            raise staged.reason(error) from error
        if self._destination.head_manifest(repository, tag) != manifest.digest:
            raise TemporaryError(f"published, but {repository}:{tag} does not name {manifest.digest.short}")

    def _bring_referrers(self, subject: Digest) -> list[Digest]:
        index = self._list_referrers(subject)
        if index is None:
            return []
        there = [each.digest for each in index.children if self._bring_referrer(each.digest, subject)]
        if there:
            self._list_at_destination(subject, select_children(index, there))
        return there

    def _list_referrers(self, subject: Digest) -> Manifest | None:
        """By the source's API, or from the tag that stands in for it. What a tag lists and is no index is no list."""
        repository = self._route.source_repository
        try:
            index = self._source.list_referrers(repository, subject)
            tag = referrers_tag(subject)
            if index is not None or tag not in (tags := self._tags()):
                return index
            digest = tags[tag] or self._source.head_manifest(repository, tag)
            found = self._source.get_manifest(repository, digest) if digest else None
        except (NotFound, RefusedError) as error:
            self._add(_refused(referrers_tag(subject), subject, error))
            return None
        return found if found and found.is_index and found.digest != subject else None

    def _bring_referrer(self, digest: Digest, subject: Digest) -> bool:
        """Whether the destination has it now."""
        started = time.monotonic()
        try:
            if self._stage.holds(digest):
                return True
            staged = self._bring_manifest(digest)
            if staged.refusal:
                raise staged.refusal
        except (RefusedError, DeniedError, NotFound) as error:
            self._add(_refused(str(digest), subject, error))
            return False
        self._add(_copied(str(digest), subject, staged, started))
        return True

    def _list_at_destination(self, subject: Digest, index: Manifest) -> None:
        """Keep the list of referrers where the destination has no API that does.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
        """
        repository, tag = self._route.destination_repository, referrers_tag(subject)
        try:
            if self._destination.list_referrers(repository, subject) is not None:
                return
            with self._stage.claims.hold(
                [tag]
            ):  # of two tasks that add to a list, the second reads what the first wrote
                self._add_to_list(tag, subject, index)
        except (RefusedError, DeniedError) as error:
            self._add(_refused(tag, subject, error))

    def _add_to_list(self, tag: str, subject: Digest, index: Manifest) -> None:
        repository = self._route.destination_repository
        before = self._destination.head_manifest(repository, tag)
        known = [self._destination.get_manifest(repository, before)] if before else []
        if before == subject or not all(each.is_index for each in known):
            raise RefusedError(f"{repository}:{tag} names an image there, and no list of referrers; retag that")
        merged = merge_indexes([*known, index])
        if merged.digest != before:
            self._publish_list(tag, merged, index)

    def _publish_list(self, tag: str, merged: Manifest, own: Manifest) -> None:
        """A registry takes no list of what it does not have: then what it listed before is not there any more."""
        try:
            self._publish(tag, Transferred(manifest=merged, was_there=False))
        except MissingContent:
            self._publish(tag, Transferred(manifest=own, was_there=False))

    def _add(self, result: TagResult) -> None:
        log.info("%s %s: %s", result.tag, result.outcome, result.reason)
        with self._lock:
            self._results.append(result)


def split_artifact_tags(
    listed: Iterable[TagEntry], settings: RouteSettings
) -> tuple[list[TagEntry], tuple[ArtifactTag, ...]]:
    """The tags of images, and those that follow an image: no rule chooses those, and none counts them.

    One that ``names`` has is an image's, whatever its form.
    """
    entries = list(listed)
    follow = {each.name for each in entries if subject_of(each.name)} if settings.signatures else set()
    follow -= settings.tags.named.keys()
    images = [each for each in entries if each.name not in follow]
    return images, tuple(_about(each) for each in entries if each.name in follow)


def explain_artifact_tags(selection: Selection, about: Iterable[ArtifactTag]) -> Selection:
    """The selection with the tags that were set apart, for people who ask about one of them."""
    follow = {each.name: subject for each in about if (subject := subject_of(each.name))}
    reasons = {name: f"no rule counts it, it goes along with {subject.short}" for name, subject in follow.items()}
    return replace(selection, rejected={**selection.rejected, **reasons})


def skipped_artifacts_note(results: Iterable[TagResult]) -> Iterator[str]:
    """What a reader should see of what was left behind, which nothing else shows."""
    skipped = [each for each in results if each.outcome == "skipped"]
    if skipped:
        yield f"{len(skipped)} signatures or the like stay behind: {skipped[0].reason}"


def _about(entry: TagEntry) -> ArtifactTag:
    return ArtifactTag(name=entry.name, digest=entry.digest, pushed_at=entry.pushed_at)


def _copied(tag: str, subject: Digest, staged: Transferred, started: float, why: str = "") -> TagResult:
    return TagResult(
        tag=tag,
        outcome="copied",
        reason=f"belongs to {subject.short}{why}",
        digest=str(staged.manifest.digest),
        sent_bytes=staged.sent_bytes,
        seconds=round(time.monotonic() - started, 3),
    )


def _refused(tag: str, subject: Digest, error: RegistrySyncError) -> TagResult:
    """What cannot be brought. The image itself is mirrored all the same."""
    reason = f"belongs to {subject.short}, and cannot be copied: {error}"
    if isinstance(error, UnsupportedArtifact | NotFound):
        return TagResult(tag=tag, outcome="skipped", reason=reason)
    if isinstance(error, LockedTag):
        return TagResult(tag=tag, outcome="locked", reason=reason, error_class=error.error_class)
    return TagResult(tag=tag, outcome="failed", reason=reason, error_class=error.error_class)


def _failed(tag: str, error: RegistrySyncError) -> TagResult:
    return TagResult(tag=tag, outcome="failed", reason=str(error), error_class=error.error_class)
