"""Delete the tags that are due."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from registry_sync.errors import (
    DeniedError,
    LockedTag,
    NeededImage,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.reference import Digest
from registry_sync.sync.plan import DeleteTag, Plan
from registry_sync.sync.pruning.destination_tags import head, read_manifest
from registry_sync.sync.pruning.needed_images import UnknownNeeds, find_needed, find_staying
from registry_sync.sync.pruning.plan_deletions import (
    SAME_IMAGE,
    deletion_mark,
)
from registry_sync.sync.report import TagResult
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.session import Session

log = logging.getLogger(__name__)


def delete_due(session: Session, plan: Plan, others: Iterable[TagResult]) -> list[TagResult]:
    """Delete the tags that are due, and report the planned ones. If another tag failed, nothing is deleted.

    :param others: results of all tags that are not to be deleted. A failed one may still need an old image.
    """
    due = [deletion for deletion in plan.deletions if deletion.is_due]
    waiting = [_postponed(deletion, deletion.reason) for deletion in plan.deletions if not deletion.is_due]
    if any(result.outcome == "failed" for result in others):
        reasons = {deletion.tag: f"{deletion.reason}; postponed because other tags failed" for deletion in due}
        return [*waiting, *(_postponed(deletion, reasons[deletion.tag]) for deletion in due)]
    return [*waiting, *(_Deleter(session, due).delete_all() if due else ())]


def undone_deletions(plan: Plan, deleted: Iterable[TagResult]) -> PlannedDeletions | None:
    """The deletions that the next run may do: the planned ones that this run did not do."""
    if plan.planned_deletions is None:
        return None
    done = {result.tag for result in deleted if result.outcome == "deleted"}
    marks = tuple(
        deletion_mark(deletion.tag, deletion.digest) for deletion in plan.deletions if deletion.tag not in done
    )
    return replace(plan.planned_deletions, marks=marks)


def kept_tags_notes(plan: Plan, results: Iterable[TagResult]) -> list[str]:
    """Notes about tags that were due and were kept."""
    due = {deletion.tag for deletion in plan.deletions}
    kept = (result for result in results if result.tag in due and result.outcome == "skipped")
    return [f"{result.tag} is not deleted: {result.reason}" for result in kept]


@dataclass(slots=True)
class _Deleter:
    """Deletes the tags of one repository, one after the other.

    When the registry rate-limits us or denies a deletion, the others are postponed.

    :ivar obstacle: the error that postpones all further deletions.
    :ivar staying: digests of the tags that stay, each with its tag, where a registry may delete images only.
    :ivar refusal: the error by which the registry refused to delete a tag alone.
    :ivar needed: digests that must not be deleted together with a tag; read after a ``refusal``.
    """

    session: Session
    deletions: Sequence[DeleteTag]
    obstacle: RegistrySyncError | None = None
    staying: Mapping[Digest, str] | None = None
    refusal: RefusedError | None = None
    needed: Mapping[Digest, str] | None = None

    def delete_all(self) -> list[TagResult]:
        """One result per tag.

        Where a manifest is deleted together with its tag, the digest is locked too, before the other tags are read.
        Another task then publishes a tag of that digest either before the lock, or after the deletion.
        """
        names = {deletion.tag for deletion in self.deletions}
        if not self.session.destination.deletes_tags_alone:
            names |= {str(deletion.digest) for deletion in self.deletions}
        with self.session.locks.acquire(names):
            return [self._delete(deletion) for deletion in self.deletions]

    def _delete(self, deletion: DeleteTag) -> TagResult:
        if self.obstacle:
            return _postponed(deletion, f"{deletion.reason}; postponed: {self.obstacle}")
        started = time.monotonic()
        try:
            result = self._delete_one(deletion, started)
        except (RateLimited, UnknownNeeds) as error:
            self.obstacle = error
            result = _postponed(deletion, f"{deletion.reason}; postponed: {error}")
        except NeededImage as error:
            result = TagResult.skipped(deletion.tag, str(error), digest=deletion.digest)
        except RegistrySyncError as error:
            self.obstacle = error if isinstance(error, DeniedError | _TooMuchDeleted) else None
            seconds, reason = time.monotonic() - started, f"not deleted: {error}"
            result = TagResult.of_error(deletion.tag, error, reason=reason, digest=deletion.digest, seconds=seconds)
        log.info("%s %s: %s", result.tag, result.outcome, result.reason)
        return result

    def _delete_one(self, deletion: DeleteTag, started: float) -> TagResult:
        """Read the tag once more, delete it, and verify that it is gone."""
        if self.staying is None:
            self.staying = find_staying(self.session, {deletion.tag for deletion in self.deletions})
        reason = self._reason_to_keep(deletion) or self._delete_tag(deletion, self.staying)
        if reason:
            return TagResult.skipped(deletion.tag, reason, digest=deletion.digest)
        if head(self.session, deletion.tag) is not None:
            raise TemporaryError("the registry accepted the deletion, but the tag still exists")
        seconds = time.monotonic() - started
        return TagResult.deleted(deletion.tag, deletion.digest, deletion.reason, seconds=seconds)

    def _delete_tag(self, deletion: DeleteTag, staying: Mapping[Digest, str]) -> str:
        """Delete a tag alone, or with its image where that is refused and nothing else needs the image.

        Returns the reason why it was not deleted, otherwise an empty text.
        """
        if self.refusal is None and self._deletes_alone(deletion):
            self._verify_staying(deletion.digest, staying)
            return ""
        if self.needed is None:
            self.needed = find_needed(self.session, staying)
        if deletion.digest in self.needed:
            return f"{self.needed[deletion.digest]} {SAME_IMAGE} ({self.refusal})"
        with suppress(NotFound):  # the tag went with an image that was deleted before
            repository = self.session.route.destination_repository
            self.session.destination.delete_image(repository, deletion.tag, deletion.digest)
        return ""

    def _deletes_alone(self, deletion: DeleteTag) -> bool:
        """Delete a tag alone; false when the registry refuses that. The refusal is remembered for the next tags.

        A registry may answer 404 for a tag that exists (Nexus, sonatype/nexus-public#317), which is a refusal, too.
        """
        client, repository = self.session.destination, self.session.route.destination_repository
        try:
            client.delete_tag(repository, deletion.tag)
        except LockedTag:
            raise
        except NotFound as error:
            if client.deletes_tags_alone or head(self.session, deletion.tag) is None:
                log.info("%s:%s does not exist any more", repository, deletion.tag)
                return True
            self.refusal = RefusedError(str(error))
        except RefusedError as error:
            if client.deletes_tags_alone:
                raise
            self.refusal = error
        return self.refusal is None

    def _verify_staying(self, digest: Digest, staying: Mapping[Digest, str]) -> None:
        """Check that a deletion of one tag left the image, where the image has another tag.

        :raises _TooMuchDeleted: when it is gone.
        """
        if digest in staying and head(self.session, digest, is_expected=True) is None:
            raise _TooMuchDeleted(
                f"the registry deleted the image {digest.short} with its other tag {staying[digest]}, though only one "
                "tag was to be deleted; no more tags are deleted in this run, and the next one copies the image again "
                "if the source has it. Set prune: {tags: none} for this destination"
            )

    def _reason_to_keep(self, deletion: DeleteTag) -> str:
        """The reason that a due tag must stay; empty when it may be deleted."""
        digest = head(self.session, deletion.tag)
        if digest is not None and digest != deletion.digest:
            return f"changed since it was observed, to {digest.short}"
        subject = self._read_subject(deletion.digest)
        if subject and head(self.session, subject, is_expected=True) is not None:
            return f"it is attached to {subject.short}, which stays"
        return ""

    def _read_subject(self, digest: Digest) -> Digest | None:
        """The image that a manifest is attached to by its ``subject`` (OCI 1.1).

        :raises NeededImage: when the destination does not show the manifest, so that this is not known.
        """
        try:
            manifest = read_manifest(self.session, digest)
            return Digest.parse(json.loads(manifest.content)["subject"]["digest"]) if manifest else None
        except RefusedError as error:
            raise NeededImage(f"it may be attached to an image that stays, and cannot be read: {error}") from error
        except (KeyError, TypeError, ValueError):
            return None


class _TooMuchDeleted(RefusedError):
    """The registry deleted an image with the tag, although it accepted to delete the tag alone. Deletions must stop."""


def _postponed(deletion: DeleteTag, reason: str) -> TagResult:
    return TagResult.would_delete(deletion.tag, deletion.digest, reason)
