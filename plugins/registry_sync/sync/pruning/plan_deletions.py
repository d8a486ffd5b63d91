"""Plan the deletion of tags at a destination. Pure: ``observe_deletions.py`` reads, and ``delete.py`` deletes.

A run deletes a tag only if an earlier scheduled run planned the same deletion. The comparison is tag by tag, not for
the plan as a whole: rules such as ``newest: 20`` retire a tag every day, so that no plan ever equals the one before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from registry_sync.config.prune_rules import PruneRules
from registry_sync.config.settings import RouteSettings
from registry_sync.oci.artifact_tags import is_artifact_tag, is_own_digest
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import is_reserved_tag
from registry_sync.sync.plan import DeleteTag, Plan
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.tags.backup_names import BackupTemplate
from registry_sync.tags.patterns import first_match
from registry_sync.tags.rules import TagRules
from registry_sync.tags.select import rejection_reason

MAX_PLANNED = 100
"""Deletions of one route that a run plans. Later runs plan the others, so that the record in XCom stays bounded."""

MAX_TAGS_IN_MESSAGE = 5

AGAIN = "deleted when the next scheduled run plans it again"

UNSCHEDULED = "no run deletes it, because only scheduled runs delete and the mirror has no schedule"

SAME_IMAGE = "has the same image, and this registry deletes images only with all their tags"

_DIGEST_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BothSides:
    """The tags of a route's two repositories, as pruning needs them.

    :ivar listed: all tags that the source lists.
    :ivar selected: the listed tags that the route mirrors.
    :ivar rejected: the other listed tags, each with the reason; without those that only have to grow older.
    :ivar destination: all tags at the destination with their digests, as far as they are known.
    :ivar locked: tags that the destination lists as locked.
    :ivar found_at_source: unlisted tags that the source returned when they were requested by name.
    :ivar deletes_tags_alone: deleting a tag leaves the other tags of its image.
    """

    listed: Collection[str]
    selected: Collection[str]
    rejected: Mapping[str, str]
    destination: Mapping[str, Digest | None]
    locked: Collection[str] = frozenset()
    found_at_source: Collection[str] = frozenset()
    deletes_tags_alone: bool = True


@dataclass(frozen=True, slots=True)
class NotPrunable:
    """The data that pruning needs could not be read; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """The settings that decide which tags may be deleted.

    :ivar tags: rules of the route. A tag that they would not select, if the source had it, is not this mirror's.
    """

    rules: PruneRules
    tags: TagRules
    backup_tag: BackupTemplate | None = None

    def owns(self, tag: str) -> bool:
        """Return whether the route's rules would select a tag of that name."""
        return not rejection_reason(tag, self.tags)

    def is_backup(self, tag: str) -> bool:
        """Return whether the tag may be a backup by the template in force."""
        return self.backup_tag is not None and self.backup_tag.is_backup(tag)


def prune_policy(settings: RouteSettings) -> PrunePolicy | None:
    """The prune policy of a route; ``None`` when it deletes no tags."""
    if settings.prune is None or not settings.deletes_tags:
        return None
    return PrunePolicy(rules=settings.prune, tags=settings.tags, backup_tag=settings.backup_tag)


def plan_deletions(
    plan: Plan,
    sides: BothSides,
    settings: RouteSettings,
    due: PlannedDeletions | None,
    *,
    has_schedule: bool = True,
) -> Plan:
    """Add the deletions to a plan. When something looks wrong, none are added, and a note says why.

    :param due: deletions planned by earlier scheduled runs.
    :param has_schedule: the mirror has scheduled runs, which alone delete tags.
    """
    policy = prune_policy(settings)
    if policy is None:
        return plan
    candidates = deletion_candidates(policy, sides)
    if problem := pruning_obstacle(policy, sides, candidates, due):
        seen = len(sides.listed) or (due.listed if due else 0)
        planned = PlannedDeletions(marks=(), listed=seen)
        return replace(plan, planned_deletions=planned, notes=(*plan.notes, f"nothing was pruned: {problem}"))
    shared = {} if sides.deletes_tags_alone else tags_sharing_an_image(candidates, sides.destination)
    later = AGAIN if has_schedule else UNSCHEDULED
    deletions = [
        _plan_deletion(
            policy, DeleteTag(tag=tag, digest=digest, reason=_with_condition(reason, shared.get(tag))), due, later
        )
        for tag, reason in candidates.items()
        if tag not in sides.found_at_source and (digest := sides.destination[tag])
    ][:MAX_PLANNED]
    marks = tuple(deletion_mark(deletion.tag, deletion.digest) for deletion in deletions)
    return replace(
        add_deletions(plan, deletions),
        notes=(*plan.notes, *_case_note(policy, sides)),
        planned_deletions=PlannedDeletions(marks=marks, listed=len(sides.listed)),
    )


def add_deletions(plan: Plan, deletions: Iterable[DeleteTag]) -> Plan:
    """Add deletions to a plan. They replace the decisions to skip these tags."""
    added = tuple(deletions)
    others = plan.without(deletion.tag for deletion in added).decisions
    return replace(plan, decisions=tuple(sorted((*others, *added), key=lambda decision: decision.tag)))


def _plan_deletion(policy: PrunePolicy, deletion: DeleteTag, due: PlannedDeletions | None, later: str) -> DeleteTag:
    """The deletion with what becomes of it: ``later`` if it is not due in this run."""
    if policy.rules.dry_run:
        return replace(deletion, reason=f"{deletion.reason}; only reported, because prune.dry_run is true")
    if due is None or deletion_mark(deletion.tag, deletion.digest) not in due.marks:
        return replace(deletion, reason=f"{deletion.reason}; {later}")
    return replace(deletion, is_due=True)


def _with_condition(reason: str, other: str | None) -> str:
    """The reason of a deletion, for a tag whose image has another tag that stays."""
    return f"{reason}, if this registry deletes a tag alone ({other} has the same image)" if other else reason


def deletion_candidates(policy: PrunePolicy, sides: BothSides) -> dict[str, str]:
    """The destination's tags that pruning would delete, each with the reason."""
    variants = case_variants(sides)
    return {tag: reason for tag, reason in _unprotected(policy, sides).items() if tag not in variants}


def _unprotected(policy: PrunePolicy, sides: BothSides) -> dict[str, str]:
    reasons = {tag: _deletion_reason(tag, policy, sides) for tag in sorted(sides.destination)}
    return {tag: reason for tag, reason in reasons.items() if reason and not _is_protected(tag, policy, sides)}


def case_variants(sides: BothSides) -> dict[str, str]:
    """Tags of the destination that differ in case only from a tag of the source, each with that tag.

    A registry may fold case: Gitea stores ``RC2`` as ``rc2``, lists ``rc2``, and answers to both names. The listed tag
    is then the mirrored one, also when the source has a ``rc2`` that the rules do not select. Whether a registry folds
    case is not known, so such tags are kept at every registry.
    """
    selected, listed = _by_lower_case(sides.selected), _by_lower_case((*sides.listed, *sides.selected))
    others = (tag for tag in sides.destination if tag not in sides.selected)
    variants = {tag: (selected if tag in sides.listed else listed).get(tag.lower()) for tag in others}
    return {tag: other for tag, other in variants.items() if other}


def _by_lower_case(tags: Iterable[str]) -> dict[str, str]:
    return {tag.lower(): tag for tag in sorted(tags)}


def _case_note(policy: PrunePolicy, sides: BothSides) -> Iterable[str]:
    """A note about the tags that are kept because of their case."""
    unprotected = _unprotected(policy, sides)
    kept = [f"{tag} ({other})" for tag, other in sorted(case_variants(sides).items()) if tag in unprotected]
    if kept:
        why = "they differ from a tag of the source in case only, and a registry may store both as one tag"
        yield f"{len(kept)} tags are not deleted: {why}: {_first_names(kept)}"


def _deletion_reason(tag: str, policy: PrunePolicy, sides: BothSides) -> str:
    """The reason to delete a tag; empty when it stays, or when it is not this mirror's."""
    if tag in sides.selected or policy.rules.tags == "none":
        return ""
    if tag not in sides.listed:
        return "gone at the source" if policy.owns(tag) else ""
    is_rejected = policy.rules.tags == "not_selected" and tag in sides.rejected
    return f"no longer selected: {sides.rejected[tag]}" if is_rejected else ""


def _is_protected(tag: str, policy: PrunePolicy, sides: BothSides) -> bool:
    is_kept = first_match(policy.rules.keep or (), tag) is not None
    if is_kept or policy.is_backup(tag) or is_reserved_tag(tag) or tag in sides.locked:
        return True
    digest = sides.destination.get(tag)
    if is_own_digest(tag, digest):
        return False
    return is_artifact_tag(tag) or (tag not in sides.listed and is_named_after_its_digest(tag, digest))


def pruning_obstacle(
    policy: PrunePolicy, sides: BothSides, candidates: Collection[str], due: PlannedDeletions | None
) -> str:
    """The reason that no candidate may be deleted; empty when they may.

    ``max_percent`` is computed over deletable tags only; protected and foreign tags are not counted.
    """
    if not sides.listed:
        return "the source lists no tags"
    if not sides.selected:
        return "the rules select no tags"
    max_percent = policy.rules.max_percent
    if due and len(sides.listed) * 100 < due.listed * (100 - max_percent):
        return (
            f"the source lists {len(sides.listed)} tags, down from {due.listed}; if the next run sees the same, it is "
            "accepted"
        )
    ours = sides.destination.keys() - case_variants(sides).keys()
    owned = (tag for tag in ours if tag in sides.selected or tag in candidates or policy.owns(tag))
    deletable = sum(1 for tag in owned if not _is_protected(tag, policy, sides))
    most = ceil(deletable * max_percent / 100)
    if len(candidates) > most:
        return (
            f"{len(candidates)} of {deletable} tags would be deleted ({_first_names(candidates)}), and max_percent "
            f"{max_percent} allows {most}; to delete them, raise max_percent until that is done"
        )
    return ""


def _first_names(tags: Collection[str]) -> str:
    names = ", ".join(sorted(tags)[:MAX_TAGS_IN_MESSAGE])
    return names if len(tags) <= MAX_TAGS_IN_MESSAGE else f"{names}, …"


def tags_sharing_an_image(candidates: Collection[str], destination: Mapping[str, Digest | None]) -> dict[str, str]:
    """Candidates whose image has another tag that stays, with that tag."""
    ordered = sorted(destination.items(), reverse=True)
    staying = {digest: tag for tag, digest in ordered if digest and tag not in candidates}
    return {tag: staying[digest] for tag in candidates if (digest := destination.get(tag)) in staying}


def may_be_named_after_its_digest(tag: str) -> bool:
    """Return whether a tag may be named after its digest, so that :func:`is_named_after_its_digest` has to decide."""
    return re.search(f"[0-9a-f]{{{_DIGEST_DIGITS}}}", tag) is not None


def is_named_after_its_digest(tag: str, digest: Digest | None) -> bool:
    """Return whether a tag contains the first digits of its digest, as backups do, also those by a former template.

    >>> is_named_after_its_digest("v1-was-0123456789ab", Digest("sha256", "0123456789ab" + 52 * "0"))
    True
    """
    return digest is not None and digest.encoded[:_DIGEST_DIGITS] in tag


def deletion_mark(tag: str, digest: Digest) -> str:
    """Eight hexadecimal digits that identify the deletion of a tag with this digest."""
    return hashlib.sha256(f"{tag}@{digest}".encode()).hexdigest()[:8]
