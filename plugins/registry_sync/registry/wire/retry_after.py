"""Delays that registries request in response headers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry_sync.registry.wire.response import Response


def requested_delay(response: Response, now: datetime) -> float | None:
    """Requested delay in seconds, from the first header that gives one; capped at one day.

    ``Retry-After`` is a number or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Docker Hub's API
    has sent ``X-Retry-After`` and sends ``X-RateLimit-Reset``, both Unix times
    (https://docs.docker.com/reference/api/hub/latest/). The latter is on every response, so it counts only on a 429.
    """
    headers = response.headers
    delays = [_retry_after(headers.get("Retry-After", ""), now), _seconds_until(headers.get("X-Retry-After", ""), now)]
    if response.status == 429:
        delays.append(_seconds_until(headers.get("X-RateLimit-Reset", ""), now))
        delays.append(_part_of_window(headers.get("RateLimit-Limit", "")))
    return next((min(max(delay, 0.0), _MAX_DELAY_SECONDS) for delay in delays if delay is not None), None)


_MAX_DELAY_SECONDS = 24 * 3600.0

_FIRST_UNIX_TIME = 1_000_000_000
"""Smaller numbers (times before 2001) are counts of seconds, or anything else."""

WINDOW_PARTS = 12
"""Docker Hub's pull limit is a number of pulls per window (``100;w=21600``), without the time of the next free pull.

Twelve waits of a twelfth each cover the window. A task defers that often before it fails (``MAX_DEFERRALS`` in
``airflow/deferral.py``). https://docs.docker.com/docker-hub/usage/pulls/
"""


def _retry_after(text: str, now: datetime) -> float | None:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        retry_at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return ((retry_at if retry_at.tzinfo else retry_at.replace(tzinfo=UTC)) - now).total_seconds()


def _seconds_until(text: str, now: datetime) -> float | None:
    """Seconds from ``now`` until a Unix time; ``None`` for any other text."""
    text = text.strip()
    is_time = text.isascii() and text.isdigit() and float(text) >= _FIRST_UNIX_TIME
    return float(text) - now.timestamp() if is_time else None


def _part_of_window(text: str) -> float | None:
    """A twelfth of the window in a header such as ``100;w=21600``, in seconds."""
    window = re.search(r";\s*w=([0-9]+)", text)
    return float(window[1]) / WINDOW_PARTS if window else None
