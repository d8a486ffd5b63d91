"""The artifact tags of a route's source, by its listing or one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from registry_sync.errors import DeniedError, LoginRejected, RefusedError
from registry_sync.oci.artifact_tags import subject_of
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.outcomes import ArtifactOutcomes
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.source import artifact_tag
from registry_sync.sync.session import Session
from registry_sync.sync.window import Window


class SourceArtifactTags:
    """The artifact tags of the source. Safe to use from several threads.

    :param observation: has the artifact tags that the source listed. When that listing was not complete, the source is
        listed once more: an artifact may have been pushed long before a tag of its image. Without a listing, each
        artifact tag that an image may have is looked up by its name.
    """

    def __init__(self, session: Session, observation: Observation, outcomes: ArtifactOutcomes) -> None:
        self._session = session
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._listed = {tag.name: tag for tag in observation.artifacts or ()}
        self._is_complete = observation.is_complete
        self.has_listing = observation.artifacts is not None

    def may_exist(self, tag: str) -> bool:
        """Return whether the source may have an artifact tag. A tag in ``names`` is an image's, whatever its form."""
        if self.has_listing:
            return tag in self._digests()
        return tag not in self._session.route.settings.tags.named

    def digest(self, tag: str, subject: Digest) -> Digest | None:
        """The digest of an artifact tag, by the listing or by HEAD; ``None`` if the source has no such tag.

        A refused tag that no listing shows may not exist, such as at JFrog, and becomes a note.
        """
        listed = self._digests().get(tag) if self.has_listing else None
        try:
            client, repository = self._session.source, self._session.route.source_repository
            return listed or client.head_manifest(repository, tag, is_expected=self.has_listing)
        except (DeniedError, RefusedError) as error:
            if self.has_listing or isinstance(error, LoginRejected):
                raise
            self._outcomes.note_unread("artifact tags", subject, error)
            return None

    def subjects_in(self, window: Window) -> Iterator[Digest]:
        """The subjects of the artifact tags that were pushed in a window."""
        if window.is_everything and not window.is_full_check:
            return
        for name, tag in self._listed.items():
            subject = subject_of(name)
            if subject and window.holds(tag.pushed_at):
                yield subject

    def _digests(self) -> Mapping[str, Digest | None]:
        """All artifact tags of the source, with their digests where the listing has them."""
        with self._lock:
            if not self._is_complete:
                repository = self._session.route.source_repository
                entries = self._session.source.list_tags(repository)
                self._listed |= {entry.name: artifact_tag(entry) for entry in entries if subject_of(entry.name)}
                self._is_complete = True
            return {name: tag.digest for name, tag in self._listed.items()}
