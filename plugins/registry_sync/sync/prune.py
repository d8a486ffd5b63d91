"""Observe the tags of a destination for pruning, and delete those that are due. ``prune_plan.py`` decides which."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from registry_sync.errors import (
    DeniedError,
    LockedTag,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.artifact_tags import is_artifact_tag, is_bare_digest
from registry_sync.oci.index_walk import walk_manifests
from registry_sync.oci.manifest import Manifest
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import ListedTag
from registry_sync.sync.plan import DeleteTag, Plan
from registry_sync.sync.prune_plan import (
    SAME_IMAGE,
    BothSides,
    NotPrunable,
    PrunePolicy,
    deletion_candidates,
    deletion_mark,
    may_be_named_after_its_digest,
    prune_policy,
    pruning_obstacle,
)
from registry_sync.sync.report import TagResult
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.session import Session
from registry_sync.sync.threads import thread_pool
from registry_sync.tags.select import Selection

log = logging.getLogger(__name__)


def observe_deletions(
    session: Session, listed: Collection[str], selection: Selection, due: PlannedDeletions | None
) -> BothSides | NotPrunable | None:
    """Read what pruning needs: the tags of the destination, and the digests of those that may be deleted.

    :param listed: all tags of the source.
    :param due: deletions planned by earlier scheduled runs.
    :returns: ``None`` when the route deletes no tags.
    """
    policy = prune_policy(session.route.settings)
    if policy is None:
        return None
    if fault := session.destination.delete_fault():
        return NotPrunable(fault)
    try:
        sides = _list_both_sides(session, policy, listed, selection)
        candidates = deletion_candidates(policy, sides)
        if pruning_obstacle(policy, sides, candidates, due):
            return sides
        return _read_candidates(session, sides, candidates)
    except (DeniedError, RefusedError, TemporaryError) as error:
        return NotPrunable(str(error))


def _list_both_sides(session: Session, policy: PrunePolicy, listed: Collection[str], selection: Selection) -> BothSides:
    entries = _list_destination(session)
    unknown = [entry.name for entry in entries if entry.digest is None and _needs_digest(entry.name, policy, listed)]
    return BothSides(
        listed=frozenset(listed),
        selected=frozenset((*selection.selected, *selection.failed)),
        rejected={tag: reason for tag, reason in selection.rejected.items() if tag not in selection.not_yet},
        destination={**{entry.name: entry.digest for entry in entries}, **_head_all(session, unknown)},
        locked=frozenset(entry.name for entry in entries if entry.is_locked),
        deletes_tags_alone=session.destination.deletes_tags_alone,
    )


def _needs_digest(tag: str, policy: PrunePolicy, listed: Collection[str]) -> bool:
    """Return whether a tag's own digest decides if it may be deleted.

    It may be a backup by a former ``backup_tag``, unless the source lists it, or an image that is named after itself.
    """
    is_candidate = policy.owns(tag) and not policy.is_backup(tag)
    if is_artifact_tag(tag):
        return is_candidate and is_bare_digest(tag)
    return is_candidate and tag not in listed and may_be_named_after_its_digest(tag)


def _read_candidates(session: Session, sides: BothSides, candidates: Collection[str]) -> BothSides:
    """Add the digests of the candidates, and look for the candidates at the source.

    All digests of the destination are read where deleting a tag may delete other tags of its image. Candidates that
    the source did not list are requested by name: a tag that is deleted while a listing is read moves other tags to
    pages that were read before.
    """
    needed = candidates if sides.deletes_tags_alone else (sides.destination if candidates else ())
    digests = _head_all(session, [tag for tag in needed if sides.destination[tag] is None])
    repository = session.route.source_repository
    unlisted = [tag for tag in candidates if tag not in sides.listed]
    found = [tag for tag in unlisted if session.source.head_manifest(repository, tag) is not None]
    return replace(sides, destination={**sides.destination, **digests}, found_at_source=frozenset(found))


def _list_destination(session: Session) -> list[ListedTag]:
    """All tags of the destination repository; none when the repository does not exist."""
    repository = session.route.destination_repository
    try:
        return list(session.destination.list_tags(repository))
    except NotFound:
        return []


def _head_all(session: Session, tags: Sequence[str]) -> dict[str, Digest | None]:
    """The digests of tags at the destination."""
    with thread_pool(session.route.destination.max_connections) as pool:
        return dict(zip(tags, pool.map(lambda tag: _head(session, tag), tags), strict=True))


def _head(session: Session, target: str | Digest) -> Digest | None:
    return session.destination.head_manifest(session.route.destination_repository, target)


def delete_due(session: Session, plan: Plan, others: Iterable[TagResult]) -> list[TagResult]:
    """Delete the tags that are due, and report the planned ones. When another tag failed, nothing is deleted.

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
    marks = tuple(deletion_mark(each.tag, each.digest) for each in plan.deletions if each.tag not in done)
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

        Where a manifest is deleted together with its tag, the digest is locked as well, before the other tags are
        read: another task publishes a tag of that digest either before that, or after the deletion.
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
        except (RateLimited, _UnknownNeeds) as error:
            self.obstacle = error
            result = _postponed(deletion, f"{deletion.reason}; postponed: {error}")
        except RegistrySyncError as error:
            self.obstacle = error if isinstance(error, DeniedError | _TooMuchDeleted) else None
            seconds, reason = time.monotonic() - started, f"not deleted: {error}"
            result = TagResult.of_error(deletion.tag, error, reason=reason, digest=deletion.digest, seconds=seconds)
        log.info("%s %s: %s", result.tag, result.outcome, result.reason)
        return result

    def _delete_one(self, deletion: DeleteTag, started: float) -> TagResult:
        """Read the tag once more, delete it, and verify that it is gone."""
        if self.staying is None:
            self.staying = self._find_staying()
        reason = self._reason_to_keep(deletion) or self._delete_tag(deletion, self.staying)
        if reason:
            return TagResult.skipped(deletion.tag, reason, digest=deletion.digest)
        if _head(self.session, deletion.tag) is not None:
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
            self.needed = self._find_needed(staying)
        if deletion.digest in self.needed:
            return f"{self.needed[deletion.digest]} {SAME_IMAGE} ({self.refusal})"
        with suppress(NotFound):  # the tag went with an image that was deleted before
            repository = self.session.route.destination_repository
            self.session.destination.delete_image(repository, deletion.tag, deletion.digest)
        return ""

    def _deletes_alone(self, deletion: DeleteTag) -> bool:
        """Delete a tag alone; false when the registry refuses that, which is then remembered.

        A registry may answer 404 for a tag that exists (Nexus, sonatype/nexus-public#317), which is a refusal, too.
        """
        client, repository = self.session.destination, self.session.route.destination_repository
        try:
            client.delete_tag(repository, deletion.tag)
        except LockedTag:
            raise
        except NotFound as error:
            if client.deletes_tags_alone or _head(self.session, deletion.tag) is None:
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
        if digest in staying and _head(self.session, digest) is None:
            raise _TooMuchDeleted(
                f"the registry deleted the image {digest.short} with its other tag {staying[digest]}, though only one "
                "tag was to be deleted; no more tags are deleted in this run, and the next one copies the image again "
                "if the source has it. Set prune: {tags: none} for this destination"
            )

    def _reason_to_keep(self, deletion: DeleteTag) -> str:
        """The reason that a due tag must stay; empty when it may be deleted."""
        digest = _head(self.session, deletion.tag)
        if digest is not None and digest != deletion.digest:
            return f"changed since it was observed, to {digest.short}"
        subject = self._read_subject(deletion.digest)
        if subject and _head(self.session, subject) is not None:
            return f"it is attached to {subject.short}, which stays"
        return ""

    def _read_subject(self, digest: Digest) -> Digest | None:
        """The image that a manifest is attached to by its ``subject`` (OCI 1.1)."""
        try:
            manifest = self._read_manifest(digest)
            return Digest.parse(json.loads(manifest.content)["subject"]["digest"]) if manifest else None
        except (KeyError, TypeError, ValueError):
            return None

    def _find_staying(self) -> dict[Digest, str]:
        """The digests of the tags that stay, each with one of its tags. Empty where tags are deleted alone.

        The tags are listed again, because this run may have published some.
        """
        if self.session.destination.deletes_tags_alone:
            return {}
        deleted = {deletion.tag for deletion in self.deletions}
        entries = _list_destination(self.session)
        staying = _head_all(self.session, [entry.name for entry in entries if entry.name not in deleted])
        return {digest: tag for tag, digest in staying.items() if digest}

    def _find_needed(self, staying: Mapping[Digest, str]) -> dict[Digest, str]:
        """The digests of the tags that stay and of all their descendants, each with a tag that needs it.

        :raises _UnknownNeeds: when an index is nested too deeply to be read whole.
        """
        needed = dict(staying)
        with thread_pool(self.session.route.destination.max_connections) as pool:
            for tag, digests in zip(staying.values(), pool.map(self._descendants, staying), strict=True):
                for digest in digests:
                    needed.setdefault(digest, tag)
        return needed

    def _descendants(self, digest: Digest) -> list[Digest]:
        """The digests of all descendants of an index. Parts that cannot be read have none.

        Each child is read and counts by its content: the type that an index declares for a child may be wrong.
        """
        root = self._read_manifest(digest)
        if root is None:
            return []
        try:
            return [child.digest for part in walk_manifests(root, self._read_manifest) for child in part.children]
        except RefusedError as error:
            raise _UnknownNeeds(f"the images that a tag needs are not all known: {error}") from error

    def _read_manifest(self, digest: Digest) -> Manifest | None:
        """A manifest at the destination; ``None`` when it does not exist or is refused."""
        try:
            return self.session.destination.get_manifest(self.session.route.destination_repository, digest)
        except (NotFound, RefusedError):
            return None


class _UnknownNeeds(RefusedError):
    """The destination's tags need images that cannot all be found, so none may be deleted."""


class _TooMuchDeleted(RefusedError):
    """The registry deleted an image though it accepted the deletion of a tag, so no more may be deleted."""


def _postponed(deletion: DeleteTag, reason: str) -> TagResult:
    return TagResult.would_delete(deletion.tag, deletion.digest, reason)
