"""Identities at Azure: of the environment (workload or managed identity), or an application with its secret.

A token of Entra ID is exchanged for a refresh token of the registry, which is the password of a user with the id zero:
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LoginRejected,
    RateLimited,
    RefusedError,
    RegistrySyncError,
    TemporaryError,
)
from registry_sync.registry.clouds import Cloud
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.answers import (
    ATTEMPTS,
    CONNECT_SECONDS,
    READ_SECONDS,
    ca_bundle,
    no_answer,
    read_answer,
)
from registry_sync.registry.identity.extras import require
from registry_sync.registry.identity.files import decode_os_error
from registry_sync.registry.identity.metadata import is_named, is_outage, silent_server
from registry_sync.registry.jwt_claims import jwt_claims, time_of
from registry_sync.registry.proxies import proxies_of_sdk
from registry_sync.registry.wire.auth import FixedAuthorization
from registry_sync.registry.wire.exchange import RequestLimits
from registry_sync.registry.wire.transport import Transport

USER = "00000000-0000-0000-0000-000000000000"

SDK_LIMITS: dict[str, Any] = {
    "connection_timeout": CONNECT_SECONDS,
    "read_timeout": READ_SECONDS,
    "retry_total": ATTEMPTS - 1,
}
"""Options of the SDK. Its own timeouts are minutes, and its retries are ten."""

METADATA_LIMITS: dict[str, Any] = {
    "connection_timeout": 2,
    "read_timeout": 5,
    "retry_total": 3,
    "use_env_settings": False,
}
"""The same for a managed identity, whose server is near, asks for retries while it starts, and is asked directly."""

_SERVER_VARIABLES = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AzureCloud:
    """The authority and the scope of tokens of an Azure cloud. At the public cloud the scope is for registries only."""

    authority: str
    scope: str


_CLOUDS: Mapping[str, _AzureCloud] = {
    "io": _AzureCloud(authority="login.microsoftonline.com", scope="https://containerregistry.azure.net/.default"),
    "cn": _AzureCloud(authority="login.chinacloudapi.cn", scope="https://management.chinacloudapi.cn/.default"),
    "us": _AzureCloud(authority="login.microsoftonline.us", scope="https://management.usgovcloudapi.net/.default"),
}
"""By the end of the registry's host. The authorities are those of the SDK's ``AzureAuthorityHosts``, the scopes those
of ``KnownContainerRegistryAudience``: https://learn.microsoft.com/javascript/api/@azure/container-registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSecret:
    """An application (service principal) with its secret."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AzureIdentity:
    """An identity at Azure. Without ``secret`` it is that of the environment.

    The environment has an application (``AZURE_CLIENT_SECRET`` or ``AZURE_CLIENT_CERTIFICATE_PATH``), else a workload
    identity (``AZURE_FEDERATED_TOKEN_FILE``), else the managed identity of the machine.

    :ivar origin: the place that the identity is written in, for messages.
    :ivar client_id: of a managed or workload identity; by default that of the environment, else the machine's own.
    :ivar tenant_id: of a workload identity; by default that of the environment.
    :ivar proxy: that of the registry, for the calls to Entra ID too; ``None`` is that of the environment.
    """

    cloud: ClassVar[Cloud] = "azure"

    origin: str
    secret: AzureSecret | None = None
    client_id: str | None = None
    tenant_id: str | None = None
    proxy: Proxy | None = None
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    def log_in(self, endpoint: Endpoint) -> Credentials:
        """The login of one registry. It is valid for three hours.

        :raises LoginRejected: when Entra ID or the registry denies it.
        :raises ConfigurationError: without an identity.
        :raises TemporaryError: when Azure does not respond.
        """
        token = self._token(endpoint)
        return _exchange(token, endpoint, self.origin)

    def with_proxy(self, proxy: Proxy | None) -> AzureIdentity:
        """The identity, which asks Entra ID through the proxy of a registry."""
        return replace(self, proxy=proxy)

    def describe(self, endpoint: Endpoint) -> str:
        """The client id and the tenant, out of the token."""
        claims = jwt_claims(self._token(endpoint))
        client = claims.get("appid") or claims.get("azp") or claims.get("oid")
        name = f"client {client}" if client else f"the identity of {self.origin}"
        return f"{name} of tenant {claims['tid']}" if claims.get("tid") else name

    def _token(self, endpoint: Endpoint) -> str:
        """A token of Entra ID, which the SDK keeps until it ends."""
        cloud = _CLOUDS.get(endpoint.host.rpartition(".")[2])
        if cloud is None:
            raise ConfigurationError(f"{endpoint.host} is not a host of Azure Container Registry; nothing was sent")
        with self._lock, self._decoded_errors():
            if cloud.scope not in self._found:
                self._found[cloud.scope] = self._open(cloud)
            with read_answer("Azure", "a request for a token", self.origin):
                return str(self._found[cloud.scope].get_token(cloud.scope).token)

    def _open(self, cloud: _AzureCloud) -> Any:
        """A credential of the SDK. A configured one is used alone, so that its error is shown."""
        from azure import identity

        authority = os.environ.get("AZURE_AUTHORITY_HOST") or cloud.authority
        options: dict[str, Any] = {"authority": authority, **SDK_LIMITS, **_proxy_options(self.proxy)}
        if self.secret:
            secret = self.secret
            return identity.ClientSecretCredential(secret.tenant_id, secret.client_id, secret.client_secret, **options)
        if os.environ.get("AZURE_CLIENT_SECRET") or os.environ.get("AZURE_CLIENT_CERTIFICATE_PATH"):
            return identity.EnvironmentCredential(**options)
        if os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
            return identity.WorkloadIdentityCredential(tenant_id=self.tenant_id, client_id=self.client_id, **options)
        client_id = self.client_id or os.environ.get("AZURE_CLIENT_ID")
        # With this option the SDK finds out within a second if there is a metadata server. Otherwise it takes half a
        # minute.
        return identity.ManagedIdentityCredential(
            client_id=client_id, _enable_imds_probe=True, raw_response_hook=self._note_status, **METADATA_LIMITS
        )

    def _note_status(self, answer: Any) -> None:
        """Remember the last status of the metadata server, which errors of the SDK do not have."""
        self._found["status"] = answer.http_response.status_code

    @contextmanager
    def _decoded_errors(self) -> Iterator[None]:
        """Raise errors of the SDK as our own."""
        require("azure.identity", "azure-identity", "azure")
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
        from azure.core.exceptions import ServiceRequestTimeoutError as NoConnection
        from azure.core.exceptions import ServiceResponseTimeoutError as NoResponse
        from azure.identity import CredentialUnavailableError

        started, action = time.monotonic(), "a request for a token"
        try:
            yield
        except (NoConnection, NoResponse) as error:
            raise no_answer("Azure", action, self.origin, started) from error
        except CredentialUnavailableError as error:
            if silence := _silence(error.__cause__, self._found.get("status", 0)):
                raise silent_server("Azure", self.origin, silence) from error
            raise ConfigurationError(self._unavailable(error)) from error
        except ClientAuthenticationError as error:
            if isinstance(error.__cause__, NoConnection | NoResponse):
                raise no_answer("Azure", action, self.origin, started) from error
            raise _of_entra(error, self.origin) from error
        except HttpResponseError as error:
            raise TemporaryError(f"Entra ID did not issue a token to {self.origin}: {error.message}") from error
        except AzureError as error:
            raise TemporaryError(f"Entra ID cannot be asked for a token of {self.origin}: {error.message}") from error
        except OSError as error:
            raise decode_os_error(error, "Azure", self.origin) from error
        except ValueError as error:
            raise ConfigurationError(f"{self.origin} has no usable Azure identity: {error}") from error

    def _unavailable(self, error: Any) -> str:
        return (
            f"{self.origin} has no Azure identity: none in the environment (AZURE_CLIENT_SECRET, "
            "AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE), and no managed identity (IDENTITY_ENDPOINT, "
            f"or the metadata server of the machine): {error.message}"
        )


def _proxy_options(proxy: Proxy | None) -> dict[str, Any]:
    """Options of the SDK for the proxy of a registry, in place of proxies and certificates of the environment."""
    if proxy is None:
        return {}
    return {"use_env_settings": False, "proxies": proxies_of_sdk(proxy), "connection_verify": ca_bundle() or True}


def _of_entra(error: Any, origin: str) -> RegistrySyncError:
    """The error of a token that was not issued. The SDK takes a service that is away for a denial."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    if isinstance(error.__cause__, ServiceRequestError | ServiceResponseError):
        return TemporaryError(f"Entra ID cannot be asked for a token of {origin}: {error.message}")
    if is_outage(error.status_code or 0):
        return TemporaryError(f"Entra ID did not issue a token to {origin}: {error.message}")
    return LoginRejected(f"Entra ID denies a token to {origin}: {error.message}")


