"""What a run changed at a destination: the ``extra`` of its asset event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ChangeKind = Literal["arrived", "moved", "backed_up", "repaired", "deleted"]
"""``arrived``: a tag that the destination had not. ``moved``: a tag that had another digest there."""

MAX_CHANGES = 200
"""Changes in one event. ``total`` tells how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. ``repository`` is the whole name at the destination, such as ``example.azurecr.io/team/app``."""

    repository: str
    tag: str
    kind: ChangeKind
    digest: str
    old_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """The changes of one run at one destination, at most :data:`MAX_CHANGES`."""

    mirror: str
    destination: str
    host: str
    run_id: str
    at: datetime
    total: int
    changes: tuple[Change, ...]
