"""A registry whose kind has an HTTP API of its own beside ``/v2``, possibly at another address."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from registry_sync.errors import ConfigurationError
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.traffic import Traffic
from registry_sync.registry.wire.auth import Authenticator, renewed_basic
from registry_sync.registry.wire.transport import Transport


class VendorApiClient(DistributionClient, ABC):
    """Base of the kinds with an API of their own; ``_api`` is the session with that API.

    :param api_url: address of the API; by default the kind's usual one.
    :param requests_per_second: one limit for the API and ``/v2`` together; by default each has the kind's usual one.
    """

    default_api_url: ClassVar[str | None] = None
    """Usual address of the API; ``None`` is the registry's own."""

    api_requests_per_second: ClassVar[float | None] = None
    """Usual limit for the API."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = 8,
        api_url: str | None = None,
        requests_per_second: float | None = None,
    ) -> None:
        super().__init__(endpoint, max_connections=max_connections, requests_per_second=requests_per_second)
        self._credentials = endpoint.credentials
        self._api_url = api_url or self.default_api_url
        self._api = Transport(
            endpoint,
            max_connections=max_connections,
            base_url=self._api_url,
            authenticator=self._api_authenticator(endpoint),
            requests_per_second=requests_per_second or self.api_requests_per_second,
            lane="" if requests_per_second else "api",
            slots=self._transport.slots,
        )

    @abstractmethod
    def _api_authenticator(self, endpoint: Endpoint) -> Authenticator:
        """Authentication for the API."""

    @property
    def traffic(self) -> Traffic:
        return super().traffic + self._api.traffic

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._api.close()

    def abort(self) -> None:
        """Break off every request, and send no more. Safe in a signal handler."""
        super().abort()
        self._api.abort()


class BasicLogin:
    """An :class:`~registry_sync.registry.wire.auth.Authenticator` that sends user name and password by Basic."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._source = endpoint.credentials

    def header(self, _scope: str, /) -> str | None:
        """The header; ``None`` for anonymous users."""
        return f"Basic {self._source.current().basic()}" if self._source else None

    def learn(self, _challenges: Sequence[str], _scope: str, /, *, sent: str | None) -> str | None:
        """The header of renewed credentials; ``None`` where there are no others."""
        return renewed_basic(self._source, sent)


class BearerSecret:
    """An :class:`~registry_sync.registry.wire.auth.Authenticator` that sends the password as a Bearer token."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._source = endpoint.credentials

    def header(self, _scope: str, /) -> str | None:
        """The header; ``None`` for anonymous users."""
        return f"Bearer {self._source.current().secret}" if self._source else None

    def learn(self, _challenges: Sequence[str], scope: str, /, *, sent: str | None) -> str | None:
        """The header of renewed credentials; ``None`` where there are no others."""
        if self._source and sent == self.header(scope):
            self._source.renew(self._source.current())
        better = self.header(scope)
        return None if better == sent else better


def nothing_listed(namespace: str, host: str, hidden: int, *, advice: str) -> ConfigurationError:
    """The error of a namespace in which a listing shows nothing to mirror.

    :param hidden: its repositories that are not public, and were left out for that.
    :param advice: completes "check its name, and …", where there are none of those.
    """
    if hidden:
        lacking = f"public repository, and {hidden} private ones; write include_private: true to mirror those"
    else:
        lacking = f"repository that we may see; check its name, and {advice}"
    return ConfigurationError(f"namespace {namespace!r} of {host} has no {lacking}")
