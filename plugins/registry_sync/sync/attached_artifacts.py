"""Copy the artifacts attached to an image and to its platform images: cosign tags and OCI 1.1 referrers.

Artifacts arrive before the image's tag is published, so no machine pulls a tag whose signature is missing, and a
retry, which works only on missing tags, copies both. An artifact that the destination refuses for good does not hold
the image back: it has a result of its own.

Referrers are requested once per digest. Cosign tags are known from the source's listing, which costs no request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from registry_sync.errors import (
    DeniedError,
    LoginRejected,
    ManifestRefused,
    MissingContent,
    NotFound,
    RateLimited,
    ReferrersUnavailable,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
    UnsupportedArtifact,
)
from registry_sync.oci.artifact_tags import COSIGN_SUFFIXES, referrers_tag, subject_of
from registry_sync.oci.manifest import Manifest, merge_indexes, select_children
from registry_sync.oci.reference import Digest
from registry_sync.oci.shapes import has_subject, is_image
from registry_sync.sync.backup import backup_failure, keep_backup
from registry_sync.sync.content.transfer import Transfer, Transferred
from registry_sync.sync.plan import CopyTag, Decision, Failed, Unchanged
from registry_sync.sync.plan_route import plan_tag
from registry_sync.sync.publish import is_fresh, is_published
from registry_sync.sync.reading.hidden_tags import HiddenTags
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.source import artifact_tag
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.sync.threads import each_at_once, thread_pool
from registry_sync.sync.window import Window
from registry_sync.tags.overwrite_policy import overwriting

log = logging.getLogger(__name__)


class AttachedArtifacts:
    """Copies the artifacts attached to the images of one route. Safe to use from several threads.

    :param transfer: enforces no policy, because signatures are not signed themselves. Images are refused in a route
        with a policy.
    :param observation: has the artifact tags that the source listed. When that listing was not complete, the source is
        listed once more: an artifact may have been pushed long before a tag of its image. Without a listing, each
        artifact tag that an image may have is looked up by its name.
    """

    def __init__(self, session: Session, transfer: Transfer, observation: Observation) -> None:
        self._session = session
        self._transfer = transfer
        self._has_listing = observation.artifacts is not None
        self._listed = {tag.name: tag for tag in observation.artifacts or ()}
        self._is_complete = observation.is_complete
        states = observation.source.states
        self._in_sync = {state for tag in observation.in_sync if isinstance(state := states[tag], Digest)}
        settings = session.route.settings
        self._rules = overwriting(settings.on_moved_tag, settings.backup_tag, frozenset(), datetime.now(UTC))
        self._lock = threading.Lock()
        self._copied: dict[Digest, Future[list[Digest]]] = {}
        self._results: list[TagResult] = []
        self._unread: dict[str, dict[Digest, str]] = {"referrers": {}, "artifact tags": {}}
        self._destination = HiddenTags(session.destination, session.route.destination_repository)
        self._retry_at: datetime | None = None

    @property
    def retry_at(self) -> datetime | None:
        """The time until which a registry rate-limits us, if that kept an artifact from being copied."""
        return self._retry_at

    @property
    def results(self) -> list[TagResult]:
        """Results of the artifacts that were copied, refused, or failed."""
        with self._lock:
            return list(self._results)

    @property
    def notes(self) -> Sequence[str]:
        """Notes about artifacts that may exist, and could not be read."""
        with self._lock:
            return [
                f"the {noun} of {len(errors)} images could not be read: {next(iter(errors.values()))}; signatures and "
                "SBOMs attached to them may be missing at the destination"
                for noun, errors in self._unread.items()
                if errors
            ]

    def _note_unread(self, noun: str, subject: Digest, error: RegistrySyncError) -> None:
        log.warning("the %s of %s cannot be read: %s", noun, subject, error)
        with self._lock:
            self._unread[noun].setdefault(subject, str(error))

    def copy_for(self, subjects: Sequence[Digest]) -> None:
        """Copy the artifacts attached to ``subjects``, and the artifacts attached to those. Each digest goes once.

        A digest that another thread is copying is waited for, and fails here as well when it fails there.

        :raises TemporaryError: when a retry may copy what is missing.
        :raises RateLimited: when a registry rate-limits us.
        """
        pending, seen = dict.fromkeys(subjects), set[Digest]()
        while pending:
            seen.update(pending)
            found = each_at_once(self._copy_once, list(pending), threads=self._session.threads(len(pending)))
            pending = dict.fromkeys(digest for digests in found for digest in digests if digest not in seen)

    def _copy_once(self, subject: Digest) -> list[Digest]:
        """The copying thread never waits for another one, which rules out deadlock."""
        with self._lock:
            is_ours = subject not in self._copied
            copied = self._copied.setdefault(subject, Future())
        if is_ours:
            try:
                copied.set_result(self._copy_one(subject))
            except BaseException as error:
                copied.set_exception(error)
                raise
        return copied.result()

    def _copy_one(self, subject: Digest) -> list[Digest]:
        """Return all artifacts that the destination has now.

        An earlier try may have copied an artifact without the artifacts attached to it.
        """
        try:
            return [*self._copy_cosign_tags(subject), *self._copy_referrers(subject)]
        except TemporaryError as error:
            raise TemporaryError(f"the artifacts attached to {subject.short} were not copied: {error}") from error

    def copy_added_later(self, window: Window) -> None:
        """Copy artifacts that were pushed to the source later than their image.

        These are the artifact tags pushed in the window; in a full check all artifact tags, and the referrers of all
        images in sync.
        """
        late = {*self._late_subjects(window), *(self._in_sync if window.is_full_check else ())}
        with thread_pool(self._session.route.settings.parallel_copies) as pool:
            for _ in pool.map(self._copy_late, sorted(late - self._copied.keys())):
                continue

    def _late_subjects(self, window: Window) -> Iterator[Digest]:
        if window.is_everything and not window.is_full_check:
            return
        for name, tag in self._listed.items():
            subject = subject_of(name)
            if subject and window.holds(tag.pushed_at):
                yield subject

    def _copy_late(self, subject: Digest) -> None:
        if self._retry_at:
            return
        try:
            if subject in self._in_sync or self._transfer.manifests.is_held(subject):
                self.copy_for([subject, *self._unlisted_children(subject)])
        except RegistrySyncError as error:
            if isinstance(error, RateLimited):
                self._retry_at = error.retry_at
            self._add(TagResult.failed(referrers_tag(subject), str(error), error.error_class))

    def _unlisted_children(self, digest: Digest) -> list[Digest]:
        """The images of an index, whose artifact tags only a listing would show."""
        if self._has_listing:
            return []
        repository = self._session.route.destination_repository
        return [child.digest for child in self._session.destination.get_manifest(repository, digest).children]

    def _copy_cosign_tags(self, subject: Digest) -> list[Digest]:
        names = (f"{subject.algorithm}-{subject.encoded}{suffix}" for suffix in COSIGN_SUFFIXES)
        return [digest for name in names if self._may_exist(name) for digest in self._copy_tag(name, subject)]

    def _may_exist(self, tag: str) -> bool:
        """Return whether the source may have an artifact tag. A tag in ``names`` is an image's, whatever its form."""
        if self._has_listing:
            return tag in self._artifact_tags()
        return tag not in self._session.route.settings.tags.named

    def _source_digest(self, tag: str, subject: Digest) -> Digest | None:
        """The digest of an artifact tag at the source, by the listing or by HEAD.

        A refused tag that no listing shows may not exist, such as at JFrog: it is noted.
        """
        listed = self._artifact_tags().get(tag) if self._has_listing else None
        try:
            return listed or self._session.source.head_manifest(self._session.route.source_repository, tag)
        except (DeniedError, RefusedError) as error:
            if self._has_listing or isinstance(error, LoginRejected):
                raise
            self._note_unread("artifact tags", subject, error)
            return None

    def _artifact_tags(self) -> Mapping[str, Digest | None]:
        """All artifact tags of the source, with their digests where the listing has them."""
        with self._lock:
            if not self._is_complete:
                repository = self._session.route.source_repository
                entries = self._session.source.list_tags(repository)
                self._listed |= {entry.name: artifact_tag(entry) for entry in entries if subject_of(entry.name)}
                self._is_complete = True
            return {name: tag.digest for name, tag in self._listed.items()}

    def _copy_tag(self, tag: str, subject: Digest) -> list[Digest]:
        """Copy one cosign tag. Returns its digest when the destination has it now."""
        started = time.monotonic()
        try:
            source = self._source_digest(tag, subject)
            if source is None:
                return []
            observed_at = time.monotonic()
            destination = self._destination.head(tag)
            decision = plan_tag(tag, source, destination, self._rules)
            if not isinstance(decision, CopyTag):
                return self._keep(decision, subject)
            transferred = self._transfer_digest(decision.digest, subject)
            with self._session.locks.acquire([tag]) as has_waited:
                is_known = not has_waited and is_fresh(self._session, decision, observed_at)
                if is_known or not is_published(self._session, decision):
                    self._back_up(decision)
                    self._publish(tag, transferred)
        except (RefusedError, DeniedError, NotFound) as error:
            self._add(_refused(tag, subject, error))
            return []
        self._add(_copied(tag, subject, transferred, started, f"; {decision.reason}" if destination else ""))
        return [decision.digest]

    def _keep(self, decision: Decision, subject: Digest) -> list[Digest]:
        """Report a tag that is not copied. The destination may keep signatures of its own."""
        if isinstance(decision, Failed):
            reason = f"attached to {subject.short}; {decision.reason}"
            self._add(TagResult.failed(decision.tag, reason, decision.error_class))
        return [decision.digest] if isinstance(decision, Unchanged) else []

    def _back_up(self, copy: CopyTag) -> None:
        """:raises RegistrySyncError: when the backup failed. The tag must then not be overwritten."""
        try:
            keep_backup(self._session, copy)
        except RateLimited:
            raise
        except RegistrySyncError as error:
            kind = type(error) if isinstance(error, TemporaryError | DeniedError) else RefusedError
            raise kind(backup_failure(copy, error)) from error

    def _transfer_digest(self, digest: Digest, subject: Digest) -> Transferred:
        """Transfer an artifact. Its subject is there before it, because some registries require that."""
        manifest, is_held = self._transfer.manifests.read(digest)
        self._check_policy(manifest)
        self._transfer.mover.settle(subject)
        return self._transfer.transfer_manifest(manifest, is_held=is_held)

    def _check_policy(self, manifest: Manifest) -> None:
        """:raises RefusedError: when a policy is set and this is an image, which would bypass it."""
        if self._session.route.settings.policy and is_image(manifest):
            raise RefusedError("it is an image, not an artifact; the policy does not check attached artifacts")

    def _publish(self, tag: str, transferred: Transferred) -> None:
        """:raises TemporaryError: when the tag does not have the digest afterwards."""
        client, repository = self._session.destination, self._session.route.destination_repository
        try:
            client.put_manifest(repository, tag, transferred.manifest)
        except RegistrySyncError as error:
            raise _explain_refusal(transferred.manifest, transferred.explain(error)) from error
        if client.head_manifest(repository, tag) != transferred.manifest.digest:
            expected = transferred.manifest.digest.short
            raise TemporaryError(f"published, but {repository}:{tag} does not have the digest {expected}")

    def _copy_referrers(self, subject: Digest) -> list[Digest]:
        index = self._list_referrers(subject)
        if index is None:
            return []
        present = [child.digest for child in index.children if self._copy_referrer(child.digest, subject)]
        if present:
            self._list_at_destination(subject, select_children(index, present))
        return present

    def _list_referrers(self, subject: Digest) -> Manifest | None:
        """List referrers by the source's API, or by the tag that replaces it. Such a tag counts only if it is an index.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
        """
        source, repository = self._session.source, self._session.route.source_repository
        try:
            index = self._read_referrers_api(subject)
            tag = referrers_tag(subject)
            if index is not None or not self._may_exist(tag):
                return index
            digest = self._source_digest(tag, subject)
            manifest = source.get_manifest(repository, digest) if digest else None
        except (NotFound, RefusedError, DeniedError) as error:
            self._add(_refused(referrers_tag(subject), subject, error))
            return None
        return manifest if manifest and manifest.is_index and manifest.digest != subject else None

    def _read_referrers_api(self, subject: Digest) -> Manifest | None:
        """The answer of the source's API. What it cannot answer now is noted, and holds no image back."""
        try:
            return self._session.source.list_referrers(self._session.route.source_repository, subject)
        except ReferrersUnavailable as error:
            self._note_unread("referrers", subject, error)
            return None

    def _copy_referrer(self, digest: Digest, subject: Digest) -> bool:
        """Copy one referrer. Returns whether the destination has it now."""
        started = time.monotonic()
        try:
            if self._transfer.manifests.is_held(digest):
                if self._session.route.settings.policy:  # the list of referrers would lead to an image
                    self._check_policy(self._transfer.manifests.read(digest)[0])
                return True
            transferred = self._transfer_digest(digest, subject)
            self._transfer.mover.settle(digest)
            if transferred.refusal:
                raise _explain_refusal(transferred.manifest, transferred.refusal)
        except (RefusedError, DeniedError, NotFound) as error:
            self._add(_refused(str(digest), subject, error))
            return False
        self._add(_copied(str(digest), subject, transferred, started))
        return True

    def _list_at_destination(self, subject: Digest, index: Manifest) -> None:
        """Write the list of referrers under its tag, where the destination has no referrers API.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject
        """
        tag = referrers_tag(subject)
        try:
            if self._has_referrers_api(subject):
                return
            with self._session.locks.acquire([tag]):  # another task that adds to the list reads what this one wrote
                self._add_to_list(tag, subject, index)
        except (RefusedError, DeniedError) as error:
            self._add(_refused(tag, subject, error))

    def _has_referrers_api(self, subject: Digest) -> bool:
        """Return whether the destination lists the referrers itself. In doubt it gets the tag, which harms nothing."""
        try:
            repository = self._session.route.destination_repository
            return self._session.destination.list_referrers(repository, subject) is not None
        except ReferrersUnavailable as error:
            log.info("writing a list of the referrers of %s, since the destination shows none: %s", subject, error)
            return False

    def _add_to_list(self, tag: str, subject: Digest, index: Manifest) -> None:
        client, repository = self._session.destination, self._session.route.destination_repository
        before = self._destination.head(tag)
        existing = [client.get_manifest(repository, before)] if before else []
        if before == subject:
            raise UnsupportedArtifact(
                f"{repository}:{tag} is the image itself, so that the destination can hold no list of its referrers "
                "(GitLab reads such a tag as the digest)"
            )
        if not all(manifest.is_index for manifest in existing):
            raise RefusedError(f"{repository}:{tag} is an image, not a list of referrers; give that image another tag")
        merged = merge_indexes([*existing, index])
        if merged.digest != before:
            self._publish_list(tag, merged, index)

    def _publish_list(self, tag: str, merged: Manifest, own: Manifest) -> None:
        """Publish the merged list; only our own entries when entries of the former list are missing."""
        try:
            self._publish(tag, Transferred(manifest=merged, was_held=False))
        except MissingContent:
            self._publish(tag, Transferred(manifest=own, was_held=False))

    def _add(self, result: TagResult) -> None:
        log.info("%s %s: %s", result.tag, result.outcome, result.reason)
        with self._lock:
            self._results.append(result)


