"""A Connection of type ``azure``, as an identity.

https://airflow.apache.org/docs/apache-airflow-providers-microsoft-azure/stable/connections/azure.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.extra import ExtraFields
from registry_sync.errors import ConfigurationError
from registry_sync.registry.identity.azure import AzureIdentity, AzureSecret

if TYPE_CHECKING:
    from airflow.sdk import Connection


_READ = ("tenantId", "key_json", "key_path", "managed_identity_client_id", "workload_identity_tenant_id")


def read_azure(connection: Connection, name: str) -> AzureIdentity:
    """The identity of a Connection. Without an application and its secret it is that of the environment.

    :param name: the Connection, for messages.
    :raises ConfigurationError: for fields that cannot be used.
    """
    fields = ExtraFields.read(connection, name)
    fields.refuse_slips(_READ)
    key = _read_key(fields)
    parts = {
        "client id (login)": connection.login or key.get("clientId"),
        "secret (password)": connection.password or key.get("clientSecret"),
        "tenantId": fields.text("tenantId") or key.get("tenantId"),
    }
    client_id, client_secret, tenant_id = parts.values()
    if not (client_id or client_secret):
        return AzureIdentity(
            origin=name,
            client_id=fields.text("managed_identity_client_id"),
            tenant_id=fields.text("workload_identity_tenant_id"),
        )
    if lacking := [part for part, value in parts.items() if not value]:
        raise ConfigurationError(
            f"{name} has no {' and no '.join(lacking)}; an application needs client id, secret and tenantId, and a "
            "managed or workload identity none of them"
        )
    mask_secret(str(client_secret))
    secret = AzureSecret(tenant_id=str(tenant_id), client_id=str(client_id), client_secret=str(client_secret))
    return AzureIdentity(origin=name, secret=secret)


def _read_key(fields: ExtraFields) -> Mapping[str, Any]:
    """The application of ``key_json``, or of the file ``key_path``; empty without both."""
    path = fields.text("key_path")
    if path is None:
        return fields.mapping("key_json")
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{fields.name}: key_path {path!r} cannot be read on this worker: {error.strerror}"
        ) from error
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{fields.name}: key_path {path!r} is not JSON of an application")
    return document
