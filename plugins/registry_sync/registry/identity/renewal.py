"""Credentials that are renewed before they end, and when a registry rejects them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from registry_sync.errors import RegistrySyncError
from registry_sync.registry.endpoint import Credentials

log = logging.getLogger(__name__)

DEFAULT_SECONDS = 3600.0
"""Lifetime of credentials whose issuer names no end."""

MARGIN_SECONDS = 300.0
"""Credentials are renewed this long before their end, or a tenth of their lifetime if that is longer.

Metadata servers of machines give out the same token until five minutes before its end."""

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Pauses after failed renewals. They double with each failure in a row."""

REJECTION_SECONDS = 60.0
"""Minimum time between renewals after rejections. A registry that denies a right rejects new credentials as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Credentials, and ``time.monotonic()`` of their renewal and of their end."""

    credentials: Credentials
    renew_at: float
    ends_at: float


class RenewedCredentials:
    """A :class:`~registry_sync.registry.endpoint.CredentialSource` that fetches credentials. Nothing is fetched yet.

    One thread fetches while the others wait for it. While the issuer does not answer, the present credentials are used
    until they end.

    :param user: names the identity in messages.
    :param fetch: returns new credentials, or raises a RegistrySyncError.
    :param mask: called with each new secret, before anything is logged or sent.
    """

    def __init__(self, user: str, fetch: Callable[[], Credentials], mask: Callable[[str], None]) -> None:
        self._user = user
        self._fetch = fetch
        self._mask = mask
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._failure: RegistrySyncError | None = None
        self._failures = 0
        self._retry_at = self._rejection_at = float("-inf")

    @property
    def user(self) -> str:
        """The identity, as messages name it."""
        return self._user

    def current(self) -> Credentials:
        """The present credentials, or new ones when those end soon.

        :raises RegistrySyncError: when there are none that are valid, and no new ones. Further calls raise it without a
            request, until a pause is over.
        """
        held = self._held
        if held and time.monotonic() < held.renew_at:
            return held.credentials
        with self._lock:
            held, now = self._held, time.monotonic()
            if held and now < held.renew_at:
                return held.credentials
            failures = self._failures
            try:
                return self._renew(now)
            except RegistrySyncError as error:
                if held is None or time.monotonic() >= held.ends_at:  # the failure may have taken its time
                    raise
                if self._failures > failures:  # the issuer was asked
                    log.warning("the credentials of %s are not renewed: %s", self._user, error)
                return held.credentials

    def renew(self, rejected: Credentials) -> Credentials:
        """Credentials in place of those that a registry has rejected; the same if the last rejection is not long ago.

        :raises RegistrySyncError: when there are no new ones.
        """
        with self._lock:
            held, now = self._held, time.monotonic()
            if held and held.credentials != rejected:
                return held.credentials
            if now < self._rejection_at + REJECTION_SECONDS:
                return rejected
            renewed = self._renew(now)
            self._rejection_at = now
            return renewed

    def _renew(self, now: float) -> Credentials:
        if self._failure and now < self._retry_at:
            raise self._failure.with_traceback(None)
        try:
            credentials = self._fetch()
        except RegistrySyncError as error:
            self._failure, pause = error, SHORTEST_PAUSE_SECONDS * 2.0**self._failures
            self._failures += 1
            self._retry_at = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)
            raise
        self._mask(credentials.secret)
        self._mask(credentials.basic())
        self._failure, self._failures = None, 0
        self._held = _hold(credentials)
        return credentials


def _hold(credentials: Credentials) -> _Held:
    """Credentials with their times. An end in the past may be a wrong clock, so only a rejection ends them."""
    seconds, now = DEFAULT_SECONDS, time.monotonic()
    if credentials.expires_at:
        seconds = (credentials.expires_at - datetime.now(UTC)).total_seconds()
        seconds = seconds if seconds > 0 else DEFAULT_SECONDS
    margin = min(seconds / 2, max(seconds / 10, MARGIN_SECONDS))
    return _Held(credentials=credentials, renew_at=now + seconds - margin, ends_at=now + seconds)
