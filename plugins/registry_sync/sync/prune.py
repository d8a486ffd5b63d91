"""Look for tags of a destination that are to be deleted, and delete those that are due. ``prune.py`` decides which."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from registry_sync.config.prune_rules import PruneRules
from registry_sync.errors import (
    DeniedError,
    LockedTag,
    NotFound,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.oci.manifest import INDEX_TYPES
from registry_sync.oci.reference import Digest
from registry_sync.registry.client import RegistryClient, TagEntry, bounded_tags
from registry_sync.routes.route import Route
from registry_sync.sync.plan import DeleteTag, Plan, add_deletions
from registry_sync.sync.prune_plan import (
    MOST_AT_ONCE,
    BothSides,
    candidates,
    mark,
    may_be_named_after_its_digest,
    refusal,
    shared,
)
from registry_sync.sync.report import TagResult
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.sync.threads import thread_pool
from registry_sync.tags.select import Selection, rejection_reason
from registry_sync.worker.write_locks import WriteLocks

log = logging.getLogger(__name__)


class Pruning:
    """Finds tags to delete for one route, by ``rules``, which are the route's."""

    def __init__(self, route: Route, source: RegistryClient, destination: RegistryClient, rules: PruneRules) -> None:
        self._route = route
        self._source = source
        self._destination = destination
        self._repository = _Destination(route, destination)
        self._rules = rules

    def add_to(
        self, plan: Plan, listed: Collection[str], selection: Selection, earlier: PlannedDeletions | None
    ) -> Plan:
        """The plan with what is to be deleted. When it cannot be told, nothing is, and a note says why.

        :param listed: all tags of the source, and no fewer.
        :param earlier: what a scheduled run before this one planned; only that is due.
        """
        try:
            return self._add_to(plan, listed, selection, earlier)
        except (DeniedError, RefusedError, TemporaryError) as error:
            return _with_notes(plan, f"nothing is pruned: {error}")

    def _add_to(
        self, plan: Plan, listed: Collection[str], selection: Selection, earlier: PlannedDeletions | None
    ) -> Plan:
        sides = self._observe(listed, selection)
        wanted = candidates(self._rules, sides, owns=self._owns, is_backup=self._is_backup)
        if why := refusal(self._rules, sides, wanted, earlier, owns=self._owns, is_backup=self._is_backup):
            seen = len(listed) or (earlier.listed if earlier else 0)
            return _with_notes(
                replace(plan, pruning=PlannedDeletions(marks=(), listed=seen)), f"nothing is pruned: {why}"
            )
        there = self._digests(wanted, sides.there)
        kept = {} if self._destination.deletes_tags_alone else shared(wanted, there)
        deletions = [
            self._plan(tag, digest, wanted[tag], earlier)
            for tag in self._gone(wanted, listed)
            if tag not in kept and (digest := there[tag])
        ][:MOST_AT_ONCE]
        planned = PlannedDeletions(marks=tuple(mark(each.tag, each.digest) for each in deletions), listed=len(listed))
        notes = [f"{tag} is not deleted: {other} {_SAME_IMAGE}" for tag, other in kept.items()]
        return _with_notes(add_deletions(replace(plan, pruning=planned), tuple(deletions)), *notes)

    def _plan(self, tag: str, digest: Digest, reason: str, earlier: PlannedDeletions | None) -> DeleteTag:
        if self._rules.dry_run:
            return DeleteTag(tag=tag, digest=digest, reason=f"{reason}; only said, since prune.dry_run is true")
        if earlier is None or mark(tag, digest) not in earlier.marks:
            return DeleteTag(tag=tag, digest=digest, reason=f"{reason}; deleted when a scheduled run finds it so again")
        return DeleteTag(tag=tag, digest=digest, reason=reason, is_due=True)

    def _observe(self, listed: Collection[str], selection: Selection) -> BothSides:
        there = self._repository.list_tags()
        unknown = [each.name for each in there if each.digest is None and self._may_be_old_backup(each.name, listed)]
        return BothSides(
            listed=frozenset(listed),
            selected=frozenset((*selection.selected, *selection.failed)),
            rejected={tag: why for tag, why in selection.rejected.items() if tag not in selection.not_yet},
            there={**{each.name: each.digest for each in there}, **self._repository.heads(unknown)},
            locked=frozenset(each.name for each in there if each.is_locked),
        )

    def _may_be_old_backup(self, tag: str, listed: Collection[str]) -> bool:
        """By a template that is not in force any more. What the source lists is no backup of ours."""
        is_strange = tag not in listed and may_be_named_after_its_digest(tag) and not is_artifact_tag(tag)
        return is_strange and self._owns(tag) and not self._is_backup(tag)

    def _owns(self, tag: str) -> bool:
        return not rejection_reason(tag, self._route.settings.tags)

    def _is_backup(self, tag: str) -> bool:
        template = self._route.settings.backup_tag
        return template is not None and template.is_backup(tag)

    def _gone(self, wanted: Collection[str], listed: Collection[str]) -> Iterator[str]:
        """Those of the tags that the source does not have.

        One that is deleted while pages of a listing are read moves others to pages that were read before. So each that
        was not listed is asked for by name.
        """
        for tag in wanted:
            if tag in listed or self._source.head_manifest(self._route.source_repository, tag) is None:
                yield tag

    def _digests(self, wanted: Collection[str], there: Mapping[str, Digest | None]) -> dict[str, Digest | None]:
        """What the tags name; all of them, where deleting one may take others along."""
        needed = wanted if self._destination.deletes_tags_alone else (there if wanted else ())
        return {**there, **self._repository.heads([tag for tag in needed if there[tag] is None])}


