"""Identities at AWS: of the environment, of keys, of a profile, or a role that one of these assumes.

https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from registry_sync.registry.identity.extras import require

CONNECT_SECONDS, READ_SECONDS = 5, 20

ATTEMPTS = 3
"""Attempts of the SDK for each call."""


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


@dataclass(frozen=True, kw_only=True)
class AwsIdentity:
    """An identity at AWS. Without keys and profile it is that of the environment. Safe to use from many threads.

    The environment is what boto3 finds: variables, web identity (IRSA), Pod Identity, shared files, container or
    instance metadata.

    :ivar origin: the place that the identity is written in, for messages.
    """

    origin: str
    keys: AwsKeys | None = None
    profile: str | None = None
    role: AwsRole | None = None
    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def client(self, service: str, region: str) -> Any:
        """A boto3 client of a service, whose AWS credentials are renewed by boto3. It may be used by many threads.

        :raises ConfigurationError: when boto3 is not installed.
        """
        with self._lock:
            return self._session.client(
                service, region_name=region, endpoint_url=self.endpoint_urls.get(service), config=_config()
            )

    @cached_property
    def _session(self) -> Any:
        require("boto3", "boto3", "amazon")
        import boto3

        keys = self.keys
        return boto3.Session(
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
            profile_name=self.profile,
        )


def _config() -> Any:
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
