"""Which tags of a destination are deleted, and why no others: rules, what a run sees, and what it remembers. Pure.

A tag is deleted by a run only if an earlier scheduled run planned that very deletion. Tag by tag, and not the plan as a
whole: where rules such as ``newest: 20`` retire a tag every day, no plan would ever be the same as the one before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil

from registry_sync.config.prune_rules import PruneRules
from registry_sync.oci.artifact_tags import is_artifact_tag
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import is_reserved_tag
from registry_sync.sync.run_state import PlannedDeletions
from registry_sync.tags.patterns import first_match

MOST_AT_ONCE = 100
"""Deletions of one route that a run plans. Later runs plan the others, so that what is remembered is bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BothSides:
    """The tags of a route's two repositories.

    :ivar listed: all that the source lists.
    :ivar selected: those of them that the route mirrors.
    :ivar rejected: the others, each with the reason; without those that will be selected once they are old enough.
    :ivar there: all at the destination, with what they name, as far as that is known.
    :ivar locked: those of them that the destination does not let be deleted.
    """

    listed: Collection[str]
    selected: Collection[str]
    rejected: Mapping[str, str]
    there: Mapping[str, Digest | None]
    locked: Collection[str] = frozenset()


_DIGITS = 8


def may_be_named_after_its_digest(tag: str) -> bool:
    """Whether it is worth a request to know what a tag names, so that :func:`is_named_after_its_digest` can tell."""
    return re.search(f"[0-9a-f]{{{_DIGITS}}}", tag) is not None


def is_named_after_its_digest(tag: str, digest: Digest | None) -> bool:
    """Whether a tag has in it the first digits of what it names. So have backups, also by a template of former days.

    >>> is_named_after_its_digest("v1-was-0123456789ab", Digest("sha256", "0123456789ab" + 52 * "0"))
    True
    """
    return digest is not None and digest.encoded[:_DIGITS] in tag


Owns = Callable[[str], bool]


def candidates(rules: PruneRules, sides: BothSides, *, owns: Owns, is_backup: Callable[[str], bool]) -> dict[str, str]:
    """The destination's tags that are to go, by name, each with the reason.

    :param owns: whether the mirror's rules would choose a tag of that name, if the source had it.
    """
    reasons = {tag: _why(tag, rules, sides, owns) for tag in sorted(sides.there)}
    return {tag: why for tag, why in reasons.items() if why and not _is_protected(tag, rules, sides, is_backup)}


def _why(tag: str, rules: PruneRules, sides: BothSides, owns: Owns) -> str:
    """Why a tag should go; empty when it should stay, or when it is not this mirror's."""
    if tag in sides.selected or rules.tags == "none":
        return ""
    if tag not in sides.listed:
        return "gone at the source" if owns(tag) else ""
    is_left_out = rules.tags == "not_selected" and tag in sides.rejected
    return f"no longer selected: {sides.rejected[tag]}" if is_left_out else ""


def _is_protected(tag: str, rules: PruneRules, sides: BothSides, is_backup: Callable[[str], bool]) -> bool:
    is_kept = first_match(rules.keep or (), tag) is not None
    is_ours = is_backup(tag) or is_artifact_tag(tag) or is_reserved_tag(tag)
    is_old_backup = tag not in sides.listed and is_named_after_its_digest(tag, sides.there.get(tag))
    return is_kept or is_ours or is_old_backup or tag in sides.locked


def refusal(
    rules: PruneRules,
    sides: BothSides,
    wanted: Collection[str],
    earlier: PlannedDeletions | None,
    *,
    owns: Owns,
    is_backup: Callable[[str], bool],
) -> str:
    """Why nothing is deleted although tags are to go; empty when all is well.

    The share is of the tags that could ever be deleted: what is protected, or is somebody else's, makes it no smaller.
    """
    if not sides.listed:
        return "the source lists no tag"
    if not sides.selected:
        return "the rules select no tag"
    if earlier and len(sides.listed) * 100 < earlier.listed * (100 - rules.max_percent):
        return (
            f"the source lists {len(sides.listed)} tags, and {earlier.listed} when it was last looked at; the next run "
            "takes that for true"
        )
    ours = (tag for tag in sides.there if tag in sides.selected or tag in wanted or owns(tag))
    own = sum(1 for tag in ours if not _is_protected(tag, rules, sides, is_backup))
    most = ceil(own * rules.max_percent / 100)
    if len(wanted) > most:
        return (
            f"{len(wanted)} of {own} tags would be deleted ({_some(wanted)}), and max_percent {rules.max_percent} "
            f"allows {most}; if they are to go, raise it for as long as that takes"
        )
    return ""


def _some(names: Collection[str], limit: int = 5) -> str:
    shown = ", ".join(sorted(names)[:limit])
    return shown if len(names) <= limit else f"{shown}, …"


def shared(wanted: Collection[str], there: Mapping[str, Digest | None]) -> dict[str, str]:
    """Of the tags that are to go, those whose image a tag has that stays, each with that one."""
    staying = {digest: tag for tag, digest in sorted(there.items(), reverse=True) if digest and tag not in wanted}
    return {tag: staying[digest] for tag in wanted if (digest := there.get(tag)) in staying}


def mark(tag: str, digest: Digest) -> str:
    """Eight digits that stand for the deletion of a tag that names this digest."""
    return hashlib.sha256(f"{tag}@{digest}".encode()).hexdigest()[:8]
