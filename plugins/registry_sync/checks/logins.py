"""Checks of the way to a registry and of the login: proxy, TLS, clock, expiry."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from registry_sync.checks.finding import Finding
from registry_sync.errors import LoginRejected, RegistrySyncError
from registry_sync.registry.client import RegistryClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.jwt_claims import time_of
from registry_sync.registry.proxies import proxy_of_registry, shown_proxy
from registry_sync.text_table import human_duration

SKEW_SECONDS = 60.0
"""Minimum difference of clocks that is reported. Tokens are valid for minutes, and windows go by push times."""

EXPIRY_NOTICE = timedelta(days=14)
"""A login that ends earlier is a warning."""


def check_login(
    subject: str,
    endpoint: Endpoint,
    client: RegistryClient,
    *,
    connection: str | None,
    remedy_of: Callable[[RegistrySyncError], str] = lambda _: "",
) -> Iterator[Finding]:
    """Log in, and check what a login shows. The first finding says whether it worked.

    :param remedy_of: the remedy for errors other than a rejected login.
    """
    check = "log in" if endpoint.credentials else "anonymous access"
    proxy = proxy_of_registry(endpoint)
    try:
        client.ping()
    except LoginRejected as error:
        remedy = "give this identity the rights that docs/registries.md has for the registry"
        if endpoint.identity is None:
            remedy = (
                f"correct user and password of the Connection {connection} (docs/registries.md has both for each kind)"
            )
        yield Finding.of_error(subject, check, error, remedy=remedy)
        return
    except RegistrySyncError as error:
        yield Finding.of_error(subject, check, error, remedy=remedy_of(error))
        return
    user = f" as {_user(endpoint)}" if endpoint.credentials else ""
    through = f" through the proxy {shown_proxy(proxy)}" if proxy else ""
    yield Finding(subject=subject, check=check, text=f"{endpoint.host}{user}{through}")
    yield from _check_tls(subject, endpoint)
    yield from _check_clock(subject, client.clock_skew_seconds)
    yield from _check_expiry(subject, endpoint, datetime.now(UTC))


def _user(endpoint: Endpoint) -> str:
    """The user, or the identity as its cloud names it."""
    name = endpoint.credentials.user if endpoint.credentials else ""
    if endpoint.identity is None:
        return name
    try:
        return f"{endpoint.identity.describe(endpoint)} ({name})"
    except RegistrySyncError as error:
        return f"{name}, whose name is not known: {error}"


def _check_tls(subject: str, endpoint: Endpoint) -> Iterator[Finding]:
    if not endpoint.tls and endpoint.credentials and not _is_this_machine(endpoint.host):
        yield Finding(
            subject=subject,
            check="TLS",
            verdict="warning",
            text=f"tls: false sends the password to {endpoint.host} in clear text",
            remedy="remove tls: false where the registry has a certificate",
        )


def _is_this_machine(host: str) -> bool:
    name = host.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _check_clock(subject: str, skew_seconds: float | None) -> Iterator[Finding]:
    if skew_seconds is None or abs(skew_seconds) <= SKEW_SECONDS:
        return
    way = "behind" if skew_seconds > 0 else "ahead of"
    yield Finding(
        subject=subject,
        check="clock",
        verdict="warning",
        text=f"the clock of this machine is {human_duration(abs(skew_seconds))} {way} the registry's: tokens look "
        "expired or not yet valid, and windows miss tags",
        remedy="synchronize the clocks (NTP)",
    )


def _check_expiry(subject: str, endpoint: Endpoint, now: datetime) -> Iterator[Finding]:
    credentials = endpoint.credentials.current() if endpoint.credentials else None
    if credentials is None:
        return
    end = credentials.expires_at or expires_at(credentials.secret)
    if end is None:
        return
    shown = f"{end:%Y-%m-%d %H:%M} UTC"
    if endpoint.identity:
        rest = human_duration((end - now).total_seconds())
        text = f"the token is valid until {shown}, for {rest}, and is renewed before"
        yield Finding(subject=subject, check="end of the login", text=text)
    elif end <= now:
        text, remedy = f"the password is a token that ended at {shown}", "store a new one in the Connection"
        yield Finding(subject=subject, check="end of the login", verdict="missing", text=text, remedy=remedy)
    elif end - now < EXPIRY_NOTICE:
        text = f"the password is a token that ends at {shown}, in {human_duration((end - now).total_seconds())}"
        remedy = "store a new one before, or a login that does not end"
        yield Finding(subject=subject, check="end of the login", verdict="warning", text=text, remedy=remedy)
    else:
        yield Finding(subject=subject, check="end of the login", text=shown)


def expires_at(secret: str) -> datetime | None:
    """The expiry in a password: of a JWT (Azure), or of the output of ``aws ecr get-login-password``.

    https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4; ECR's is JSON in Base64 with ``expiration``. ``None`` for all
    others, which may expire all the same.
    """
    parts = secret.split(".")
    document = _json(parts[1]) if len(parts) == 3 else _json(secret)
    return time_of(document.get("exp") or document.get("expiration"))


def _json(encoded: str) -> dict[str, Any]:
    try:
        text = encoded.replace("+", "-").replace("/", "_").rstrip("=")
        document = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (Error, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
