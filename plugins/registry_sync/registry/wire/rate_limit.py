"""Client-side rate limit: spaces requests to a host out, and pauses them all when it answers 429.

Quay's own limits are per address and answer 429 without a delay
(https://github.com/quay/quay/blob/master/conf/nginx/rate-limiting.conf.jnj). Threads and tasks that back off one by one
keep such a limit exceeded together. So a 429 holds back every thread and task of the worker, and slows them down
afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from registry_sync.errors import RateLimited, TemporaryError
from registry_sync.registry.wire.rate_state import Lane, RateState, shared_rate_state

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
"""Pause after a 429 without a delay, and the limit up to which it doubles while 429s go on.

A registry that names a longer delay does not pause the host: the call fails, and the task is deferred."""

PATIENCE_SECONDS = 300.0
"""Time for which a request is repeated while it is answered with 429, and for which it waits for pauses to end."""

AGAIN_SECONDS = 180.0
"""Delay of the task after 429s that went on for too long."""

_FARTHEST_SECONDS = 120.0
"""Longest time ahead for which a start is reserved. A later time in the file is from another boot of the machine."""

_STEP_SECONDS = 0.5
"""Longest sleep in one piece, so that a task that is killed ends soon."""

_FIRST_GAP_SECONDS, _LONGEST_GAP_SECONDS = 0.005, 0.5
"""Gap between two starts after a first 429 of a host without a known limit, and the limit up to which it doubles."""

_RECOVERY, _RECOVERY_PER_SECOND = 0.999, 0.5
"""Factor by which each start shortens the gap that a 429 has widened: 700 starts halve it. Wide gaps recover faster, by
half a request per second in each second."""

_FORGET_SECONDS = 60.0
"""Time without any start after which a widened gap is forgotten."""


class RateLimiter:
    """Starts at most ``requests_per_second`` requests to ``server``, and none while its rate limit pauses it.

    The limit is shared by all tasks of this user on this machine. Other machines have limits of their own. Without
    ``server`` it is this object's own.

    :param requests_per_second: ``None`` is unlimited.
    :param lane: requests that share the pace. A pause holds back all lanes of a server.
    """

    def __init__(self, requests_per_second: float | None, *, server: str = "", lane: str = "") -> None:
        self._gap_seconds = 1 / requests_per_second if requests_per_second else 0.0
        self._server = server
        self._state = shared_rate_state(server)
        self._lane = lane
        self._is_closed = False

    def start_at_once(self) -> float | None:
        """The time now, unless a rate or a 429 of the past may hold back a request, see :meth:`wait`.

        :raises TemporaryError: after :meth:`close`.
        """
        self._check_open()
        return None if self._gap_seconds or not self._state.is_new() else time.monotonic()

    def wait(self, patience_seconds: float = PATIENCE_SECONDS) -> float:
        """Sleep until a free start time outside of any pause, and return it.

        After each pause one of the waiting requests is sent. Its 429 begins the next pause, so others may never start.

        :raises RateLimited: when there has been no such time for ``patience_seconds``.
        :raises TemporaryError: after :meth:`close`.
        """
        ends = time.monotonic() + patience_seconds
        while True:
            start = self._reserve()
            if start is None:
                self._sleep_through_pause(ends, patience_seconds)
            elif not self._sleep_until(start) or self._pause_end() <= time.monotonic():
                return start

    def wait_for_pause(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Sleep until the end of a pause, for requests that others send. Raises as :meth:`wait` does."""
        ends = time.monotonic() + patience_seconds
        while self._pause_end() > time.monotonic():
            self._sleep_through_pause(ends, patience_seconds)

    def pause(self, *, sent_at: float, seconds: float | None = None) -> float:
        """Pause all requests after a 429. Return the new pause in seconds; 0 when one had begun already.

        :param sent_at: start of the request that was answered with 429, as :meth:`wait` returned it. Many requests are
            under way when a limit is exceeded; only the first of their 429s begins a pause.
        :param seconds: the delay that the registry named; ``None`` or 0 is a back-off that doubles while 429s go on.
        """
        return self._update(lambda state, now: self._paused(state, now, sent_at, seconds))

    def close(self) -> None:
        """End every wait, because the task ends."""
        self._is_closed = True

    def _reserve(self) -> float | None:
        """Reserve the next free start time; ``None`` during a pause."""
        state = self._state.read()
        now = time.monotonic()
        state = _without_future(state, now)
        if state.paused_until > now:
            return None
        if not (self._gap_seconds or state.lane(self._lane).slower_gap_seconds):
            return now
        return self._update(self._reserved)

    def _update(self, change: Callable[[RateState, float], tuple[RateState, float]]) -> float:
        """Change the state. The clock is read under its lock: a pause that began just before is not in the future."""

        def changed(state: RateState) -> tuple[RateState, float]:
            now = time.monotonic()
            return change(_without_future(state, now), now)

        return self._state.update(changed)

    def _reserved(self, state: RateState, now: float) -> tuple[RateState, float]:
        lane = state.lane(self._lane)
        start = max(now, lane.next_start)
        slower = _recovered(lane.slower_gap_seconds) if now - lane.next_start < _FORGET_SECONDS else 0.0
        slower = slower if slower > max(self._gap_seconds, _FIRST_GAP_SECONDS / 2) else 0.0
        after = Lane(next_start=start + max(self._gap_seconds, slower), slower_gap_seconds=slower)
        return replace(state, lanes={**state.lanes, self._lane: after}), start

    def _paused(self, state: RateState, now: float, sent_at: float, seconds: float | None) -> tuple[RateState, float]:
        is_new = sent_at >= state.paused_at
        if not is_new and (seconds is None or now + seconds <= state.paused_until):
            return state, 0.0
        goes_on = sent_at - state.paused_until < 2 * state.pause_seconds
        backoff = min(2 * state.pause_seconds, LONGEST_PAUSE_SECONDS) if goes_on else FIRST_PAUSE_SECONDS
        pause = min(max(seconds or backoff, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        paused = replace(state, paused_at=now, paused_until=max(state.paused_until, now + pause), pause_seconds=backoff)
        return (self._slowed(paused) if is_new else paused), pause

    def _slowed(self, state: RateState) -> RateState:
        """Twice the gap, from the pause's end on."""
        lane = state.lane(self._lane)
        gap = max(2 * max(self._gap_seconds, lane.slower_gap_seconds), _FIRST_GAP_SECONDS)
        slower = Lane(next_start=state.paused_until, slower_gap_seconds=min(gap, _LONGEST_GAP_SECONDS))
        return replace(state, lanes={**state.lanes, self._lane: slower})

    def _sleep_through_pause(self, ends: float, patience_seconds: float) -> None:
        if time.monotonic() >= ends:
            raise lasting_limit(f"{self._server} answered 429", patience_seconds)
        self._sleep_until(self._pause_end())

    def _pause_end(self) -> float:
        return _without_future(self._state.read(), time.monotonic()).paused_until

    def _sleep_until(self, end: float) -> bool:
        """Return whether that took any sleep. :raises TemporaryError: after :meth:`close`."""
        has_slept = False
        while (seconds := end - time.monotonic()) > 0:
            self._check_open()
            time.sleep(min(seconds, _STEP_SECONDS))
            has_slept = True
        self._check_open()
        return has_slept

    def _check_open(self) -> None:
        if self._is_closed:
            raise TemporaryError("the task is being ended, so nothing more is sent")


def lasting_limit(text: str, patience_seconds: float) -> RateLimited:
    """The error for 429s that went on for ``patience_seconds``. The task is deferred for :data:`AGAIN_SECONDS`."""
    text = f"{text}, for {patience_seconds:g} s although all requests paused"
    return RateLimited(text, retry_at=datetime.now(UTC) + timedelta(seconds=AGAIN_SECONDS))


def _recovered(gap_seconds: float) -> float:
    """A shorter gap after one more start without a 429."""
    if not gap_seconds:
        return 0.0
    return min(gap_seconds * _RECOVERY, 1 / (1 / gap_seconds + _RECOVERY_PER_SECOND * gap_seconds))


def _without_future(state: RateState, now: float) -> RateState:
    """The state without times that are too far ahead to be from this boot of the machine."""
    if state.paused_until > now + LONGEST_PAUSE_SECONDS or state.paused_at > now:
        state = replace(state, paused_at=0.0, paused_until=0.0)
    if not state.lanes:
        return state
    lanes = {name: lane for name, lane in state.lanes.items() if lane.next_start <= now + _FARTHEST_SECONDS}
    return state if len(lanes) == len(state.lanes) else replace(state, lanes=lanes)
