"""Identities at AWS: of the environment, of keys, of a profile, or a role that one of these assumes.

https://docs.aws.amazon.com/boto3/latest/guide/credentials.html. The login of ECR is
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html.
"""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.registry.clouds import Cloud
from registry_sync.registry.ecr_host import EcrHost, parse_ecr_host
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.answers import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS
from registry_sync.registry.identity.aws_errors import decoded_errors, decoded_settings
from registry_sync.registry.identity.aws_sessions import AwsKeys, AwsRole, assume_role, open_session
from registry_sync.registry.identity.extras import require
from registry_sync.registry.kinds import ECR_PUBLIC_HOSTS
from registry_sync.registry.proxies import proxies_of_sdk

PUBLIC_REGION = "us-east-1"
"""The only region of the API of ECR Public."""


@dataclass(frozen=True, kw_only=True)
class AwsIdentity:
    """An identity at AWS. Without keys and profile it is that of the environment. Safe to use from many threads.

    The environment is what boto3 finds: variables, web identity (IRSA), shared files, Pod Identity and other
    containers, instance metadata.

    :ivar origin: the place that the identity is written in, for messages.
    :ivar region: of STS, where the role is assumed; by default that of the registry.
    :ivar endpoint_urls: addresses of services by their names, in place of AWS' own.
    :ivar options: of botocore's ``Config``, in place of ours.
    :ivar proxy: that of the registry, for the calls to AWS too; ``None`` is that of the environment. The metadata of
        machines and containers is read directly.
    :ivar verify: the bundle of certificates for AWS' services; ``None`` is the SDK's own.
    """

    cloud: ClassVar[Cloud] = "aws"

    origin: str
    keys: AwsKeys | None = None
    profile: str | None = None
    role: AwsRole | None = None
    region: str | None = None
    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    verify: str | None = None
    proxy: Proxy | None = None
    _sessions: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    def client(self, service: str, region: str | None, **options: Any) -> Any:
        """A boto3 client of a service, whose AWS credentials are renewed by boto3. It may be used by many threads.

        :param region: ``None`` is that of the identity.
        :param options: of boto3's ``client``, such as ``config`` and ``endpoint_url``.
        :raises ConfigurationError: when boto3 is not installed, or the identity's profile does not exist.
        """
        require("boto3", "boto3", "amazon")
        import boto3

        region = region or self.region
        with (
            self._lock,
            decoded_errors(f"the service {service}", self.origin),
            decoded_settings(service, self.origin),
        ):
            session = boto3.Session(botocore_session=self._session(region))
            return session.client(service, **self._client_options(service, region, options))

    def with_proxy(self, proxy: Proxy | None) -> AwsIdentity:
        """The identity, which asks AWS through the proxy of a registry."""
        return replace(self, proxy=proxy)

    def forget_sessions(self) -> None:
        """Read the credentials again for the next client, because AWS rejects the present ones as expired."""
        with self._lock:
            self._sessions.clear()

    def log_in(self, endpoint: Endpoint) -> Credentials:
        """The login of a private registry, or of ECR Public. It is valid for twelve hours.

        :raises LoginRejected: when AWS denies it.
        :raises ConfigurationError: without an identity, and when the token is for another registry.
        :raises TemporaryError: when AWS does not respond.
        """
        host = parse_ecr_host(endpoint.host)
        return self._log_in_private(endpoint, host) if host else self._log_in_public(endpoint)

    def describe(self, endpoint: Endpoint) -> str:
        """The ARN of the user or role. STS returns it without any permission."""
        host = parse_ecr_host(endpoint.host)
        client = self.client("sts", host.region if host else PUBLIC_REGION)
        with decoded_errors("sts:GetCallerIdentity", self.origin):
            return str(client.get_caller_identity()["Arn"])

    def _log_in_private(self, endpoint: Endpoint, host: EcrHost) -> Credentials:
        client = self.client("ecr", host.region, config=_variants(host))
        with decoded_errors("ecr:GetAuthorizationToken", self.origin):
            answer = client.get_authorization_token(registryIds=[host.account])
            token: Mapping[str, Any] = answer["authorizationData"][0]
        issued_for = str(token.get("proxyEndpoint"))
        found = parse_ecr_host(urlsplit(issued_for).netloc)
        if found is None or (found.account, found.region) != (host.account, host.region):
            raise ConfigurationError(
                f"AWS issued a token for {issued_for!r} to {self.origin}, not for {endpoint.host}, so nothing was sent "
                "there; correct the host of the registry, or the endpoint_url of the Connection"
            )
        return _credentials(token)

    def _log_in_public(self, endpoint: Endpoint) -> Credentials:
        if endpoint.host not in ECR_PUBLIC_HOSTS:
            raise ConfigurationError(f"{endpoint.host} is not a host of ECR, so nothing was sent there")
        client = self.client("ecr-public", PUBLIC_REGION)
        with decoded_errors("ecr-public:GetAuthorizationToken", self.origin):
            return _credentials(client.get_authorization_token()["authorizationData"])

    def _session(self, region: str | None) -> Any:
        """The session of the role, or of the identity itself."""
        name = "role" if self.role else "base"
        if "base" not in self._sessions:
            self._sessions["base"] = open_session(self.keys, self.profile, self._config, self.origin)
        if self.role and "role" not in self._sessions:
            base = self._sessions["base"]

            def open_sts(service: str, **options: Any) -> Any:
                chosen = self._client_options(
                    service, options.pop("region_name", None) or self.region or region, options
                )
                return base.create_client(service, **chosen)

            self._sessions["role"] = assume_role(base, self.role, open_sts, self.origin)
        return self._sessions[name]

    def _client_options(self, service: str, region: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """The caller's options for a client, completed by ours."""
        config = options.get("config")
        return {
            **options,
            "region_name": region,
            "endpoint_url": options.get("endpoint_url") or self.endpoint_urls.get(service),
            "config": self._config.merge(config) if config else self._config,
            **({"verify": self.verify} if self.verify else {}),
        }

    @cached_property
    def _config(self) -> Any:
        from botocore.config import Config

        ours = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            **({"proxies": proxies_of_sdk(self.proxy)} if self.proxy else {}),
        }
        try:
            return Config(**{**ours, **self.options})
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"{self.origin}: its config_kwargs cannot be used: {error}") from error


def _variants(host: EcrHost) -> Any:
    """FIPS and dual-stack hosts have such an API."""
    from botocore.config import Config

    return Config(use_fips_endpoint=host.is_fips, use_dualstack_endpoint=host.is_dual_stack)


def _credentials(token: Mapping[str, Any]) -> Credentials:
    """The token is ``AWS:PASSWORD`` in Base64. :raises TemporaryError: when it is not."""
    try:
        user, _, secret = b64decode(token["authorizationToken"]).decode("ascii").partition(":")
    except (KeyError, ValueError, TypeError):
        user, secret = "", ""
    if not (user and secret):
        raise TemporaryError("AWS answered GetAuthorizationToken without a usable token")
    return Credentials(username=user, secret=secret, expires_at=token.get("expiresAt"))
