"""The proxy of a registry, with the login of its Airflow Connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.find_connection import find_connection, has_database
from registry_sync.config.registry import NO_PROXY, Registry
from registry_sync.errors import ConfigurationError, NoConnection
from registry_sync.registry.endpoint import Credentials, Proxy

if TYPE_CHECKING:
    from airflow.sdk import Connection

_TYPES = ("http", "generic")
"""Airflow's own types for a host with a login. Its command stores ``generic`` where the HTTP provider is missing."""


def read_proxy(registry: Registry) -> Proxy | None:
    """The proxy of a registry, whose password is from now on masked in all logs; ``None`` for the environment's.

    :raises NoConnection: when its Connection does not exist.
    :raises ConfigurationError: when its Connection has no login, or is for another host.
    :raises TemporaryError: when it was not found, and a place where Airflow looks for it does not respond.
    """
    from registry_sync.registry.proxies import with_login

    if registry.proxy is None:
        return None
    if registry.proxy_connection is None:
        return Proxy(url="" if registry.proxy == NO_PROXY else registry.proxy)
    proxy = Proxy(
        url=registry.proxy, credentials=_read_credentials(registry, registry.proxy, registry.proxy_connection)
    )
    mask_secret(with_login(proxy).partition("://")[2].rpartition("@")[0])
    return proxy


def _read_credentials(registry: Registry, proxy: str, name: str) -> Credentials:
    where = f"registry {registry.name!r}: proxy_connection"
    connection = find_connection(name)
    if connection is None:
        raise NoConnection(
            f"{where}: no Airflow Connection named {name!r}; create it (type http, with login and password)",
            has_database=has_database(),
        )
    if connection.conn_type not in _TYPES:
        raise ConfigurationError(
            f"{where}: Connection {name!r} has the type {connection.conn_type!r}, so nothing of it was sent; write the "
            "id of a Connection of type http"
        )
    if not connection.login or not connection.password:
        raise ConfigurationError(f"{where}: Connection {name!r} has no login and password; edit it")
    if ":" in str(connection.login):
        raise ConfigurationError(f"{where}: Connection {name!r} has a ':' in its login, which no proxy can read")
    _check_host(where, proxy, connection)
    credentials = Credentials(username=str(connection.login), secret=str(connection.password))
    mask_secret(credentials.secret)
    mask_secret(credentials.basic())
    return credentials


def _check_host(where: str, proxy: str, connection: Connection) -> None:
    """:raises ConfigurationError: for a Connection of another server, port or scheme than the proxy's."""
    parts, (scheme, _, address) = urlsplit(proxy), (connection.host or "").lower().rpartition("://")
    host, port = _split(address.rstrip("/"))
    port = port or str(connection.port or "")
    is_other = host and host != parts.hostname
    if is_other or (port and port != str(parts.port)):
        shown = f"host {connection.host!r}" if is_other or not connection.port else f"port {connection.port}"
        raise ConfigurationError(
            f"{where}: Connection {connection.conn_id!r} is for {shown}, but the proxy is {proxy!r}; its password was "
            "not sent. Correct one of them, or leave the host and port of the Connection empty"
        )
    if "https" in (scheme, connection.schema) and parts.scheme != "https":
        raise ConfigurationError(
            f"{where}: Connection {connection.conn_id!r} is for https, but the proxy is {proxy!r}; its password was "
            "not sent in clear text. Correct one of them"
        )


def _split(address: str) -> tuple[str, str]:
    """Host and port of ``host``, ``host:port``, ``[::1]:port``, or ``::1``."""
    match = re.fullmatch(r"\[(.*)\](?::(\d+))?|([^:]*)(?::(\d+))?", address)
    return (match[1] or match[3] or "", match[2] or match[4] or "") if match else (address, "")