def skipped_artifacts_note(results: Iterable[TagResult]) -> Iterator[str]:
    """One note about skipped artifacts; the report shows them nowhere else."""
    skipped = [result for result in results if result.outcome == "skipped"]
    if skipped:
        yield f"{len(skipped)} attached artifacts (signatures, for example) were skipped: {skipped[0].reason}"


def _copied(tag: str, subject: Digest, transferred: Transferred, started: float, change: str = "") -> TagResult:
    return TagResult.copied(
        tag,
        transferred.manifest.digest,
        f"attached to {subject.short}{change}",
        sent_bytes=transferred.sent_bytes,
        seconds=time.monotonic() - started,
    )


def _explain_refusal(artifact: Manifest, error: RegistrySyncError) -> RegistrySyncError:
    """The error for a refused artifact. Registries without OCI 1.1, such as ECR, refuse the field ``subject``."""
    if isinstance(error, ManifestRefused) and has_subject(artifact):
        return UnsupportedArtifact(f"the destination cannot hold referrers ({error})")
    return error


def _refused(tag: str, subject: Digest, error: RegistrySyncError) -> TagResult:
    """The result of an artifact that cannot be copied. The image itself is mirrored."""
    reason = f"attached to {subject.short}, cannot be copied: {error}"
    if isinstance(error, UnsupportedArtifact | NotFound):
        return TagResult.skipped(tag, reason)
    return TagResult.of_error(tag, error, reason=reason)
