"""Sessions of the AWS SDK: of an identity itself, and of a role that it assumes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_sync.errors import ConfigurationError
from registry_sync.registry.identity.aws_errors import no_identity
from registry_sync.registry.identity.aws_metadata import ask_directly

METADATA_ATTEMPTS = 2
"""Attempts to reach the metadata server of a machine, with a timeout of a second each. The SDK's default is one."""

SESSION_NAME = "registry_sync"
"""Name of the session of a role, which AWS' logs show."""


_TELLS_SECRETS = ("botocore.parsers", "botocore.endpoint", "botocore.auth")
"""Loggers of the SDK that write whole requests and answers at level debug: tokens, and keys of roles."""

for _name in _TELLS_SECRETS:
    logging.getLogger(_name).setLevel(logging.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """An access key, with the session token of a temporary one."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsRole:
    """A role to assume, with further arguments of STS such as ``ExternalId``.

    ``token_file`` is an OIDC token that STS accepts in place of AWS credentials (AssumeRoleWithWebIdentity).
    """

    arn: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    token_file: str | None = None


def open_session(keys: AwsKeys | None, profile: str | None, config: Any, origin: str) -> Any:
    """A botocore session with keys, of a profile, or, without both, of the environment.

    :param config: for the clients by which the SDK itself fetches credentials, such as for a web identity; their own
        time limits are minutes.
    """
    from botocore.session import Session

    session = Session(profile=profile)
    session.set_default_client_config(config)
    if "AWS_METADATA_SERVICE_NUM_ATTEMPTS" not in os.environ:
        session.set_config_variable("metadata_service_num_attempts", METADATA_ATTEMPTS)
    if keys:
        session.set_credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    else:
        ask_directly(session, origin)
    return session


def assume_role(session: Any, role: AwsRole, open_sts: Callable[..., Any], origin: str) -> Any:
    """A botocore session of a role, whose credentials are fetched at their first use, and renewed before they end.

    :param session: of the identity that assumes the role.
    :param open_sts: opens a client, with the arguments of ``create_client``.
    :raises ConfigurationError: without an identity that could assume it.
    """
    from botocore.credentials import CredentialResolver, DeferredRefreshableCredentials
    from botocore.session import Session

    fetcher = _web_identity(role, open_sts) if role.token_file else _of_identity(session, role, open_sts, origin)
    credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, _RoleProvider.METHOD)
    assumed = Session()
    assumed.register_component("credential_provider", CredentialResolver([_RoleProvider(credentials)]))
    return assumed


def _web_identity(role: AwsRole, open_sts: Callable[..., Any]) -> Any:
    from botocore.credentials import AssumeRoleWithWebIdentityCredentialFetcher, FileWebIdentityTokenLoader

    loader = FileWebIdentityTokenLoader(role.token_file)
    return AssumeRoleWithWebIdentityCredentialFetcher(open_sts, loader, role.arn, extra_args=_arguments(role))


def _of_identity(session: Any, role: AwsRole, open_sts: Callable[..., Any], origin: str) -> Any:
    from botocore.credentials import AssumeRoleCredentialFetcher

    def refuse_prompt(_: str) -> str:
        raise ConfigurationError(f"{origin}: role {role.arn} wants an MFA code, which a task cannot enter")

    source = session.get_credentials()
    if source is None:
        raise ConfigurationError(
            f"{no_identity(origin)}. To assume role {role.arn}, credentials of an identity that may do so are needed: "
            "an access key as login and password of the Connection, or one of these places"
        )
    return AssumeRoleCredentialFetcher(
        open_sts, source, role.arn, extra_args=_arguments(role), mfa_prompter=refuse_prompt
    )


def _arguments(role: AwsRole) -> Mapping[str, Any]:
    return {"RoleSessionName": SESSION_NAME, **role.arguments}


class _RoleProvider:
    """A provider of botocore's chain, which it calls once for each session."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials
