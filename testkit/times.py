"""Ends of delays that code computes from the present time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_WHOLE_SECOND = timedelta(seconds=1)
"""Dates of HTTP and Unix times have whole seconds."""


@dataclass(frozen=True, slots=True)
class Due:
    """The end of a delay that begins at some time from now to the check, however long the machine stands still."""

    delay: timedelta
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def earliest(self) -> datetime:
        """The end of a delay that began at once."""
        return self.began + self.delay

    def is_at(self, found: datetime, *, jitter: timedelta = timedelta()) -> bool:
        """Return whether ``found`` can be its end. :param jitter: the longest random addition."""
        latest = datetime.now(UTC) + self.delay + jitter
        return self.earliest - _WHOLE_SECOND <= found <= latest + _WHOLE_SECOND
