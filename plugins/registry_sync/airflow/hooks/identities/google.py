"""A Connection of type ``google_cloud_platform``, as an identity.

https://airflow.apache.org/docs/apache-airflow-providers-google/stable/connections/gcp.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.extra import ExtraFields
from registry_sync.errors import ConfigurationError
from registry_sync.registry.identity.google import SCOPES, GoogleIdentity

if TYPE_CHECKING:
    from airflow.sdk import Connection

_SOURCES = ("keyfile_dict", "key_path", "credential_config_file")

_REFUSED = {
    "is_anonymous": "remove connection: from the registry in the mirrors file for access without a login",
    "key_secret_name": "store the key in keyfile_dict of a Connection in Airflow's secrets backend",
    "idp_issuer_url": "write a configuration for workload identity federation as credential_config_file",
}


def read_google(connection: Connection, name: str) -> GoogleIdentity:
    """The identity of a Connection. Without key and configuration it is that of the environment.

    :param name: the Connection, for messages.
    :raises ConfigurationError: for fields that cannot be used.
    """
    fields = ExtraFields.read(connection, name)
    fields.refuse_slips((*_SOURCES, "impersonation_chain", "scope"), _REFUSED)
    fields.refuse(_REFUSED)
    if len(written := [field for field in _SOURCES if fields.values.get(field)]) > 1:
        raise ConfigurationError(f"{name} has {' and '.join(written)}; keep one of them")
    key = dict(fields.mapping("keyfile_dict"))
    if private_key := key.get("private_key"):
        key["private_key"] = str(private_key).replace("\\n", "\n")
        mask_secret(key["private_key"])
    configuration = fields.values.get("credential_config_file")
    is_path = isinstance(configuration, str) and not configuration.lstrip().startswith("{")
    info = key or ({} if is_path else fields.mapping("credential_config_file"))
    for secret in filter(None, (info.get(name) for name in ("refresh_token", "client_secret"))):
        mask_secret(str(secret))
    return GoogleIdentity(
        origin=name,
        info=info or None,
        file=fields.text("key_path") or (str(configuration) if is_path else None),
        chain=_read_chain(fields),
        scopes=_listed(fields.text("scope")) or SCOPES,
    )


def _read_chain(fields: ExtraFields) -> tuple[str, ...]:
    """The service accounts of ``impersonation_chain``: a list, or text with commas."""
    written = fields.values.get("impersonation_chain")
    if isinstance(written, list) and all(isinstance(account, str) for account in written):
        return tuple(written)
    return _listed(fields.text("impersonation_chain"))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
