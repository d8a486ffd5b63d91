"""Delays that registries request in response headers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry_sync.registry.response import Answer


def requested_delay(answer: Answer, now: datetime) -> float | None:
    """Seconds that the registry asks to be left alone, from whichever header says it; at most a day is believed.

    ``Retry-After`` is a number or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Docker Hub's API
    once had ``X-Retry-After`` and has ``X-RateLimit-Reset``, both Unix times
    (https://docs.docker.com/reference/api/hub/latest/); the latter stands on every answer, and asks to wait on a 429.
    """
    headers = answer.headers
    waits = [_retry_after(headers.get("Retry-After", ""), now), _seconds_until(headers.get("X-Retry-After", ""), now)]
    if answer.status == 429:
        waits.append(_seconds_until(headers.get("X-RateLimit-Reset", ""), now))
        waits.append(_part_of_window(headers.get("RateLimit-Limit", "")))
    named = (min(max(wait, 0.0), _LONGEST_BELIEVED_SECONDS) for wait in waits if wait is not None)
    return next(named, None)


_LONGEST_BELIEVED_SECONDS = 24 * 3600.0

_FIRST_UNIX_TIME = 1_000_000_000
"""A smaller number (a time before 2001) is no time but a count of seconds, or of anything else."""

WINDOW_PARTS = 12
"""Docker Hub's pull limit is so many pulls in a window (``100;w=21600``), and names no time from which on one is free.

Twelve waits of a twelfth each cover the window; a task waits that often before it gives up
(``operators/waiting.py``, ``MOST_WAITS``). https://docs.docker.com/docker-hub/usage/pulls/
"""


def _retry_after(text: str, now: datetime) -> float | None:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        asked = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return ((asked if asked.tzinfo else asked.replace(tzinfo=UTC)) - now).total_seconds()


def _seconds_until(text: str, now: datetime) -> float | None:
    """From ``now`` until a Unix time; ``None`` when it is none."""
    text = text.strip()
    is_time = text.isascii() and text.isdigit() and float(text) >= _FIRST_UNIX_TIME
    return float(text) - now.timestamp() if is_time else None


def _part_of_window(text: str) -> float | None:
    """A twelfth of the window in a header such as ``100;w=21600``, in seconds."""
    window = re.search(r";\s*w=([0-9]+)", text)
    return float(window[1]) / WINDOW_PARTS if window else None
