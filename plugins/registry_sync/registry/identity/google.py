"""Identities at Google Cloud: of the environment (ADC), of a key or configuration, or a service account to act for.

https://cloud.google.com/docs/authentication/application-default-credentials. Registries take the access token as the
password of ``oauth2accesstoken``: https://cloud.google.com/artifact-registry/docs/docker/authentication#token.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar

from registry_sync.errors import ConfigurationError, LoginRejected, TemporaryError
from registry_sync.registry.clouds import Cloud
from registry_sync.registry.endpoint import Credentials, Endpoint, Proxy
from registry_sync.registry.identity.answers import no_answer, read_answer, unusable_answer
from registry_sync.registry.identity.extras import require
from registry_sync.registry.identity.files import check_readable, decode_os_error
from registry_sync.registry.identity.google_transport import GoogleTransport
from registry_sync.registry.identity.metadata import silent_server

USER = "oauth2accesstoken"

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""The scope that Artifact Registry requires for writing."""

_OF_AWS = "urn:ietf:params:aws:token-type:aws4_request"

_TIMEOUTS = ("ConnectTimeout", "ReadTimeout")
"""Errors of the library ``requests``, which the SDK uses."""

PLACES = (
    "GOOGLE_APPLICATION_CREDENTIALS, the login of gcloud (application_default_credentials.json), and the metadata "
    "server (GCE_METADATA_HOST, by default metadata.google.internal)"
)
"""The places in which the SDK looks."""


@dataclass(frozen=True, kw_only=True)
class GoogleIdentity:
    """An identity at Google Cloud. Without ``info`` and ``file`` it is that of the environment.

    :ivar origin: the place that the identity is written in, for messages.
    :ivar info: a key of a service account, or a configuration for workload identity federation.
    :ivar file: path of a file with one.
    :ivar chain: service accounts, each of which acts for the next; the last one is used.
    :ivar proxy: that of the registry, for the calls to Google too; ``None`` is that of the environment.
    """

    cloud: ClassVar[Cloud] = "google"

    origin: str
    info: Mapping[str, Any] | None = field(default=None, repr=False)
    file: str | None = None
    chain: tuple[str, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    proxy: Proxy | None = None
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    def log_in(self, endpoint: Endpoint) -> Credentials:  # noqa: ARG002 - the token is for all registries
        """The login of all registries of Google Cloud. It is valid for an hour.

        :raises LoginRejected: when Google denies it.
        :raises ConfigurationError: without an identity.
        :raises TemporaryError: when Google or the metadata server does not respond.
        """
        with self._lock, self._decoded_errors():
            credentials = self._credentials()
            self._refresh(credentials)
            end = credentials.expiry.replace(tzinfo=UTC) if credentials.expiry else None
            return Credentials(username=USER, secret=credentials.token, expires_at=end)

    def with_proxy(self, proxy: Proxy | None) -> GoogleIdentity:
        """The identity, which asks Google through the proxy of a registry."""
        return replace(self, proxy=proxy)

    def describe(self, endpoint: Endpoint) -> str:  # noqa: ARG002 - it is the same for all registries
        """The e-mail address of the service account; else the kind of identity."""
        with self._lock, self._decoded_errors():
            credentials = self._credentials()
            if not credentials.token:
                self._refresh(credentials)
            for name in ("service_account_email", "account"):
                if text := getattr(credentials, name, None):
                    return str(text)
            return f"{type(credentials).__module__.rpartition('.')[2]} credentials of {self.origin}"

    def _refresh(self, credentials: Any) -> None:
        """Fetch a token. :raises TemporaryError: also for an answer without one."""
        action = "a request for a token"
        with read_answer("Google", action, self.origin):
            credentials.refresh(self._transport())
        if not isinstance(credentials.token, str) or not credentials.token:
            raise unusable_answer("Google", action, self.origin)

    def _transport(self) -> Any:
        if "transport" not in self._found:
            self._found["transport"] = GoogleTransport(self.proxy)
        return self._found["transport"]

    def _credentials(self) -> Any:
        """Credentials of the SDK. The environment is searched once."""
        if "credentials" not in self._found:
            self._found["credentials"] = self._find()
        return self._found["credentials"]

    def _find(self) -> Any:
        require("google.auth", "google-auth", "google")
        require("requests", "requests", "google")
        import google.auth
        from google.auth import impersonated_credentials

        if info := self._configuration():
            found = _load(info, self.scopes, self.origin)
        else:
            if path := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                check_readable(path)
            found, _ = google.auth.default(scopes=self.scopes, request=self._transport())
        _check_token_file(found)
        if not self.chain:
            return found
        return impersonated_credentials.Credentials(
            source_credentials=found,
            target_principal=self.chain[-1],
            delegates=list(self.chain[:-1]),
            target_scopes=list(self.scopes),
        )

    def _configuration(self) -> Mapping[str, Any] | None:
        if self.file is None:
            return self.info
        document = json.loads(Path(self.file).read_text(encoding="utf-8"))
        return document if isinstance(document, dict) else {}

    @contextmanager
    def _decoded_errors(self) -> Iterator[None]:
        """Raise errors of the SDK as our own."""
        require("google.auth", "google-auth", "google")
        from google.auth import exceptions

        started = time.monotonic()
        try:
            yield
        except exceptions.DefaultCredentialsError as error:
            if silence := self._transport().silence:
                raise silent_server("Google Cloud", self.origin, silence) from error
            is_named = self.info or self.file or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
            where = str(error) if is_named else f"none in {PLACES}"
            raise ConfigurationError(f"{self.origin} has no usable Google identity: {where}") from error
        except exceptions.TransportError as error:
            if type(error.__cause__).__name__ in _TIMEOUTS:
                raise no_answer("Google", "a request for a token", self.origin, started) from error
            raise TemporaryError(f"Google cannot be asked for a token of {self.origin}: {error}") from error
        except exceptions.GoogleAuthError as error:
            if error.retryable or isinstance(error.__cause__, exceptions.TransportError):
                raise TemporaryError(f"Google did not issue a token to {self.origin}: {error}") from error
            raise LoginRejected(f"Google denies a token to {self.origin}: {error}") from error
        except OSError as error:
            raise decode_os_error(error, "Google", self.origin) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # the SDK checks no types
            raise ConfigurationError(f"{self.origin} has no usable Google identity: {error}") from error


def _load(info: Mapping[str, Any], scopes: tuple[str, ...], origin: str) -> Any:
    """The credentials of a key or a configuration. Types that run a program of their own are refused.

    :raises ConfigurationError: for another type.
    """
    from google.auth import aws, identity_pool
    from google.oauth2 import credentials, service_account

    kind, options = info.get("type"), {"scopes": scopes}
    if kind == "service_account":
        return service_account.Credentials.from_service_account_info(info, **options)
    if kind == "external_account" and info.get("subject_token_type") == _OF_AWS:
        return aws.Credentials.from_info(info, **options)
    if kind == "external_account" and "executable" not in (info.get("credential_source") or {}):
        return identity_pool.Credentials.from_info(info, **options)
    if kind == "authorized_user":
        return credentials.Credentials.from_authorized_user_info(info, **options)
    raise ConfigurationError(
        f"{origin} has a Google configuration of type {kind!r}; service_account, external_account (without an "
        "executable) and authorized_user are supported"
    )


def _check_token_file(credentials: Any) -> None:
    """:raises OSError: when the token of a workload identity is in a file that cannot be read."""
    info = getattr(credentials, "info", None)
    source = info.get("credential_source") if isinstance(info, Mapping) else None
    if isinstance(source, Mapping) and isinstance(file := source.get("file"), str):
        check_readable(file)
