"""The hook of the Connection type ``oci_registry``. Airflow calls it for the button *Test* of its Connection form."""

from __future__ import annotations

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.airflow.hooks.login import Login, read_login
from registry_sync.airflow.masking import masked_text
from registry_sync.config.connection_type import CONNECTION_TYPE, HOOK_NAME
from registry_sync.errors import ConfigurationError, NoConnection, RegistrySyncError
from registry_sync.oci.reference import parse_host, without_default_port
from registry_sync.registry.endpoint import Endpoint


class OciRegistryHook(BaseHook):
    """A registry that is known only by its Connection.

    :param registry_conn_id: id of a Connection of type ``oci_registry`` or ``docker``.
    """

    conn_name_attr = "registry_conn_id"
    default_conn_name = "oci_registry_default"
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME

    def __init__(self, registry_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.registry_conn_id = registry_conn_id

    def get_conn(self) -> Endpoint:
        """The address and login of the registry.

        :raises ConfigurationError: when the Connection does not exist, has no host, or cannot be used.
        :raises TemporaryError: when it was not found, and a place where Airflow looks for it does not respond.
        """
        connection = find_connection(self.registry_conn_id)
        if connection is None:
            raise NoConnection(f"no Airflow Connection named {self.registry_conn_id!r}; create it")
        login = read_login(connection)
        if not login.host:
            raise ConfigurationError(
                "the Connection has no host, so it does not say where to log in; the mirrors file has the host then: "
                "run registry-sync check"
            )
        return _endpoint(login)

    def test_connection(self) -> tuple[bool, str]:
        """Log in, and return whether that worked and a sentence about it."""
        from registry_sync.registry.open import check_login

        try:
            endpoint = self.get_conn()
            check_login(endpoint)
            user = _user(endpoint)
        except RegistrySyncError as error:
            return False, masked_text(str(error))
        return True, f"logged in to {endpoint.host} as {user}"


def _endpoint(login: Login) -> Endpoint:
    """TLS is used unless the host begins with ``http://``."""
    tls = login.scheme != "http"
    if not tls and (login.ca_pem or login.client_certificate):
        raise ConfigurationError("the Connection's host begins with http://, but it has certificates; correct one")
    endpoint = Endpoint(
        host=without_default_port(parse_host(login.host), tls=tls),
        tls=tls,
        ca_pem=login.ca_pem,
        client_certificate=login.client_certificate,
        credentials=login.credentials,
    )
    return _with_role(endpoint, login.role) if login.role else endpoint


def _with_role(endpoint: Endpoint, role: str) -> Endpoint:
    from registry_sync.airflow.hooks.identities.read import ambient_identity
    from registry_sync.registry.identity.cloud import with_identity

    identity = ambient_identity(endpoint.host, role=role, origin="the Connection")
    return with_identity(endpoint, identity, mask_secret)


def _user(endpoint: Endpoint) -> str:
    """The user; of an identity, its name at the cloud, and the end of its token."""
    credentials = endpoint.credentials
    if credentials is None or endpoint.identity is None:
        return credentials.user if credentials else "an anonymous user"
    end = credentials.current().expires_at
    name = endpoint.identity.describe(endpoint)
    return f"{name}, until {end:%Y-%m-%d %H:%M} UTC" if end else name
