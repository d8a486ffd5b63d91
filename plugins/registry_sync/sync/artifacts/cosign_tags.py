"""Copy the artifacts that cosign attaches to an image by tags, such as ``sha256-….sig``."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from registry_sync.errors import DeniedError, NotFound, RateLimited, RefusedError, RegistrySyncError, TemporaryError
from registry_sync.oci.artifact_tags import COSIGN_SUFFIXES
from registry_sync.oci.reference import Digest
from registry_sync.sync.artifacts.outcomes import copied, refused
from registry_sync.sync.artifacts.work import ArtifactWork
from registry_sync.sync.backup import backup_failure, keep_backup
from registry_sync.sync.plan import CopyTag, Decision, Failed, Unchanged
from registry_sync.sync.plan_route import plan_tag
from registry_sync.sync.publish import is_fresh, is_published
from registry_sync.sync.report import TagResult
from registry_sync.tags.overwrite_policy import overwriting


class CosignTags:
    """Copies the cosign tags of images. ``on_moved_tag`` applies to them too. Safe to use from several threads."""

    def __init__(self, work: ArtifactWork) -> None:
        self._session = work.session
        self._copies = work.copies
        self._tags = work.tags
        self._destination = work.destination
        self._outcomes = work.outcomes
        settings = work.session.route.settings
        self._rules = overwriting(settings.on_moved_tag, settings.backup_tag, frozenset(), datetime.now(UTC))

    def copy(self, subject: Digest) -> list[Digest]:
        """Copy the cosign tags of an image. Returns the digests of those that the destination has now."""
        names = (f"{subject.algorithm}-{subject.encoded}{suffix}" for suffix in COSIGN_SUFFIXES)
        return [digest for name in names if self._tags.may_exist(name) for digest in self._copy_tag(name, subject)]

    def _copy_tag(self, tag: str, subject: Digest) -> list[Digest]:
        """Copy one cosign tag. Returns its digest when the destination has it now."""
        started = time.monotonic()
        try:
            source = self._tags.digest(tag, subject)
            if source is None:
                return []
            observed_at = time.monotonic()
            destination = self._destination.head(tag)
            decision = plan_tag(tag, source, destination, self._rules)
            if not isinstance(decision, CopyTag):
                return self._keep(decision, subject)
            transferred = self._copies.transfer(decision.digest, subject)
            with self._session.locks.acquire([tag]) as has_waited:
                is_known = not has_waited and is_fresh(self._session, decision, observed_at)
                if is_known or not is_published(self._session, decision):
                    self._back_up(decision)
                    self._copies.publish(tag, transferred)
        except (RefusedError, DeniedError, NotFound) as error:
            self._outcomes.add(refused(tag, subject, error), subject)
            return []
        change = f"; {decision.reason}" if destination else ""
        self._outcomes.add(copied(tag, subject, transferred, started, change), subject)
        return [decision.digest]

    def _keep(self, decision: Decision, subject: Digest) -> list[Digest]:
        """Report a tag that is not copied. The destination may keep signatures of its own."""
        if isinstance(decision, Failed):
            reason = f"attached to {subject.short}; {decision.reason}"
            self._outcomes.add(TagResult.failed(decision.tag, reason, decision.error_class), subject)
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
