"""Copy the artifacts attached to an image and to its platform images: cosign tags and OCI 1.1 referrers.

Artifacts arrive before the image's tag is published, so no machine pulls a tag whose signature is missing, and a
retry, which works only on missing tags, copies both. An artifact that the destination refuses permanently does not stop
the image: it has a result of its own.

Referrers are requested once per digest. Cosign tags are known from the source's listing, which costs no request.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

from registry_sync.errors import RateLimited, RegistrySyncError, TemporaryError
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.copies import ArtifactCopies
from registry_sync.sync.artifacts.cosign_tags import CosignTags
from registry_sync.sync.artifacts.outcomes import ArtifactOutcomes
from registry_sync.sync.artifacts.referrers import Referrers
from registry_sync.sync.artifacts.source_tags import SourceArtifactTags
from registry_sync.sync.artifacts.work import ArtifactWork
from registry_sync.sync.content.transfer import Transfer
from registry_sync.sync.reading.hidden_tags import HiddenTags
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.report import TagResult
from registry_sync.sync.scope import RouteScope
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
        self._in_sync = {
            state for tag in observation.in_sync if isinstance(state := observation.source.states[tag], Digest)
        }
        self._lock = threading.Lock()
        self._copied: dict[Digest, Future[list[Digest]]] = {}
        self._retry_at: datetime | None = None
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

    def copy_for(self, subjects: Sequence[Digest]) -> None:
        """Copy the artifacts attached to ``subjects``, and the artifacts attached to those. Each digest goes once.

        Waits for a digest that another thread is copying, and fails with it.

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
            return [*self._cosign_tags.copy(subject), *self._referrers.copy(subject)]
        except TemporaryError as error:
            raise TemporaryError(f"the artifacts attached to {subject.short} were not copied: {error}") from error

    def copy_added_later(self, scope: RouteScope) -> None:
        """Copy artifacts that were pushed to the source later than their image.

        These are the artifact tags that the scope names, and those pushed in its window; in a full check all artifact
        tags, and the referrers of all images in sync; after a push the referrers of the images whose tags it names.
        """
        in_sync = self._in_sync if scope.looks_for_artifacts else frozenset[Digest]()
        late = {*self._tags.subjects_in(scope.window), *scope.subjects, *in_sync}
        with thread_pool(self._session.route.settings.parallel_copies) as pool:
            for _ in pool.map(self._copy_late, sorted(late - self._copied.keys())):
                continue

    def _copy_late(self, subject: Digest) -> None:
        if self._retry_at:
            return
        try:
            if subject in self._in_sync or self._transfer.manifests.is_held(subject):
                self.copy_for([subject, *self._unlisted_children(subject)])
        except RegistrySyncError as error:
            if isinstance(error, RateLimited):
                self._retry_at = error.retry_at
            self._outcomes.add(TagResult.failed(referrers_tag(subject), str(error), error.error_class))

    def _unlisted_children(self, digest: Digest) -> list[Digest]:
        """The images of an index, whose artifact tags only a listing would show."""
        if self._tags.has_listing:
            return []
        repository = self._session.route.destination_repository
        return [child.digest for child in self._session.destination.get_manifest(repository, digest).children]
