"""A Connection of type ``aws``, as an identity.

https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from registry_sync.airflow.hooks.extra import ExtraFields
from registry_sync.errors import ConfigurationError
from registry_sync.registry.identity.aws import AwsIdentity
from registry_sync.registry.identity.aws_sessions import AwsKeys, AwsRole

if TYPE_CHECKING:
    from airflow.sdk import Connection

_KEY_ID, _SECRET, _TOKEN = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"


_READ = (
    *(_KEY_ID, _SECRET, _TOKEN, "profile_name", "region_name", "role_arn", "assume_role_method", "assume_role_kwargs"),
    "assume_role_with_web_identity_federation",
    "assume_role_with_web_identity_token_file",
    *("endpoint_url", "service_config", "config_kwargs", "session_kwargs", "verify"),
)

_OTHERS = (
    *("assume_role_with_web_identity_federation_audience", "assume_role_with_saml", "aws_account_id", "aws_iam_role"),
    *("external_id", "host", "region", "service_name", "s3_config_file", "s3_config_format"),
)
"""Further fields that the provider's hook has or had."""


def read_aws(connection: Connection, name: str) -> AwsIdentity:
    """The identity of a Connection. Without keys, profile and role it is that of the environment.

    :param name: the Connection, for messages.
    :raises ConfigurationError: for fields that cannot be used.
    """
    fields = ExtraFields.read(connection, name)
    fields.refuse_slips(_READ, _OTHERS)
    session = fields.mapping("session_kwargs")
    if fields.values.get("verify") is False:
        raise ConfigurationError(f"{name}: verify: false is not supported; write the path of a bundle, or remove it")
    return AwsIdentity(
        origin=name,
        keys=_read_keys(connection, fields, session),
        profile=fields.text("profile_name") or session.get("profile_name"),
        role=_read_role(fields),
        region=fields.text("region_name") or session.get("region_name"),
        endpoint_urls=_read_addresses(fields),
        options=fields.mapping("config_kwargs"),
        verify=fields.values["verify"] if isinstance(fields.values.get("verify"), str) else None,
    )


def _read_keys(connection: Connection, fields: ExtraFields, session: Mapping[str, Any]) -> AwsKeys | None:
    """The keys: login and password, else those of the extra.

    :raises ConfigurationError: for one of two, which the provider's hook would replace by the environment's.
    """
    written = {**session, **fields.values}
    login, password = connection.login or written.get(_KEY_ID), connection.password or written.get(_SECRET)
    if bool(login) != bool(password):
        raise ConfigurationError(
            f"{fields.name} has only one of access key id (login) and secret access key (password)"
        )
    if not login:
        return None
    token = written.get(_TOKEN)
    if not all(isinstance(value, str) for value in (login, password, token or "")):
        raise ConfigurationError(f"{fields.name}: {_KEY_ID}, {_SECRET} and {_TOKEN} must be text")
    for secret in filter(None, (password, token)):
        mask_secret(secret)
    return AwsKeys(access_key_id=str(login), secret_access_key=str(password), session_token=token)


def _read_role(fields: ExtraFields) -> AwsRole | None:
    arn, method = fields.text("role_arn"), fields.text("assume_role_method") or "assume_role"
    if arn is None:
        return None
    if method == "assume_role":
        return AwsRole(arn=arn, arguments=fields.mapping("assume_role_kwargs"))
    federation = fields.text("assume_role_with_web_identity_federation")
    if method != "assume_role_with_web_identity" or federation != "file":
        shown = f"{method} by {federation}" if federation else method
        raise ConfigurationError(
            f"{fields.name}: assume_role_method {shown} is not supported for registries; write assume_role, or "
            "assume_role_with_web_identity with assume_role_with_web_identity_federation: file"
        )
    file = fields.text("assume_role_with_web_identity_token_file") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not file:
        raise ConfigurationError(f"{fields.name} has no assume_role_with_web_identity_token_file")
    return AwsRole(arn=arn, arguments=fields.mapping("assume_role_kwargs"), token_file=file)


def _read_addresses(fields: ExtraFields) -> Mapping[str, str]:
    """The addresses of the services that we call. STS has its own, as in the provider's hook."""
    everywhere, services = fields.text("endpoint_url"), fields.mapping("service_config")
    addresses = {"ecr": everywhere, "ecr-public": everywhere, "sts": None}
    addresses |= {
        service: settings["endpoint_url"]
        for service, settings in services.items()
        if isinstance(settings, dict) and isinstance(settings.get("endpoint_url"), str)
    }
    return {service: address for service, address in addresses.items() if address}
