"""The identity for a registry: from a Connection of a cloud, from a role, or of the worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from registry_sync.airflow.hooks.identities.aws import read_aws
from registry_sync.airflow.hooks.identities.azure import read_azure
from registry_sync.airflow.hooks.identities.google import read_google
from registry_sync.errors import ConfigurationError
from registry_sync.registry.clouds import TITLES, Cloud, cloud_of, incomplete_host
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsRole
from registry_sync.registry.identity.azure import AzureIdentity
from registry_sync.registry.identity.cloud import CloudIdentity
from registry_sync.registry.identity.google import GoogleIdentity

if TYPE_CHECKING:
    from airflow.sdk import Connection

_READERS: Mapping[str, Callable[[Connection, str], CloudIdentity]] = {
    "aws": read_aws,
    "google_cloud_platform": read_google,
    "azure": read_azure,
}

_ROLES: Mapping[Cloud, tuple[str, str]] = {
    "aws": (r"arn:[a-z-]+:iam::\d{12}:role/\S+", "the ARN of a role"),
    "google": (r"[^@\s]+@[^@\s]+", "the e-mail address of a service account"),
    "azure": (r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "the client id of a managed identity"),
}
"""The form of a role, and its name in messages."""


def read_identity(connection: Connection) -> CloudIdentity | None:
    """The identity of a Connection; ``None`` for one of another type.

    :raises ConfigurationError: for fields that cannot be used.
    """
    read = _READERS.get(connection.conn_type or "")
    return read(connection, f"Connection {connection.conn_id!r}") if read else None


def ambient_identity(host: str, *, role: str = "", origin: str = "this worker") -> CloudIdentity:
    """The identity of the worker at the cloud of a registry, or a role that this identity takes on.

    :param role: the ARN of a role, the e-mail address of a service account, or the client id of a managed identity.
    :param origin: the place that the role is written in.
    :raises ConfigurationError: for a registry without a cloud, and a role that is not one of its cloud.
    """
    cloud = cloud_of(host)
    if fault := incomplete_host(host):
        raise ConfigurationError(f"{host} {fault}; correct the host of the registry")
    if cloud is None:
        raise ConfigurationError(f"{host} is not a registry of {', '.join(TITLES.values())}, so it has no identities")
    if role:
        _check_role(cloud, role, origin, host)
    if cloud == "aws":
        return AwsIdentity(origin=origin, role=AwsRole(arn=role) if role else None)
    if cloud == "google":
        return GoogleIdentity(origin=origin, chain=(role,) if role else ())
    return AzureIdentity(origin=origin, client_id=role or None)


def _check_role(cloud: Cloud, role: str, origin: str, host: str) -> None:
    form, name = _ROLES[cloud]
    if not re.fullmatch(form, role):
        raise ConfigurationError(f"{origin}: its role is for {host}, of {TITLES[cloud]}, so it must be {name}")