def _silence(error: BaseException | None, status: int) -> str:
    """The error of a metadata server that may be there; empty for one that is not there, and for an answer.

    :param status: of its last answer; 0 without one.
    """
    from azure.core.exceptions import ServiceRequestError, ServiceRequestTimeoutError, ServiceResponseError

    if is_outage(status):
        return f"it answered {status}"
    is_silent = isinstance(error, ServiceRequestTimeoutError | ServiceResponseError)
    is_missed = isinstance(error, ServiceRequestError) and is_named(_SERVER_VARIABLES)
    return str(error) if is_silent or is_missed else ""


def _exchange(token: str, endpoint: Endpoint, origin: str) -> Credentials:
    """Exchange a token of Entra ID for the registry's own refresh token. It is sent to the registry only.

    :raises LoginRejected: when the identity has no role at the registry.
    :raises TemporaryError: for an outage, and for a rate limit of the exchange.
    """
    fields = {"grant_type": "access_token", "service": endpoint.host, "access_token": token}
    if tenant := jwt_claims(token).get("tid"):
        fields["tenant"] = str(tenant)
    limits = RequestLimits(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=1)
    with closing(Transport(endpoint, authenticator=FixedAuthorization(None), limits=limits)) as transport:
        try:
            response = transport.call_once(
                "POST",
                "/oauth2/exchange",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(fields).encode(),
            )
        except (DeniedError, RefusedError) as error:
            advice = "give it a role at the registry, such as AcrPull or AcrPush"
            raise LoginRejected(
                f"{endpoint.host} does not accept the identity of {origin}: {error}; {advice}"
            ) from error
        except RateLimited as error:
            raise TemporaryError(f"{endpoint.host} does not exchange tokens now: {error}") from error
    document = response.json()
    secret = document.get("refresh_token") if isinstance(document, dict) else None
    if not isinstance(secret, str) or not secret:
        raise TemporaryError(f"{endpoint.host} answered /oauth2/exchange without a token")
    return Credentials(username=USER, secret=secret, expires_at=time_of(jwt_claims(secret).get("exp")))
