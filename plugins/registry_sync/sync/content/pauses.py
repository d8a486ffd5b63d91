"""Sending content within the pauses that rate limits impose on this worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from registry_sync.errors import RateLimited
from registry_sync.registry.wire.rate_limit import LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS, lasting_limit
from registry_sync.sync.session import Session

T = TypeVar("T")

_AT_ONCE_SECONDS = 10.0
"""Copies that are rate-limited within this time, and were started before, begin one pause and not one each."""


def send_between_pauses(session: Session, send: Callable[[], T]) -> T:
    """Call ``send`` while neither registry is paused. A 429 to it pauses its registry, and then it is repeated.

    For senders that do not repeat their requests, such as skopeo.

    :raises RateLimited: after repetitions for five minutes, or at once for a limit that lasts longer than a pause. The
        time that ``send`` took before its first 429 does not count.
    """
    ends = math.inf
    while True:
        session.source.wait_for_pause()
        session.destination.wait_for_pause()
        started = time.monotonic()
        try:
            return send()
        except RateLimited as error:
            if (error.retry_at - datetime.now(UTC)).total_seconds() > LONGEST_PAUSE_SECONDS:
                raise
            ends = min(ends, time.monotonic() + PATIENCE_SECONDS)
            _pause(session, error, max(started, time.monotonic() - _AT_ONCE_SECONDS))
            if time.monotonic() >= ends:
                raise lasting_limit(str(error), PATIENCE_SECONDS) from error


def _pause(session: Session, error: RateLimited, sent_at: float) -> None:
    """Pause the registry that rate-limits us; both where that is not known.

    Our own requests have paused their host already, which may be a token server's.
    """
    route = session.route
    if error.host in ("", route.source.host):
        session.source.pause(sent_at)
    if error.host in ("", route.destination.host):
        session.destination.pause(sent_at)
