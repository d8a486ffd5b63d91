"""An identity at a cloud, and an endpoint whose credentials come from one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Protocol

from registry_sync.errors import ConfigurationError
from registry_sync.registry.clouds import TITLES, Cloud, cloud_of, incomplete_host
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.renewal import RenewedCredentials


class CloudIdentity(Protocol):
    """An identity of one cloud. It calls the cloud by its SDK, and sends nothing before the first call.

    :ivar origin: the place that the identity is written in, such as ``Connection 'my_aws'``, for messages.
    """

    cloud: ClassVar[Cloud]

    @property
    def origin(self) -> str: ...

    def log_in(self, endpoint: Endpoint) -> Credentials:
        """New credentials for a registry of this cloud.

        :raises LoginRejected: when the cloud denies them.
        :raises ConfigurationError: without such an identity, and when the SDK is not installed.
        :raises TemporaryError: when the cloud does not respond.
        """

    def with_proxy(self, proxy: Proxy | None) -> CloudIdentity:
        """The identity, which asks its cloud through the proxy of a registry, and metadata servers directly.

        :param proxy: ``None`` is that of the environment.
        """

    def describe(self, endpoint: Endpoint, /) -> str:
        """The identity as its cloud names it. :raises RegistrySyncError: as :meth:`log_in` does."""


def with_identity(endpoint: Endpoint, identity: CloudIdentity, mask: Callable[[str], None]) -> Endpoint:
    """The endpoint with an identity, whose credentials are fetched when they are needed.

    :param mask: called with each new secret.
    :raises ConfigurationError: for a registry of another cloud, or without TLS. Nothing is sent to it then.
    """
    cloud, ours = cloud_of(endpoint.host), TITLES[identity.cloud]
    if cloud != identity.cloud:
        whose = f"is a registry of {TITLES[cloud]}" if cloud else f"is not a host of a registry of {ours}"
        if fault := incomplete_host(endpoint.host):
            raise ConfigurationError(f"{endpoint.host} {fault}; nothing was sent. Correct the host of the registry")
        raise ConfigurationError(
            f"{identity.origin} has an identity of {ours}, but {endpoint.host} {whose}; nothing was sent. Write a "
            "Connection that belongs to this registry"
        )
    if not endpoint.tls:
        raise ConfigurationError(
            f"{endpoint.host} has tls: false, which would send the token of {identity.origin} in clear text; nothing "
            "was sent. Remove tls: false"
        )
    identity = identity.with_proxy(endpoint.proxy)
    without_login = replace(endpoint, credentials=None, identity=None)
    credentials = RenewedCredentials(
        f"the {ours} identity of {identity.origin}", lambda: identity.log_in(without_login), mask
    )
    return replace(endpoint, credentials=credentials, identity=identity)
