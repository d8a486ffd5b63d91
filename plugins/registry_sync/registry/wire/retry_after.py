"""Rate limits that responses report, and the delays that they request."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from registry_sync.registry.wire.response import Response


def is_rate_limited(response: Response) -> bool:
    """Return whether a response is the refusal of a rate limit: a 429, or a 403 that says so.

    GitHub answers 403 as well as 429: with ``X-RateLimit-Remaining: 0``, with ``Retry-After``, or with neither and a
    text about its secondary rate limit.
    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    """
    if response.status != 403:
        return response.status == 429
    headers = response.headers
    is_used_up = headers.get("X-RateLimit-Remaining", "").strip() == "0"
    return is_used_up or bool(headers.get("Retry-After", "").strip()) or b"secondary rate limit" in response.content


def requested_delay(response: Response, now: datetime) -> float | None:
    """Requested delay in seconds, from the first header that gives one; capped at one day.

    ``Retry-After`` is a number or a date (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Docker Hub's API
    has sent ``X-Retry-After`` and sends ``X-RateLimit-Reset``, both Unix times
    (https://docs.docker.com/reference/api/hub/latest/), as GitHub does. The latter is on every response, so it counts
    only where the limit is exceeded.
    """
    headers = response.headers
    delays = [_retry_after(headers.get("Retry-After", ""), now), _seconds_until(headers.get("X-Retry-After", ""), now)]
    if is_rate_limited(response):
        delays.append(_seconds_until(headers.get("X-RateLimit-Reset", ""), now))
        delays.append(_part_of_window(headers.get("RateLimit-Limit", "")))
        delays.append(SECONDARY_LIMIT_SECONDS if response.status == 403 else None)
    return next((min(max(delay, 0.0), _MAX_DELAY_SECONDS) for delay in delays if delay is not None), None)


_MAX_DELAY_SECONDS = 24 * 3600.0

SECONDARY_LIMIT_SECONDS = 60.0
"""Delay after a 403 of a rate limit that names none: the least that GitHub asks for, see :func:`is_rate_limited`."""

_FIRST_UNIX_TIME = 1_000_000_000
"""Smaller numbers (times before 2001) are counts of seconds, or anything else."""

WINDOW_PARTS = 12
"""Docker Hub's pull limit is a number of pulls per window (``100;w=21600``), without the time of the next free pull.

Twelve waits of a twelfth each cover the window. A task defers that often before it fails (``MAX_DEFERRALS`` in
``airflow/runs/deferral.py``). https://docs.docker.com/docker-hub/usage/pulls/
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
