"""Totals of plans: tags, bytes, pulls and requests. Values and their text; the same for ``plan`` and a dry run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, assert_never

from registry_sync.sync.plan import CopyTag, Decision, DeleteTag, Failed, Locked, NotCompared, Plan, Skipped, Unchanged
from registry_sync.text_table import human_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTotals:
    """The totals of one plan, or of several.

    :ivar copy: tags that the destination lacks.
    :ivar move: tags that have another digest at the destination, and get the source's.
    :ivar keep: tags that stay as they are at the destination: in sync, or kept by ``on_moved_tag``.
    :ivar delete: tags to delete at the destination, in this run or a later one.
    :ivar skip: tags that are not mirrored.
    :ivar fail: tags that would fail, and locked ones.
    :ivar images: digests to send. All tags of a digest count once, and a digest that another tag of the destination
        has does not count.
    :ivar sized: images whose manifests were read.
    :ivar size_bytes: layers and configs of these, each blob once a route. The destination may have some of them.
    :ivar pulls: manifests of images to read at Docker Hub, one per platform; of an image that is not sized, one.
    :ivar unsized_pulls: images of Docker Hub that are not sized, so that ``pulls`` is a lower bound.
    :ivar requests: requests that planning took.
    :ivar requested_pulls: manifests that planning read at Docker Hub.
    """

    copy: int = 0
    move: int = 0
    keep: int = 0
    delete: int = 0
    skip: int = 0
    fail: int = 0
    images: int = 0
    sized: int = 0
    size_bytes: int = 0
    pulls: int = 0
    unsized_pulls: int = 0
    requests: int = 0
    requested_pulls: int = 0

    def __add__(self, other: Self) -> Self:
        """The totals of both."""
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def to_json(self) -> dict[str, Any]:
        """The totals as JSON-simple values."""
        return asdict(self)


_NAMES = tuple(field.name for field in fields(PlanTotals))

NO_TOTALS = PlanTotals()


def sum_totals(totals: Iterable[PlanTotals]) -> PlanTotals:
    """The totals of all."""
    return sum(totals, NO_TOTALS)


def count_tags(plan: Plan) -> PlanTotals:
    """The numbers of tags of a plan."""
    return sum_totals(PlanTotals(**{_kind(decision): 1}) for decision in plan.decisions)


def _kind(decision: Decision) -> str:
    """The field of :class:`PlanTotals` that a decision counts for."""
    match decision:
        case CopyTag(replaces=replaces):
            return "move" if replaces else "copy"
        case Unchanged() | NotCompared():
            return "keep"
        case Skipped(kept=kept):
            return "keep" if kept else "skip"
        case DeleteTag():
            return "delete"
        case Locked() | Failed():
            return "fail"
        case _ as unreachable:
            assert_never(unreachable)


def totals_text(totals: PlanTotals) -> str:
    """The totals in lines of at most 80 characters, unless the numbers are very long.

    >>> print(totals_text(PlanTotals(copy=2, keep=1, images=1, sized=1, size_bytes=1200, requests=9)))
    tags      2 to copy, 0 to move, 1 to keep, 0 to delete
    to send   1 image, at most 1.2 kB, without attached artifacts
    planning  9 requests
    """
    return "\n".join(f"{name:8}  {text}" for name, text in _lines(totals))


def _lines(totals: PlanTotals) -> Iterator[tuple[str, str]]:
    yield "tags", f"{totals.copy} to copy, {totals.move} to move, {totals.keep} to keep, {totals.delete} to delete"
    if totals.skip or totals.fail:
        yield "", f"{totals.skip} not mirrored, {totals.fail} would fail"
    yield "to send", _size_text(totals)
    if totals.pulls:
        least = "at least " if totals.unsized_pulls else ""
        yield "pulls", f"{least}{totals.pulls} of Docker Hub's limit, one per platform of an image"
    used = f", {totals.requested_pulls} of them pulls of Docker Hub's limit" if totals.requested_pulls else ""
    yield "planning", f"{totals.requests} requests{used}"


def _size_text(totals: PlanTotals) -> str:
    if not totals.images:
        return "nothing"
    images = f"{totals.images} image{'s' if totals.images > 1 else ''}"
    if not totals.sized:
        return f"{images}; plan --sizes all shows how many bytes{_hub_price(totals)}"
    if totals.sized < totals.images:
        size = f"at most {human_bytes(totals.size_bytes)} for {totals.sized} of them"
        return f"{images}, {size}; plan --sizes all reads more{_hub_price(totals)}"
    return f"{images}, at most {human_bytes(totals.size_bytes)}, without attached artifacts"


def _hub_price(totals: PlanTotals) -> str:
    return ", as pulls" if totals.unsized_pulls else ""
