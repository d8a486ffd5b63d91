"""Authentication at registry APIs: Basic, and Bearer tokens with their cache.

https://distribution.github.io/distribution/spec/auth/token/; RFC 7235 for challenges.
"""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from requests.utils import parse_dict_header

from registry_sync.errors import ConfigurationError, DeniedError, TemporaryError
from registry_sync.registry.endpoint import Endpoint

DEFAULT_TOKEN_SECONDS = 60
"""Lifetime of a token whose issuer does not report it (token spec, "expires_in")."""

_MAX_TOKEN_SECONDS = 24 * 3600

_MAX_CHALLENGE = 4096

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""Printable ASCII, which any header can hold. RFC 6750 allows fewer characters."""

_CHALLENGE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s+(.*)", re.DOTALL)


_URL = re.compile(r"[^\s\"<>\\^`{|}]+")
"""Characters of a URL. A challenge with a missing comma would otherwise give a realm with a quote in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A challenge of a 401: its scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenge(header: str) -> Challenge | None:
    """Parse a ``WWW-Authenticate`` header; ``None`` without a scheme and parameters.

    >>> parse_challenge('Bearer realm="https://a.example/token",service="r"').parameters["service"]
    'r'
    """
    match = _CHALLENGE.match(header[:_MAX_CHALLENGE])
    if match is None:
        return None
    parameters = {
        name.strip().lower(): (value or "").strip()
        for name, value in parse_dict_header(match[2]).items()  # type: ignore[no-untyped-call]
    }
    return Challenge(scheme=match[1].lower(), parameters=parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A Bearer token. It may be sent until ``good_until`` (``time.monotonic()`` seconds)."""

    value: str = field(repr=False)
    good_until: float


def parse_token(document: Any, *, now: float, default_seconds: float = DEFAULT_TOKEN_SECONDS) -> Token | None:
    """Parse the JSON of a token endpoint; ``None`` without a token that a header can hold.

    A tenth of the lifetime is kept as a margin, so that the token does not expire in transit.

    :param now: ``time.monotonic()``.
    """
    if not isinstance(document, dict):
        return None
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        return None
    lifetimes = (document.get("expires_in"), _jwt_seconds(value), default_seconds)
    seconds = min(next(filter(_is_lifetime, lifetimes)), _MAX_TOKEN_SECONDS)
    return Token(value=value, good_until=now + 0.9 * seconds)


def _is_lifetime(seconds: Any) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0


def _jwt_seconds(token: str) -> Any:
    """``exp`` minus ``iat`` of a JWT, unverified. Quay and Azure report the lifetime of a token only there.

    https://www.rfc-editor.org/rfc/rfc7519#section-4.1; ``None`` for other tokens.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["exp"] - claims["iat"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None


class Authenticator(Protocol):
    """Authentication at one server. Safe to use from many threads at once."""

    def header(self, scope: str, /) -> str | None:
        """The Authorization header for ``scope``; ``None`` for an anonymous request."""

    def learn(self, challenge: str, scope: str, /, *, sent: str | None) -> None:
        """Process the ``WWW-Authenticate`` of a 401, the response to the Authorization ``sent``.

        If :meth:`header` then returns a different header, the request is sent once more with it.
        """


class FixedAuthorization:
    """An :class:`Authenticator` that always sends the same header; ``None`` is always anonymous."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def header(self, _scope: str, /) -> str | None:
        return self._value

    def learn(self, _challenge: str, _scope: str, /, *, sent: str | None) -> None:
        """Do nothing: no other header can be tried."""


class ChallengeAuthenticator:
    """An :class:`Authenticator` for ``/v2``: Basic or Bearer, as the registry's first 401 requires.

    Tokens are cached by scope. One thread fetches a token while the others wait for it.

    :param fetch: takes a token URL and an Authorization header (``None``: anonymous) and returns the decoded JSON. It
        raises :class:`DeniedError` when the credentials are rejected.
    """

    def __init__(self, endpoint: Endpoint, fetch: Callable[[str, str | None], Any]) -> None:
        self._endpoint = endpoint
        self._fetch = fetch
        self._challenge: Challenge | None = None
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def header(self, scope: str, /) -> str | None:
        """The Authorization header; ``None`` until the registry has required one."""
        challenge = self._challenge
        if challenge is None:
            return None
        return self._basic() if challenge.scheme == "basic" else f"Bearer {self._token(scope, challenge).value}"

    def learn(self, header: str, scope: str, /, *, sent: str | None) -> None:
        """Process the challenge of a 401, the response to a request with the Authorization ``sent``.

        :raises DeniedError: when no better header is possible: no supported challenge, or no credentials for it.
        """
        challenge = parse_challenge(header)
        if challenge is None or challenge.scheme not in ("basic", "bearer"):
            raise DeniedError(f"{self._endpoint.host} denies access without saying how to log in ({header!r})")
        if challenge.scheme == "basic" and self._endpoint.credentials is None:
            advice = "" if self._endpoint.anonymous_by_design else "; give its registry a connection"
            raise DeniedError(f"{self._endpoint.host} requires a user name and password{advice}")
        with self._lock:
            self._challenge = challenge
            token = self._tokens.get(scope)
            if token is not None and sent == f"Bearer {token.value}":
                del self._tokens[scope]

    def _basic(self) -> str | None:
        credentials = self._endpoint.credentials
        return f"Basic {credentials.basic()}" if credentials else None

    def _token(self, scope: str, challenge: Challenge) -> Token:
        with self._lock:
            token = self._tokens.get(scope)
            if token is None or time.monotonic() >= token.good_until:
                token = self._tokens[scope] = self._fetch_token(scope, challenge)
            return token

    def _fetch_token(self, scope: str, challenge: Challenge) -> Token:
        url = token_url(self._endpoint, challenge, scope)
        token = parse_token(self._fetch(url, self._basic()), now=time.monotonic())
        if token is None:
            raise TemporaryError(f"{urlsplit(url).netloc} answered without a token for {self._endpoint.host}")
        return token


def token_url(endpoint: Endpoint, challenge: Challenge, scope: str) -> str:
    """The URL of a token for ``scope`` (empty: to log in only).

    :raises ConfigurationError: when the realm is not a URL, or plain HTTP although the registry has TLS.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm if _URL.fullmatch(realm) else "")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ({"https"} if endpoint.tls else {"https", "http"}) or not parts.netloc:
        raise ConfigurationError(
            f"{endpoint.host} sends logins to {realm!r}, which is not an https URL; nothing was sent there"
        )
    service = challenge.parameters.get("service")
    query = urlencode(([("service", service)] if service else []) + ([("scope", scope)] if scope else []))
    return f"{realm}{'&' if parts.query else '?'}{query}" if query else realm