class _Destination:
    """The repository in which tags are deleted."""

    def __init__(self, route: Route, client: RegistryClient) -> None:
        self._repository = route.destination_repository
        self._threads = route.destination.max_connections
        self._client = client

    def list_tags(self) -> list[TagEntry]:
        """All tags; none, when it is not there."""
        try:
            return list(bounded_tags(self._client.list_tags(self._repository), self._repository))
        except NotFound:
            return []

    def heads(self, tags: Sequence[str]) -> dict[str, Digest | None]:
        """What tags name."""
        with thread_pool(self._threads) as pool:
            return dict(zip(tags, pool.map(self._head, tags), strict=True))

    def _head(self, target: str | Digest) -> Digest | None:
        return self._client.head_manifest(self._repository, target)

    def delete(self, deletions: Sequence[DeleteTag], claims: WriteLocks) -> list[TagResult]:
        """One result per tag.

        Where a tag goes with its manifest, that is claimed as well, before it is looked at which other tags need it:
        one that another task publishes goes before that look, or comes after the deletion.
        """
        claimed = {each.tag for each in deletions}
        if not self._client.deletes_tags_alone:
            claimed |= {str(each.digest) for each in deletions}
        with claims.hold(claimed):
            return self._delete_each(deletions)

    def _delete_each(self, deletions: Sequence[DeleteTag]) -> list[TagResult]:
        """When the registry asks to wait or does not let us, the others are left for later."""
        results: list[TagResult] = []
        obstacle: RegistrySyncError | None = None
        needed: dict[Digest, str] | None = None
        for each in deletions:
            if obstacle:
                results.append(_waiting(each, f"{each.reason}; left for now: {obstacle}"))
                continue
            started = time.monotonic()
            try:
                needed = self._needed(deletions) if needed is None else needed
                results.append(self._delete(each, needed, started))
            except RateLimited as error:
                obstacle = error
                results.append(_waiting(each, f"{each.reason}; left for now: {error}"))
            except RegistrySyncError as error:
                obstacle = error if isinstance(error, DeniedError) else None
                results.append(_failed(each, error, time.monotonic() - started))
            log.info("%s %s: %s", each.tag, results[-1].outcome, results[-1].reason)
        return results

    def _delete(self, deletion: DeleteTag, needed: Mapping[Digest, str], started: float) -> TagResult:
        """Look once more, delete, and look whether it is gone."""
        digest = str(deletion.digest)
        if why := self._why_not(deletion, needed):
            return TagResult(tag=deletion.tag, outcome="skipped", reason=why, digest=digest)
        try:
            self._client.delete_tag(self._repository, deletion.tag, deletion.digest)
        except NotFound:
            log.info("%s:%s is gone already", self._repository, deletion.tag)
        if self._head(deletion.tag) is not None:
            raise TemporaryError("the registry accepted that, and the tag is still there")
        seconds = round(time.monotonic() - started, 3)
        return TagResult(tag=deletion.tag, outcome="deleted", reason=deletion.reason, digest=digest, seconds=seconds)

    def _why_not(self, deletion: DeleteTag, needed: Mapping[Digest, str]) -> str:
        """Why a tag that is due must stay all the same; empty when it may go."""
        now = self._head(deletion.tag)
        if now is not None and now != deletion.digest:
            return f"moved since it was looked at, to {now.short}"
        if deletion.digest in needed:
            return f"{needed[deletion.digest]} {_SAME_IMAGE}"
        subject = self._subject(deletion.digest)
        if subject and self._head(subject) is not None:
            return f"it belongs to {subject.short}, which stays"
        return ""

    def _subject(self, digest: Digest) -> Digest | None:
        """The image that a manifest refers to, as OCI 1.1 has it."""
        try:
            manifest = self._client.get_manifest(self._repository, digest)
            return Digest.parse(json.loads(manifest.content)["subject"]["digest"])
        except (NotFound, RefusedError, KeyError, TypeError, ValueError):
            return None

    def _needed(self, deletions: Sequence[DeleteTag]) -> dict[Digest, str]:
        """What must not go along with a tag, each with a tag that needs it: what other tags name, and the parts of it.

        Nothing, where tags go alone. It is read anew, since this run may have published some.
        """
        if self._client.deletes_tags_alone:
            return {}
        deleted = {each.tag for each in deletions}
        staying = self.heads([each.name for each in self.list_tags() if each.name not in deleted])
        needed = {digest: tag for tag, digest in staying.items() if digest}
        for digest, tag in list(needed.items()):
            for child in self._children(digest):
                needed.setdefault(child, tag)
        return needed

    def _children(self, digest: Digest) -> list[Digest]:
        """Of an index, all the way down."""
        try:
            manifest = self._client.get_manifest(self._repository, digest)
        except (NotFound, RefusedError):
            return []
        indexes = (each.digest for each in manifest.children if each.media_type in INDEX_TYPES)
        inner = [child for each in indexes for child in self._children(each)]
        return [*(each.digest for each in manifest.children), *inner]


