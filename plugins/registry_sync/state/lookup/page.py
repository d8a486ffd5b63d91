"""One page of a long answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some of the items of an answer.

    :ivar total: number of all items; ``offset``: number of those before the first of this page.
    :ivar notes: destinations whose states cannot be read, so that items may be missing.
    """

    items: tuple[Item, ...]
    total: int
    offset: int
    limit: int
    notes: tuple[str, ...] = ()


def page_of(items: Sequence[Item], offset: int, limit: int) -> Page[Item]:
    """One page of a whole answer."""
    return Page(items=tuple(items[offset : offset + limit]), total=len(items), offset=offset, limit=limit)
