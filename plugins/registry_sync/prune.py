"""Which tags of a destination are deleted, and why no others: rules, what a run sees, and what it remembers. Pure.

A tag is deleted by a run only if an earlier scheduled run planned that very deletion. Tag by tag, and not the plan as a
whole: where rules such as ``newest: 20`` retire a tag every day, no plan would ever be the same as the one before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from registry_sync.patterns import first_match
from registry_sync.platforms import MEMORY_PREFIX
from registry_sync.reference import Digest
from registry_sync.tags import Patterns

MOST_AT_ONCE = 100
"""Deletions of one route that a run plans. Later runs plan the others, so that what is remembered is bounded."""


class PruneRules(BaseModel):
    """What a mirrors file writes under ``prune:``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    tags: Literal["gone_at_source", "not_selected", "none"] = Field(
        description="Which tags are deleted: those that the source has no more, also those that the rules no longer "
        "select, or none (to turn off what an outer level turns on)"
    )
    keep: Patterns | None = Field(None, description="Patterns of tags that are never deleted")
    max_percent: int = Field(
        10, ge=1, le=100, description="Delete nothing when it would be a larger share of the mirror's tags than this"
    )
    dry_run: bool = Field(True, description="Only report what would be deleted; false deletes it, a run later")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a run of a route planned to delete, for the next: a mark for each tag, and how many the source listed."""

    marks: tuple[str, ...]
    listed: int

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-simple values, for XCom."""
        return {"marks": list(self.marks), "listed": self.listed}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(marks=tuple(document["marks"]), listed=document["listed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BothSides:
    """The tags of a route's two repositories.

    :ivar listed: all that the source lists.
    :ivar selected: those of them that the route mirrors.
    :ivar rejected: the others, each with the reason.
    :ivar there: all at the destination, with what they name, as far as that is known.
    :ivar locked: those of them that the destination does not let be deleted.
    """

    listed: Collection[str]
    selected: Collection[str]
    rejected: Mapping[str, str]
    there: Mapping[str, Digest | None]
    locked: Collection[str] = frozenset()


_ABOUT_A_DIGEST = re.compile(r"sha(256|512)-[0-9a-f]{64}.*")


def is_about_a_digest(tag: str) -> bool:
    """Whether a tag is a signature, an attestation, an SBOM or a list of referrers, by its name."""
    return _ABOUT_A_DIGEST.match(tag) is not None


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
    is_ours = is_backup(tag) or is_about_a_digest(tag) or tag.startswith(MEMORY_PREFIX)
    is_old_backup = tag not in sides.listed and is_named_after_its_digest(tag, sides.there.get(tag))
    return is_kept or is_ours or is_old_backup or tag in sides.locked


def refusal(
    rules: PruneRules,
    sides: BothSides,
    wanted: Collection[str],
    earlier: Planned | None,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """What is planned for one route; ``at`` is the end of the data interval of the run that planned it."""

    planned: Planned
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneMemory:
    """What scheduled runs planned to delete at one destination, by the routes' keys. It crosses XCom between runs."""

    routes: Mapping[str, PlannedRoute]

    def before(self, route: str, moment: datetime) -> Planned | None:
        """What runs before the one whose data interval ends then planned for a route."""
        found = self.routes.get(route)
        return found.planned if found and found.at < moment else None

    def after(self, planned: Mapping[str, Planned], routes: Iterable[str], moment: datetime) -> Self:
        """What is planned after a run: by this one for the routes that it looked at, as before for the others.

        :param routes: keys of all routes that there still are.
        :param moment: the end of the run's data interval.
        """
        kept = {key: each for key, each in self.routes.items() if key in set(routes)}
        late = {key for key, each in kept.items() if each.at > moment}
        new = {key: PlannedRoute(planned=each, at=moment) for key, each in planned.items() if key not in late}
        return type(self)(routes={**kept, **new})

    def to_json(self) -> dict[str, Any]:
        """The memory as JSON-simple values, for XCom."""
        return {key: {**each.planned.to_json(), "at": each.at.isoformat()} for key, each in self.routes.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        routes = {
            key: PlannedRoute(planned=Planned.from_json(each), at=datetime.fromisoformat(each["at"]))
            for key, each in document.items()
        }
        return cls(routes=routes)
