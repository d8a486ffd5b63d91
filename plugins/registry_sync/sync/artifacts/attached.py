"""Copy the artifacts attached to an image and to its platform images: cosign tags and OCI 1.1 referrers.

Artifacts arrive before the image's tag is published, so no machine pulls a tag whose signature is missing, and a
retry, which works only on missing tags, copies both. An artifact that the destination refuses permanently does not stop
the image: it has a result of its own.

Referrers are requested once per digest. Cosign tags are known from the source's listing, which costs no request.
Artifacts that failed are tried again by the next run, from a bounded list: ``lacking.py``. A destination that refuses
them for good must not cost a full check in every run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime

from registry_sync.errors import RateLimited, RegistrySyncError, TemporaryError
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.copies import ArtifactCopies
from registry_sync.sync.artifacts.cosign_tags import CosignTags
from registry_sync.sync.artifacts.lacking import LackingArtifact, LackingArtifacts
from registry_sync.sync.artifacts.outcomes import ArtifactOutcomes
from registry_sync.sync.artifacts.referrers import Referrers
from registry_sync.sync.artifacts.source_tags import SourceArtifactTags
from registry_sync.sync.artifacts.work import ArtifactWork
from registry_sync.sync.content.transfer import Transfer
from registry_sync.sync.plan import Unreadable
from registry_sync.sync.reading.hidden_tags import HiddenTags
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.report import TagResult
from registry_sync.sync.session import Session
from registry_sync.sync.threads import each_at_once, thread_pool


class AttachedArtifacts:
    """Copies the artifacts attached to the images of one route. Safe to use from several threads.

    :param transfer: enforces no policy, because signatures are not signed themselves.
    :param observation: has the artifact tags that the source listed.
    """

    def __init__(self, session: Session, transfer: Transfer, observation: Observation) -> None:
        self._session = session
        self._transfer = transfer
        self._observation = observation
        self._in_sync = {
            state for tag in observation.in_sync if isinstance(state := observation.source.states[tag], Digest)
        }
        self._lock = threading.Lock()
        self._copied: dict[Digest, Future[list[Digest]]] = {}
        known = observation.scope.lacking.artifacts
        self._images = {artifact.subject: artifact.image for artifact in known if artifact.image}
        self._retry_at: datetime | None = None
        self._are_late_tried = False
        self._outcomes = ArtifactOutcomes()
        self._tags = SourceArtifactTags(session, observation, self._outcomes)
        work = ArtifactWork(
            session=session,
            copies=ArtifactCopies(session, transfer),
            tags=self._tags,
            destination=HiddenTags(session.destination, session.route.destination_repository),
            outcomes=self._outcomes,
        )
        self._cosign_tags, self._referrers = CosignTags(work), Referrers(work)

    @property
    def retry_at(self) -> datetime | None:
        """The time until which a registry rate-limits us, if that kept an artifact from being copied."""
        return self._retry_at

    @property
    def results(self) -> list[TagResult]:
        """Results of the artifacts that were copied, refused, or failed."""
        return self._outcomes.results

    @property
    def notes(self) -> Sequence[str]:
        """Notes about artifacts that may exist and could not be read."""
        return self._outcomes.notes

    @property
    def retried(self) -> frozenset[str]:
        """Names of the artifacts that failed in an earlier run, and were looked at again."""
        lacking = self._observation.scope.lacking.artifacts
        return frozenset(artifact.name for artifact in lacking) if self._are_late_tried else frozenset()

    @property
    def lacking(self) -> LackingArtifacts:
        """The artifacts that the next run has to try again.

        Those that failed earlier and are not stored stay until a full check tries them.
        """
        scope = self._observation.scope
        found = [
            LackingArtifact(name=name, subject=subject, image=self._images.get(subject))
            for name, subject in self._outcomes.failed
        ]
        if not self._are_late_tried:
            return LackingArtifacts.first_of([*found, *scope.lacking.artifacts], is_partial=scope.lacking.is_partial)
        is_partial = scope.lacking.is_partial and not scope.window.is_full_check
        return LackingArtifacts.first_of(found, is_partial=is_partial)

    def copy_for(self, image: Digest | None, subjects: Sequence[Digest]) -> None:
        """Copy the artifacts attached to ``subjects``, and the artifacts attached to those. Each digest goes once.

        Waits for a digest that another thread is copying, and fails with it.

        :param image: digest of a tag that leads to ``subjects``, if it is known.
        :raises TemporaryError: when a retry may copy what is missing.
        :raises RateLimited: when a registry rate-limits us.
        """
        pending, seen = dict.fromkeys(subjects), set[Digest]()
        self._note_image(image, pending)
        while pending:
            seen.update(pending)
            found = each_at_once(self._copy_once, list(pending), threads=self._session.threads(len(pending)))
            pending = dict.fromkeys(digest for digests in found for digest in digests if digest not in seen)
            self._note_image(image, pending)

    def _note_image(self, image: Digest | None, subjects: Iterable[Digest]) -> None:
        if image:
            with self._lock:
                self._images |= dict.fromkeys(subjects, image)

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
            return [*self._cosign_tags.copy(subject), *self._referrers.copy(subject)]
        except TemporaryError as error:
            raise TemporaryError(f"the artifacts attached to {subject.short} were not copied: {error}") from error

    def copy_added_later(self) -> None:
        """Copy artifacts that were pushed to the source later than their image, or that failed in an earlier run.

        The late ones are the artifact tags that the scope names, and those pushed in its window; in a full check all
        artifact tags, and the referrers of all images in sync; after a push the referrers of the images whose tags it
        names.
        """
        scope = self._observation.scope
        in_sync = self._in_sync if scope.looks_for_artifacts else frozenset[Digest]()
        late = {*self._tags.subjects_in(scope.window), *scope.subjects, *in_sync}
        with thread_pool(self._session.route.settings.parallel_copies) as pool:
            for copy, items in (
                (self._copy_late, sorted(late - self._copied.keys())),
                (self._copy_again, scope.lacking.artifacts),
            ):
                for _ in pool.map(copy, items):
                    continue
        self._are_late_tried = self._retry_at is None

    def _copy_late(self, subject: Digest) -> None:
        with self._reporting(referrers_tag(subject), subject) as is_possible:
            is_image = subject in self._in_sync
            if is_possible and (is_image or self._transfer.manifests.is_held(subject)):
                self.copy_for(subject if is_image else None, [subject, *self._unlisted_children(subject)])

    def _copy_again(self, artifact: LackingArtifact) -> None:
        """Try an artifact of an earlier run again, unless its image is not mirrored any more.

        One that cannot be looked for is still missing, and fails.
        """
        with self._reporting(artifact.name, artifact.subject) as is_possible:
            if is_possible and self._is_wanted(artifact):
                self.copy_for(artifact.image, [artifact.subject])
                if unread := self._outcomes.unread(artifact.name, artifact.subject):
                    raise TemporaryError(f"it failed in an earlier run, and cannot be looked for now: {unread}")

    @contextmanager
    def _reporting(self, name: str, subject: Digest) -> Iterator[bool]:
        """Turn an error into the result of an artifact. Yields whether no registry rate-limits us."""
        try:
            yield self._retry_at is None
        except RegistrySyncError as error:
            if isinstance(error, RateLimited):
                self._retry_at = error.retry_at
            self._outcomes.add(TagResult.failed(name, str(error), error.error_class), subject)

    def _is_wanted(self, artifact: LackingArtifact) -> bool:
        """Return whether the destination needs an artifact of an earlier run.

        Only a run that read all tags shows that none has the image. In any other the subject decides: while the
        destination has it, a tag may lead to it. A full check finds the artifacts of unknown images by itself.
        """
        is_known = artifact.image is not None or self._observation.scope.window.is_full_check
        if is_known and self._has_read_all_tags():
            return artifact.image in self._in_sync
        return self._transfer.manifests.is_held(artifact.subject)

    def _has_read_all_tags(self) -> bool:
        seen = self._observation
        states = (*seen.source.states.values(), *seen.destination.values())
        is_everything = seen.is_complete and seen.scope.is_everything and not seen.kept
        return is_everything and not any(isinstance(state, Unreadable) for state in states)

    def _unlisted_children(self, digest: Digest) -> list[Digest]:
        """The images of an index, whose artifact tags only a listing would show.

        Those of a listed source are needed where artifacts failed that are not stored.
        """
        if self._tags.has_listing and not self._observation.scope.lacking.is_partial:
            return []
        repository = self._session.route.destination_repository
        return [child.digest for child in self._session.destination.get_manifest(repository, digest).children]
