"""Read an Airflow Connection as the login to a registry. Fields without a meaning here are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.extra import read_extra
from registry_sync.config.connection_type import (
    CA,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    CONNECTION_TYPE,
    DOCKER_TYPE,
    FIELDS,
    ROLE,
)
from registry_sync.errors import ConfigurationError
from registry_sync.registry.endpoint import ClientCertificate, Credentials

if TYPE_CHECKING:
    from airflow.sdk import Connection

"""The docker provider's type, with host, login and password. Its other fields, reauth and email, are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The contents of a Connection.

    :ivar credentials: ``None`` for a role.
    :ivar role: to take on at the registry's cloud, in place of a user and password.
    :ivar host: with the port, without a path; empty where none is written.
    :ivar scheme: before the host: ``http``, ``https``, or empty.
    """

    credentials: Credentials | None = None
    role: str = ""
    scheme: str = ""
    host: str = ""
    ca_pem: str = ""
    client_certificate: ClientCertificate | None = None


def read_login(connection: Connection) -> Login:
    """The login of a Connection, whose secrets are from now on masked in all logs.

    :raises ConfigurationError: for a Connection of another type, one without login or password, and one with a field
        that means nothing here.
    """
    name = f"Connection {connection.conn_id!r}"
    _check_type(connection, name)
    fields = _read_fields(connection, name)
    role = fields.get(ROLE, "")
    scheme, host = _read_address(connection, name)
    return Login(
        credentials=_read_credentials(connection, name, role=role),
        role=role,
        scheme=scheme,
        host=host,
        ca_pem=_read_pem(fields.get(CA), f"{CA} of {name}"),
        client_certificate=_read_client_certificate(fields, name),
    )


def _check_type(connection: Connection, name: str) -> None:
    if connection.conn_type not in (CONNECTION_TYPE, DOCKER_TYPE):
        has = f"has the type {connection.conn_type!r}" if connection.conn_type else "has no type"
        if connection.conn_type == "generic":
            has += " (Airflow's command stores it in place of a type that it does not know)"
        raise ConfigurationError(
            f"{name} {has}, which is not one of container registries, so nothing of it was sent; write the id of a "
            f"Connection of type {CONNECTION_TYPE} or {DOCKER_TYPE}, with the login and password that "
            "docs/connections.md has for each registry, or of type aws, google_cloud_platform or azure for a registry "
            "of that cloud"
        )


def _read_credentials(connection: Connection, name: str, *, role: str) -> Credentials | None:
    """The login and password; ``None`` where a role replaces them."""
    if role and not (connection.login or connection.password):
        return None
    if role:
        raise ConfigurationError(f"{name} has a role, and a login or password; remove one of them")
    lacking = [field for field in ("login", "password") if not getattr(connection, field)]
    if lacking:
        advice = "for access without a login, remove connection: from the registry in the mirrors file"
        raise ConfigurationError(
            f"{name} (type {connection.conn_type}) has no {' and no '.join(lacking)}; edit it. A token is the password "
            f"(docs/connections.md has the login that goes with it); {advice}"
        )
    if ":" in str(connection.login):
        raise ConfigurationError(
            f"{name} has a ':' in its login, which no registry can read (RFC 7617): write what is before it as login, "
            "and what follows as password"
        )
    credentials = Credentials(username=str(connection.login), secret=str(connection.password))
    mask_secret(credentials.secret)
    mask_secret(credentials.basic())
    return credentials


def _read_fields(connection: Connection, name: str) -> Mapping[str, str]:
    """The extra fields that are written.

    :raises ConfigurationError: for a field that is not of this type.
    """
    written = {key: value for key, value in read_extra(connection, name).items() if value not in (None, "")}
    own = [key for key in written if key in FIELDS]
    if connection.conn_type == DOCKER_TYPE:
        if own:
            raise ConfigurationError(
                f"{name} is of type {DOCKER_TYPE}, which has no {', '.join(own)}; give it the type {CONNECTION_TYPE}"
            )
        return {}
    if unknown := [key for key in written if key not in FIELDS]:
        raise ConfigurationError(
            f"{name}: its extra has {', '.join(map(repr, unknown))}, but a Connection of type {CONNECTION_TYPE} has "
            f"only {', '.join(FIELDS)}; remove what is not needed"
        )
    if connection.schema:
        raise ConfigurationError(f"{name}: schema means nothing for a Connection of type {CONNECTION_TYPE}; remove it")
    if wrong := [key for key in own if not isinstance(written[key], str)]:
        raise ConfigurationError(f"{name}: {', '.join(wrong)} must be text: PEM, or the path of a file")
    return written


def _read_address(connection: Connection, name: str) -> tuple[str, str]:
    """The scheme and the host. Docker Hub's host is often stored as ``https://index.docker.io/v1/``.

    :raises ConfigurationError: for another scheme, for a login in the host, and for a port that has no effect.
    """
    written, _, rest = (connection.host or "").rpartition("://")
    scheme, host = written.lower(), rest.partition("/")[0]
    if scheme not in ("", "http", "https"):
        raise ConfigurationError(f"{name}: its host begins with {written}://; write the host alone")
    if "@" in host:  # not quoted: it may contain a password
        raise ConfigurationError(f"{name} has an '@' in its host; write the host alone, and the login into its fields")
    if not connection.port:
        return scheme, host
    if not host:
        raise ConfigurationError(f"{name} has the port {connection.port}, but no host; write both, or none")
    if ":" not in host:
        return scheme, f"{host}:{connection.port}"
    if not host.endswith(f":{connection.port}"):
        raise ConfigurationError(f"{name} has the host {host!r}, and the port {connection.port}; correct one of them")
    return scheme, host


def _read_client_certificate(fields: Mapping[str, str], name: str) -> ClientCertificate | None:
    certificate, key = fields.get(CLIENT_CERTIFICATE), fields.get(CLIENT_KEY)
    if bool(certificate) != bool(key):
        lacking, has = (CLIENT_KEY, CLIENT_CERTIFICATE) if certificate else (CLIENT_CERTIFICATE, CLIENT_KEY)
        raise ConfigurationError(f"{name} has {has}, but no {lacking}; write both, or none")
    if not certificate:
        return None
    pem = _read_pem(key, f"{CLIENT_KEY} of {name}")
    mask_secret(pem)
    return ClientCertificate(certificate=_read_pem(certificate, f"{CLIENT_CERTIFICATE} of {name}"), key=pem)


def _read_pem(value: str | None, what: str) -> str:
    """The PEM of a field: the value itself, or the content of the file that it names."""
    from registry_sync.registry.certificates import is_pem, parse_pem, read_pem_file

    if not value:
        return ""
    if is_pem(value):
        return parse_pem(value, what)
    path = Path(value.strip())
    if not path.is_absolute():
        raise ConfigurationError(f"{what} is neither PEM nor an absolute path of a file on the workers")
    return read_pem_file(path, what)
