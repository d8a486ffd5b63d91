"""Secrets of webhooks: passwords of Airflow Connections, kept for a short time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.errors import ConfigurationError, TemporaryError

log = logging.getLogger(__name__)

KEPT_SECONDS = 30.0
"""Time after which a Connection is read again, so that a new secret becomes valid."""


UNKNOWN_SECONDS = 5.0
"""Time after which an unreadable Connection without a known secret is read again."""


class SecretUnknown(Exception):
    """A Connection cannot be read, and no earlier secret of it is known."""


def read_secret(connection: str) -> str | None:
    """The password of a Connection; ``None`` when it does not exist, or has no password.

    Files and secret stores often have a line end after it, which no header can have.

    :raises TemporaryError: when the place where Airflow looks for it does not respond.
    :raises ConfigurationError: when Airflow cannot read it.
    """
    found = find_connection(connection)
    return ((found.password or "").strip() or None) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The result of reading a Connection, and the time until which it is not read again."""

    secret: str | None
    is_known: bool
    until: float


@dataclass(slots=True)
class KeptSecrets:
    """The secrets that were read last. While they cannot be read again, they stay valid."""

    read: Callable[[str], str | None]
    clock: Callable[[], float]
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def get(self, connection: str) -> str | None:
        """The secret of a Connection, or ``None``: then its addresses do not exist.

        :raises SecretUnknown: when the Connection cannot be read, and no secret of it is known.
        """
        kept = self._kept.get(connection)
        if kept is None or self.clock() >= kept.until:
            if kept:  # other requests do not read it too, nor wait for a secrets backend that is slow
                self._kept[connection] = replace(kept, until=self.clock() + UNKNOWN_SECONDS)
            kept = self._kept[connection] = self._read_again(connection, kept)
        if not kept.is_known:
            raise SecretUnknown
        return kept.secret

    def _read_again(self, connection: str, earlier: _Kept | None) -> _Kept:
        try:
            secret = self.read(connection)
        except (TemporaryError, ConfigurationError) as error:
            log.warning("The secret of a webhook cannot be read: %s", error)
            if earlier and earlier.is_known:
                return replace(earlier, until=self.clock() + KEPT_SECONDS)
            return _Kept(secret=None, is_known=False, until=self.clock() + UNKNOWN_SECONDS)
        if secret is None:
            log.warning("Events are refused: the Connection %r has no secret (registry-sync events)", connection)
        return _Kept(secret=secret, is_known=True, until=self.clock() + KEPT_SECONDS)


KEPT = KeptSecrets(read_secret, monotonic)
"""The secrets of this process, for the receiver and the pages."""
