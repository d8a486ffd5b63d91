"""A registry of the mirrors file together with its Airflow Connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.find_connection import find_connection, has_database
from registry_sync.airflow.hooks.login import Login, read_login
from registry_sync.airflow.hooks.proxy import read_proxy
from registry_sync.config.connection_type import CA, CLIENT_CERTIFICATE, CONNECTION_TYPE
from registry_sync.config.registry import Registry
from registry_sync.errors import ConfigurationError, NoConnection, RegistrySyncError
from registry_sync.oci.reference import parse_host, without_default_port
from registry_sync.registry.endpoint import ClientCertificate, Endpoint

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from registry_sync.registry.client import PullClient, RegistryClient


class RegistryHook(BaseHook):
    """Opens one registry with the login of its Airflow Connection, or with an identity of its cloud.

    The Connection's host may be empty; any other host must be the registry's own, to keep a password from being sent
    to a host that it was not stored for.

    :param registry: the entry of the mirrors file.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry

    def get_conn(self) -> RegistryClient:
        """Return a client with credentials. It sends nothing yet; the caller closes it."""
        from registry_sync.registry.open import open_client

        registry = self.registry
        return open_client(
            registry.kind,
            self.endpoint,
            max_connections=registry.max_connections,
            api_url=registry.api_url,
            requests_per_second=registry.requests_per_second,
            keep_pulls=registry.keep_pulls,
        )

    def get_node_conn(self, answer_seconds: float) -> PullClient:
        """Return a client without credentials, such as a node that pulls. It sends nothing yet; the caller closes it.

        :param answer_seconds: time limit for each response of the registry.
        """
        from registry_sync.registry.open import open_as_node

        return open_as_node(replace(self._anonymous, anonymous_by_design=True), answer_seconds=answer_seconds)

    @cached_property
    def _anonymous(self) -> Endpoint:
        """The registry by the mirrors file alone, with the login of its proxy."""
        registry = self.registry
        with _part("client certificate"):
            certificate = _read_client_certificate(registry)
        with _part(f"proxy Connection {registry.proxy_connection}"):
            proxy = read_proxy(registry)
        return Endpoint(
            host=registry.host,
            tls=registry.tls,
            ca_file=registry.ca_file,
            client_certificate=certificate,
            proxy=proxy,
        )

    @cached_property
    def endpoint(self) -> Endpoint:
        """Address and credentials of the registry.

        :raises NoConnection: when the Connection does not exist.
        :raises ConfigurationError: when it cannot be used for this registry.
        :raises TemporaryError: when it was not found, and a place where Airflow looks for it does not respond.
        """
        registry = self.registry
        if registry.connection:
            return _with_connection(self._anonymous, registry, _find(registry.connection, registry))
        return _with_worker(self._anonymous, registry) if registry.identity else self._anonymous


def _read_client_certificate(registry: Registry) -> ClientCertificate | None:
    """The client certificate that the mirrors file names, whose key is from now on masked in all logs."""
    if registry.client_certificate is None or registry.client_key is None:
        return None
    from registry_sync.registry.certificates import read_pem_file

    where = f"of registry {registry.name!r}"
    key = read_pem_file(registry.client_key, f"client_key {where}")
    mask_secret(key)
    return ClientCertificate(
        certificate=read_pem_file(registry.client_certificate, f"client_certificate {where}"), key=key, place=where
    )


def _with_worker(endpoint: Endpoint, registry: Registry) -> Endpoint:
    """The endpoint with the identity of the worker."""
    from registry_sync.airflow.hooks.identities.read import ambient_identity
    from registry_sync.registry.identity.cloud import with_identity

    with _named(registry):
        _check_api(registry)
        return with_identity(endpoint, ambient_identity(registry.host), mask_secret)


def _with_connection(endpoint: Endpoint, registry: Registry, connection: Connection) -> Endpoint:
    """The endpoint with the identity of a Connection of a cloud, or with the login or role of one of a registry."""
    from registry_sync.airflow.hooks.identities.read import ambient_identity, read_identity
    from registry_sync.registry.identity.cloud import with_identity

    with _named(registry):
        identity = read_identity(connection)
        if identity:
            _check_api(registry)
            return with_identity(endpoint, identity, mask_secret)
        login = read_login(connection)
    _check_host(registry, login)
    _check_tls(registry, login)
    endpoint = replace(
        endpoint,
        credentials=login.credentials,
        ca_pem=login.ca_pem,
        client_certificate=login.client_certificate or endpoint.client_certificate,
    )
    if not login.role:
        return endpoint
    with _named(registry):
        _check_api(registry)
        identity = ambient_identity(registry.host, role=login.role, origin=f"Connection {registry.connection!r}")
        return with_identity(endpoint, identity, mask_secret)


@contextmanager
def _named(registry: Registry) -> Iterator[None]:
    """Name the registry in errors about its Connection."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"registry {registry.name!r}: {error}") from error


@contextmanager
def _part(name: str) -> Iterator[None]:
    """Name the part of the registry's settings in errors about it."""
    try:
        yield
    except RegistrySyncError as error:
        error.part = name
        raise


def _check_api(registry: Registry) -> None:
    """:raises ConfigurationError: for an API at another host, which would get the token. AWS' SDK calls that of ECR."""
    if registry.api_url and registry.api_kind != "ecr":
        raise ConfigurationError(
            f"{registry.host} is reached with an identity of its cloud, whose token api_url {registry.api_url!r} would "
            "get; nothing was sent. Remove api_url"
        )


def _find(name: str, registry: Registry) -> Connection:
    connection = find_connection(name)
    if connection is None:
        raise NoConnection(
            f"registry {registry.name!r}: no Airflow Connection named {name!r}; create it (type {CONNECTION_TYPE} or "
            "docker, with login and password: docs/connections.md), or remove 'connection:' if anonymous pulls are "
            "enough",
            has_database=has_database(),
        )
    return connection


def _check_host(registry: Registry, login: Login) -> None:
    """:raises ConfigurationError: for another host, and for one with TLS where the registry has none."""
    host = login.host
    if host and without_default_port(parse_host(host), tls=registry.tls) != registry.host:
        raise ConfigurationError(
            f"Connection {registry.connection!r} is for host {host!r}, but registry {registry.name!r} of the mirrors "
            f"file is {registry.host!r}; its password was not sent. Correct the host of the Connection or of the "
            "registry"
        )
    if login.scheme == "https" and not registry.tls:
        raise ConfigurationError(
            f"Connection {registry.connection!r} is for 'https://{host}', but registry {registry.name!r} has tls: "
            "false; its password was not sent in clear text. Correct the host of the Connection or tls: of the registry"
        )


def _check_tls(registry: Registry, login: Login) -> None:
    """:raises ConfigurationError: for certificates that would have no effect."""
    written = [field for field, value in ((CA, login.ca_pem), (CLIENT_CERTIFICATE, login.client_certificate)) if value]
    where = f"Connection {registry.connection!r} has {' and '.join(written)}"
    if written and not registry.tls:
        raise ConfigurationError(f"{where}, but registry {registry.name!r} has tls: false; remove one of them")
    if login.ca_pem and registry.ca_file:
        raise ConfigurationError(f"{where}, and registry {registry.name!r} has ca_file; remove one of them")
    if login.client_certificate and registry.client_certificate:
        raise ConfigurationError(f"{where}, and registry {registry.name!r} has client_certificate; remove one of them")
