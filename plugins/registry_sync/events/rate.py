"""The rate limit of an address: a bucket of tokens, one for each request."""

from __future__ import annotations

import math
from dataclasses import dataclass

CAPACITY = 2_000
"""Requests that may come at once: a release of a thousand images, with two events for each. Quay turns a webhook off
after three failures in a row, so a limit must not meet a genuine storm."""

REQUESTS_PER_SECOND = 20.0


@dataclass(slots=True)
class Bucket:
    """The tokens of one address. Times are monotonic seconds."""

    tokens: float = CAPACITY
    updated: float = 0.0

    def take(self, now: float) -> int:
        """Take a token. Returns 0, or the whole seconds after which there is one again."""
        self.tokens = min(CAPACITY, self.tokens + max(0.0, now - self.updated) * REQUESTS_PER_SECOND)
        self.updated = now
        if self.tokens < 1:
            return math.ceil((1 - self.tokens) / REQUESTS_PER_SECOND)
        self.tokens -= 1
        return 0