def delete_due(
    route: Route, destination: RegistryClient, plan: Plan, others: Iterable[TagResult], claims: WriteLocks
) -> list[TagResult]:
    """Delete what is due, and say what is not. When another tag failed nothing is deleted: what is old may be needed.

    :param others: what became of all tags that are not to be deleted.
    :param claims: of all that write to the destination repository at once.
    """
    due = [each for each in plan.deletions if each.is_due]
    waiting = [_waiting(each, each.reason) for each in plan.deletions if not each.is_due]
    if any(each.outcome == "failed" for each in others):
        return [*waiting, *(_waiting(each, f"{each.reason}; left for now, since other tags failed") for each in due)]
    return [*waiting, *(_Destination(route, destination).delete(due, claims) if due else ())]


def _waiting(deletion: DeleteTag, reason: str) -> TagResult:
    return TagResult(tag=deletion.tag, outcome="would_delete", reason=reason, digest=str(deletion.digest))


def still_planned(plan: Plan, deleted: Iterable[TagResult]) -> PlannedDeletions | None:
    """What the next run may delete: what this one planned and did not do."""
    if plan.pruning is None:
        return None
    done = {each.tag for each in deleted if each.outcome == "deleted"}
    marks = tuple(mark(each.tag, each.digest) for each in plan.deletions if each.tag not in done)
    return replace(plan.pruning, marks=marks)


def not_deleted(results: Iterable[TagResult], plan: Plan) -> list[str]:
    """For people: the tags that were due, and why they stay."""
    due = {each.tag for each in plan.deletions}
    kept = (each for each in results if each.tag in due and each.outcome == "skipped")
    return [f"{each.tag} is not deleted: {each.reason}" for each in kept]


_SAME_IMAGE = "has the same image, and this registry may delete it with all its tags"


def _with_notes(plan: Plan, *notes: str) -> Plan:
    return replace(plan, notes=(*plan.notes, *notes))


def _failed(deletion: DeleteTag, error: RegistrySyncError, seconds: float) -> TagResult:
    return TagResult(
        tag=deletion.tag,
        outcome="locked" if isinstance(error, LockedTag) else "failed",
        reason=f"not deleted: {error}",
        digest=str(deletion.digest),
        seconds=round(seconds, 3),
        error_class=error.error_class,
    )
