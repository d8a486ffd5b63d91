"""The state of a host's rate limit, which all tasks of one user on one machine share.

Times are ``time.monotonic()``, a clock that all processes of a machine share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_sync.registry.same_registry import registry_key
from registry_sync.registry.wire.shared_state import SharedState


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Requests that are paced together.

    :ivar next_start: the next free start time.
    :ivar slower_gap_seconds: gap between two starts that 429 responses have taught; 0 is none.
    """

    next_start: float = 0.0
    slower_gap_seconds: float = 0.0


_NEW_LANE = Lane()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """State of one host.

    :ivar paused_at: the time at which the latest pause began.
    :ivar paused_until: the time before which nobody sends anything to the host.
    :ivar pause_seconds: back-off of the latest pause.
    """

    paused_at: float = 0.0
    paused_until: float = 0.0
    pause_seconds: float = 0.0
    lanes: Mapping[str, Lane] = field(default_factory=dict)

    def lane(self, name: str) -> Lane:
        return self.lanes.get(name, _NEW_LANE)


def shared_rate_state(server: str) -> SharedState[RateState]:
    """The state of ``server``, under any of its hosts; of the returned object only where it is empty."""
    return SharedState(f"rate-{registry_key(server)}" if server else "", RateState(), _parse, _text)


def _text(state: RateState) -> str:
    lanes = {name: [lane.next_start, lane.slower_gap_seconds] for name, lane in state.lanes.items()}
    return json.dumps([state.paused_at, state.paused_until, state.pause_seconds, lanes])


def _parse(text: str) -> RateState:
    """Parse a state. A file that cannot be parsed, such as an empty one, counts as a new state."""
    try:
        paused_at, paused_until, pause_seconds, lanes = json.loads(text)
        return RateState(
            paused_at=_number(paused_at),
            paused_until=_number(paused_until),
            pause_seconds=_number(pause_seconds),
            lanes={
                str(name): Lane(next_start=_number(start), slower_gap_seconds=_number(gap))
                for name, (start, gap) in lanes.items()
            },
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return RateState()


def _number(raw: Any) -> float:
    """:raises ValueError: when ``raw`` is not a finite number."""
    number = float(raw)
    if not math.isfinite(number):
        raise ValueError(raw)
    return number
