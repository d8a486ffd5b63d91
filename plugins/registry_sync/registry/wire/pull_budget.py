"""Pulls that are left to machines: copying stops before a registry's pull limit is used up.

Docker Hub counts the GETs of manifests of an account, or of an address without one, in a window. Its responses to GET
and HEAD have ``RateLimit-Limit: 100;w=21600`` and ``RateLimit-Remaining: 76;w=21600``; a HEAD does not count. Accounts
without a limit get no such headers: https://docs.docker.com/docker-hub/usage/pulls/.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from registry_sync.errors import RateLimited, RefusedError
from registry_sync.registry.wire.retry_after import WINDOW_PARTS
from registry_sync.registry.wire.shared_state import SharedState
from registry_sync.text_table import human_duration

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
"""Age up to which the number of remaining pulls is believed. Machines pull meanwhile, too."""

_HELD_SECONDS = 3600.0
"""Age after which pulls that a task reserved are free again, because the task was killed."""

_FIELD = re.compile(r"\s*([0-9]{1,9})\s*(?:,[^;]*)?;\s*w=([0-9]{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLimit:
    """The pull limit of an account, as a response reports it."""

    limit: int
    remaining: int
    window_seconds: int


def parse_pull_limit(headers: Mapping[str, str]) -> PullLimit | None:
    """The pull limit in the headers of a response; ``None`` without one.

    >>> parse_pull_limit({"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"})
    PullLimit(limit=100, remaining=76, window_seconds=21600)
    """
    limit = _FIELD.match(headers.get("RateLimit-Limit", ""))
    remaining = _FIELD.match(headers.get("RateLimit-Remaining", ""))
    if not limit or not remaining:
        return None
    return PullLimit(limit=int(limit[1]), remaining=int(remaining[1]), window_seconds=int(limit[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """Known pulls of an account. Times are ``time.monotonic()``.

    :ivar known: the last limit that was reported, less the pulls since; ``None`` for none.
    :ivar read_at: time of the response that reported it.
    :ivar set_at: time at which ``remaining`` last changed.
    :ivar held: pulls that are under way, by a name: their number and the start.
    """

    known: PullLimit | None = None
    read_at: float = 0.0
    set_at: float = 0.0
    held: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def available(self) -> int:
        """Remaining pulls, without those that are under way."""
        return (self.known.remaining if self.known else 0) - sum(count for count, _ in self.held.values())

    def is_fresh(self, now: float) -> bool:
        return self.read_at > 0 and 0 <= now - self.read_at <= FRESH_SECONDS


class PullBudget:
    """The pulls of one account at one registry, shared by all tasks of this user on this machine.

    :param keep: pulls of each window that are left to machines; ``None`` counts the pulls only.
    :param account: user name; empty for the pulls of this address.
    """

    def __init__(self, host: str, account: str, keep: int | None) -> None:
        self._host, self._keep = host, keep
        self._who = f"user {account!r}" if account else "this address"
        self._state = SharedState(f"pulls-{host}-{account}", BudgetState(), _parse, _text)
        self.unknown_note = ""
        """Says that the registry has reported no limit, so that nothing is kept; else empty."""

    @contextmanager
    def hold(self, count: int, ask: Callable[[], Mapping[str, str] | None]) -> Iterator[Held]:
        """Reserve ``count`` pulls for a block, which sends them.

        :param ask: sends a request that does not count, and returns the headers of the response; ``None`` for an error,
            which tells nothing about the account.
        :raises RateLimited: when fewer pulls than ``keep`` would be left. The task goes on when the window has moved.
        :raises RefusedError: when the whole limit is too small for that.
        """
        held = Held()
        if self._keep is None:
            yield held
            return
        name, began = self._reserve(count, ask), time.monotonic()
        try:
            yield held
        finally:
            self._settle(name, count, held.reported, began)

    def _reserve(self, count: int, ask: Callable[[], Mapping[str, str] | None]) -> str:
        """Reserve pulls, and return the name under which they are held. An unknown or old limit is requested first."""
        is_asked = not self._state.read().is_fresh(time.monotonic())
        if is_asked:
            self._ask(ask)
        name = self._try(count)
        if not name and not is_asked:
            self._ask(ask)  # estimates of copies may have been too high, and the window moves
            name = self._try(count)
        if not name:
            raise self._exhausted(count)
        return name

    def _try(self, count: int) -> str:
        """Reserve pulls where that leaves enough, or no limit is known. Return the name; empty otherwise.

        :raises RefusedError: when the limit would never leave enough.
        """
        keep = self._keep or 0

        def reserve(state: BudgetState) -> tuple[BudgetState, str]:
            if state.known is not None and count > state.known.limit - keep:
                raise RefusedError(
                    f"{self._host} allows {self._who} {state.known.limit} pulls in "
                    f"{human_duration(state.known.window_seconds)}, and keep_pulls: {keep} keeps so many that this, "
                    f"which needs {count}, is never possible; lower keep_pulls, or use an account with a higher limit"
                )
            if state.known is not None and state.available - count < keep:
                return state, ""
            name = secrets.token_hex(4)
            return replace(state, held={**state.held, name: (count, time.monotonic())}), name

        return self._state.update(lambda state: reserve(_without_lost(state, time.monotonic())))

    def _ask(self, ask: Callable[[], Mapping[str, str] | None]) -> None:
        sent_at, headers = time.monotonic(), ask()
        if headers is None:
            return
        reported = parse_pull_limit(headers)
        note = f"{self._host} reports no pull limit for {self._who}, so keep_pulls keeps nothing"
        if reported is None and not self.unknown_note:
            log.info("%s", note)
        self.unknown_note = "" if reported else note
        self._state.update(lambda state: (_with_report(state, reported, sent_at), None))

    def _settle(self, name: str, count: int, headers: Mapping[str, str] | None, sent_at: float) -> None:
        """End a reservation. Its pulls are taken as used, unless a response of our own says how many are left.

        A response without a limit does not end a known limit: only the request for the limit does.
        """
        reported = parse_pull_limit(headers) if headers is not None else None

        def settled(state: BudgetState) -> tuple[BudgetState, None]:
            state = replace(state, held={key: value for key, value in state.held.items() if key != name})
            if reported is not None:
                return _with_report(state, reported, sent_at), None
            if state.known is None:
                return state, None
            used = replace(state.known, remaining=max(state.known.remaining - count, 0))
            return replace(state, known=used, set_at=time.monotonic()), None

        self._state.update(settled)

    def _exhausted(self, count: int) -> RateLimited:
        state = self._state.read()
        known = state.known or PullLimit(limit=0, remaining=0, window_seconds=0)
        window = human_duration(known.window_seconds)
        text = (
            f"{self._host} has {max(state.available, 0)} of {known.limit} pulls in {window} left for {self._who}, and "
            f"keep_pulls keeps {self._keep} of them for machines; this needs {count}, and goes on when the limit's "
            "window has moved"
        )
        wait = timedelta(seconds=max(known.window_seconds / WINDOW_PARTS, 1.0))
        return RateLimited(text, retry_at=datetime.now(UTC) + wait, host=self._host)


@dataclass(slots=True)
class Held:
    """Pulls that are reserved. ``reported`` gets the headers of a response to one of them, if we receive one."""

    reported: Mapping[str, str] | None = None


def _with_report(state: BudgetState, reported: PullLimit | None, sent_at: float) -> BudgetState:
    """The state after a response. A response to a request from before the last change does not raise the number."""
    now = time.monotonic()
    if reported is None:
        return replace(state, known=None, read_at=now)
    if state.known is not None and sent_at < state.set_at <= now:
        reported = replace(reported, remaining=min(reported.remaining, state.known.remaining))
    return replace(state, known=reported, read_at=now, set_at=now)


def _without_lost(state: BudgetState, now: float) -> BudgetState:
    """The state without pulls that killed tasks held, and without those of another boot of the machine."""
    return replace(
        state,
        held={name: (count, at) for name, (count, at) in state.held.items() if 0 <= now - at < _HELD_SECONDS},
    )


def _text(state: BudgetState) -> str:
    known = [state.known.limit, state.known.remaining, state.known.window_seconds] if state.known else None
    return json.dumps([known, state.read_at, state.set_at, {name: list(held) for name, held in state.held.items()}])


def _parse(text: str) -> BudgetState:
    """Parse a state. A file that cannot be parsed, such as an empty one, counts as a new state."""
    try:
        known, read_at, set_at, held = json.loads(text)
        return BudgetState(
            known=PullLimit(limit=int(known[0]), remaining=int(known[1]), window_seconds=int(known[2]))
            if known
            else None,
            read_at=float(read_at),
            set_at=float(set_at),
            held={str(name): (int(count), float(at)) for name, (count, at) in held.items()},
        )
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, RecursionError):
        return BudgetState()
