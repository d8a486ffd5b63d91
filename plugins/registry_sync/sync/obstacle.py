"""The failure of a whole registry, which ends the work of a task and leaves the rest to its retry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from registry_sync.errors import RateLimited, RegistrySyncError
from registry_sync.sync.session import PING_AFTER_FAILURES


class Obstacle:
    """Counts failures, and finds out if a registry as a whole is the reason. Safe to use from several threads.

    :param pings: called after every :data:`PING_AFTER_FAILURES` temporary failures in a row; raise the error of a
        registry that does not respond.
    """

    def __init__(self, *pings: Callable[[], object]) -> None:
        self._pings = pings
        self._counting = threading.Lock()
        self._failures_in_a_row = 0
        self.error: RegistrySyncError | None = None

    @property
    def retry_at(self) -> datetime | None:
        """The time until which a registry rate-limits us, if one does."""
        return self.error.retry_at if isinstance(self.error, RateLimited) else None

    def count(self, error: RegistrySyncError) -> None:
        """Note a failure."""
        with self._counting:
            if isinstance(error, RateLimited):
                if self.retry_at is None or error.retry_at > self.retry_at:
                    self.error = error
            elif not error.is_permanent and not self.error:
                self._failures_in_a_row += 1
                if self._failures_in_a_row % PING_AFTER_FAILURES == 0:
                    self.error = self._ping()

    def reset(self) -> None:
        """Note a success."""
        self._failures_in_a_row = 0

    def _ping(self) -> RegistrySyncError | None:
        """The error of a registry that does not respond; ``None`` when all respond."""
        try:
            for ping in self._pings:
                ping()
        except RegistrySyncError as error:
            return error
        return None
