"""A registry of the mirrors file together with its Airflow Connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from registry_sync.config.model import Registry
from registry_sync.errors import ConfigurationError
from registry_sync.oci.reference import parse_host, without_default_port
from registry_sync.registry.endpoint import Credentials, Endpoint

if TYPE_CHECKING:
    from registry_sync.registry.client import PullClient, RegistryClient


class RegistryHook(BaseHook):
    """Opens one registry with the credentials of its Airflow Connection, of the docker provider's type ``docker``.

    The hook uses the Connection's login and password. The Connection's host may be empty; any other host must be the
    registry's own, to keep a password from being sent to a host that it was not stored for.

    :param registry: the entry of the mirrors file.
    """

    conn_name_attr = "registry_conn_id"
    conn_type = "docker"
    hook_name = "Container registry"

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
        )

    def get_node_conn(self, answer_seconds: float) -> PullClient:
        """Return a client without credentials, such as a node that pulls. It sends nothing yet; the caller closes it.

        :param answer_seconds: time limit for each response of the registry.
        """
        from registry_sync.registry.open import open_as_node

        registry = self.registry
        endpoint = Endpoint(host=registry.host, tls=registry.tls, ca_file=registry.ca_file, anonymous_by_design=True)
        return open_as_node(endpoint, answer_seconds=answer_seconds)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Address and credentials of the registry.

        :raises ConfigurationError: when the Connection does not exist, or is for another host.
        """
        registry = self.registry
        credentials = read_credentials(registry) if registry.connection else None
        return Endpoint(host=registry.host, tls=registry.tls, ca_file=registry.ca_file, credentials=credentials)


def read_credentials(registry: Registry) -> Credentials | None:
    """Login and password of the registry's Connection, from now on masked in all logs; ``None`` when it has neither.

    :raises ConfigurationError: when the Connection does not exist, or is for another host.
    """
    name = registry.connection or ""
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException as error:
        advice = (
            "create it (type docker, with login and password); of a registry that is only pulled from, anonymously, "
            "remove 'connection:'"
        )
        raise ConfigurationError(
            f"registry {registry.name!r}: no Airflow Connection named {name!r}; {advice}"
        ) from error
    _check_host(registry, connection)
    if not connection.login and not connection.password:
        return None
    credentials = Credentials(username=connection.login or "", secret=connection.password or "")
    mask_secret(credentials.secret)
    mask_secret(credentials.basic())
    return credentials


def _check_host(registry: Registry, connection: Connection) -> None:
    """Compare hosts without scheme and path: Docker Hub is often stored as https://index.docker.io/v1/."""
    written = (connection.host or "").removeprefix("https://").removeprefix("http://").partition("/")[0]
    if connection.port and ":" not in written:
        written = f"{written}:{connection.port}"
    if written and without_default_port(parse_host(written), tls=registry.tls) != registry.host:
        raise ConfigurationError(
            f"Connection {registry.connection!r} is for host {written!r}, but registry {registry.name!r} of the "
            f"mirrors file is {registry.host!r}; its password was not sent. Correct the host of the Connection or of "
            "the registry"
        )
