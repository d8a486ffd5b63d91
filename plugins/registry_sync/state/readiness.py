"""The state of the readiness checks: the starts of nodes now, and with each single registry down.

All times are aware UTC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from registry_sync.nodes.readiness.model import ImageReadiness
from registry_sync.nodes.readiness.report import ReadinessReport, explain_limit
from registry_sync.nodes.runtime_failover import Verdict
from registry_sync.state.document import as_document
from registry_sync.state.names import MAX_VALUE_BYTES
from registry_sync.state.times import UtcTime
from registry_sync.text import one_line

StartAnswer = Literal["starts", "does_not_start", "not_promised", "unknown", "no_images"]
"""The answer for a pool while a registry is down.

``not_promised``: nodes do not start, and the pool's configuration cannot cover that outage. ``unknown``: a check could
not show if they would start. ``no_images``: the pool has no bootstrap images.
"""

MAX_REASONS = 3

MAX_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStart:
    """The answer for one pool while the registry ``down`` is unreachable.

    :ivar down: a registry of the pool by its name in the mirrors file; ``None``: all are up.
    :ivar wait_seconds: the longest delay of an image by silent registries.
    :ivar reasons: at most three, each ``IMAGE from REGISTRY: PROBLEM``, or why the outage cannot be covered.
    :ivar missing: number of images that nodes do not get.
    :ivar since: the first check that gave this answer; ``None`` where no earlier one stored it.
    """

    pool: str
    down: str | None = None
    answer: StartAnswer
    wait_seconds: int = 0
    missing: int = 0
    reasons: tuple[str, ...] = ()
    since: UtcTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessState:
    """The result of the last readiness check, written by the task ``report`` of its DAG.

    :ivar read_at: when the checks had ended.
    :ivar is_failed: a node would not start although the configuration of its pool promises it.
    :ivar summary: one sentence about all pools.
    :ivar starts: each pool with all registries up, then with each of its registries down.
    """

    read_at: datetime
    run_id: str
    is_failed: bool = False
    summary: str = ""
    starts: tuple[PoolStart, ...] = ()


def readiness_state(
    report: ReadinessReport, *, read_at: datetime, run_id: str, before: ReadinessState | None = None
) -> ReadinessState:
    """The state after a check, with as many reasons as fit into the store.

    :param before: the state after the check before it.
    """
    earlier = {(start.pool, start.down, start.answer): start.since for start in before.starts} if before else {}
    starts = [_pool_start(verdict, report.images) for verdict in report.verdicts]
    return _fitting(
        ReadinessState(
            read_at=read_at,
            run_id=run_id,
            is_failed=report.is_failed,
            summary=one_line(report.summary, 10 * MAX_REASON_LENGTH),
            starts=tuple(
                replace(start, since=earlier.get((start.pool, start.down, start.answer)) or read_at) for start in starts
            ),
        )
    )


def _pool_start(verdict: Verdict, images: Sequence[ImageReadiness]) -> PoolStart:
    missing = frozenset(verdict.missing)
    faulty = [
        image
        for image in images
        if image.pool == verdict.pool and image.image in missing and image.registry != verdict.down and image.fault
    ]
    limits = [] if verdict.is_promised else [explain_limit(verdict)]
    reasons = [*limits, *(f"{image.image} from {image.registry}: {image.problem}" for image in faulty)]
    return PoolStart(
        pool=verdict.pool,
        down=verdict.down,
        answer=_answer(verdict),
        wait_seconds=verdict.wait_seconds,
        missing=len(verdict.missing),
        reasons=tuple(one_line(reason, MAX_REASON_LENGTH) for reason in reasons[:MAX_REASONS]),
    )


def _answer(verdict: Verdict) -> StartAnswer:
    if not verdict.images:
        return "no_images"
    if verdict.starts:
        return "starts"
    if not verdict.is_promised:
        return "not_promised"
    return "unknown" if verdict.is_unknown else "does_not_start"


def _fitting(state: ReadinessState) -> ReadinessState:
    """The state with as many reasons per pool as fit into one value of the store."""
    for count in range(MAX_REASONS, -1, -1):
        starts = tuple(replace(start, reasons=start.reasons[:count]) for start in state.starts)
        shorter = replace(state, starts=starts)
        if len(json.dumps(as_document(shorter), separators=(",", ":")).encode()) <= MAX_VALUE_BYTES:
            break
    return shorter
