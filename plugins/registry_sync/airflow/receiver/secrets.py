"""Secrets of webhooks: passwords of Airflow Connections, kept for a short time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.errors import ConfigurationError, TemporaryError

log = logging.getLogger(__name__)

KEPT_SECONDS = 30.0
"""Time after which a Connection is read again: a new secret is valid after it at the latest."""


def read_secret(connection: str) -> str | None:
    """The password of a Connection; ``None`` when there is no such Connection, or it has no password.

    :raises TemporaryError: when the place where Airflow looks for it does not respond.
    :raises ConfigurationError: when Airflow cannot read it.
    """
    found = find_connection(connection)
    return (found.password or None) if found else None


@dataclass(slots=True)
class KeptSecrets:
    """The secrets that were read last. While they cannot be read again, they stay valid."""

    read: Callable[[str], str | None]
    clock: Callable[[], float]
    _kept: dict[str, tuple[float, str | None]] = field(default_factory=dict)

    def get(self, connection: str) -> str | None:
        """The secret of a Connection, or ``None``: then its addresses do not exist."""
        now = self.clock()
        read_at, kept = self._kept.get(connection, (float("-inf"), None))
        if now - read_at < KEPT_SECONDS:
            return kept
        try:
            found = self.read(connection)
        except (TemporaryError, ConfigurationError) as error:
            log.warning("The secret of a webhook cannot be read: %s", error)
            found = kept
        if found is None:
            log.warning("Events are refused: the Connection %r has no secret (registry-sync events)", connection)
        self._kept[connection] = (now, found)
        return found


KEPT = KeptSecrets(read_secret, monotonic)
"""The secrets of this process, for the receiver and the pages."""
