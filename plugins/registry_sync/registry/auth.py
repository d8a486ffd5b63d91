"""Authentication of the registry APIs: Basic, and the Bearer token flow with its cache.

https://distribution.github.io/distribution/spec/auth/token/ and RFC 7235 for the challenge.
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

from registry_sync.errors import ConfigurationError, DeniedError, TemporaryError
from registry_sync.registry.endpoint import Endpoint

DEFAULT_TOKEN_SECONDS = 60
"""How long a token lives when its issuer does not say (token spec, "expires_in")."""

_LONGEST_TOKEN_SECONDS = 24 * 3600

_LONGEST_CHALLENGE = 4096

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What can stand in a header, of which RFC 6750 allows tokens a part."""

_CHALLENGE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)\s+(.*)", re.DOTALL)

_PARAMETER = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a 401 asks for: ``scheme`` in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenge(header: str) -> Challenge | None:
    """Read a ``WWW-Authenticate`` header; ``None`` when it holds no scheme with parameters.

    >>> parse_challenge('Bearer realm="https://a.example/token",service="r"').parameters["service"]
    'r'
    """
    match = _CHALLENGE.match(header[:_LONGEST_CHALLENGE])
    if match is None:
        return None
    parameters = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _PARAMETER.findall(match[2])
    }
    return Challenge(scheme=match[1].lower(), parameters=parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A Bearer token, and until when (``time.monotonic()`` seconds) it may be sent."""

    value: str = field(repr=False)
    good_until: float


def parse_token(response: Any, *, now: float, default_seconds: float = DEFAULT_TOKEN_SECONDS) -> Token | None:
    """Read the response of a token endpoint; ``None`` when it holds no token, or one that no header can hold.

    ``now`` is ``time.monotonic()``.

    A tenth of the lifetime is kept as a margin, so that a token does not expire on its way.
    """
    if not isinstance(response, dict):
        return None
    value = response.get("token") or response.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        return None
    lifetimes = (response.get("expires_in"), _jwt_seconds(value), default_seconds)
    seconds = min(next(filter(_is_lifetime, lifetimes)), _LONGEST_TOKEN_SECONDS)
    return Token(value=value, good_until=now + 0.9 * seconds)


def _is_lifetime(seconds: Any) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0


def _jwt_seconds(token: str) -> Any:
    """``exp`` less ``iat`` of a JWT, unverified: Quay and Azure say a token's lifetime nowhere else.

    https://www.rfc-editor.org/rfc/rfc7519#section-4.1; ``None`` when the token is none, or does not say.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["exp"] - claims["iat"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None


class Authenticator(Protocol):
    """Who we are to one server. Safe to use from many threads at once."""

    def header(self, scope: str, /) -> str | None:
        """The Authorization header to send for ``scope``, or ``None`` to send none."""

    def learn(self, challenge: str, scope: str, /, *, sent: str | None) -> None:
        """Take in the ``WWW-Authenticate`` of a 401 that answered the Authorization ``sent``.

        When :meth:`header` gives something else afterwards, the request is sent once more with that.
        """


class FixedAuthorization:
    """An :class:`Authenticator` that sends the same header always, or with ``None`` never one."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def header(self, _scope: str, /) -> str | None:
        return self._value

    def learn(self, _challenge: str, _scope: str, /, *, sent: str | None) -> None:
        """Nothing: there is no other header to try after ``sent``."""


class ChallengeAuthenticator:
    """An :class:`Authenticator` for ``/v2``: Basic or a token, once the registry's first 401 has said how.

    ``fetch`` takes a token URL and an Authorization header (or ``None``: anonymous) and returns the decoded JSON; it
    raises :class:`DeniedError` when the credentials are not accepted. Tokens are cached by scope; one thread fetches
    while the others wait for it.
    """

    def __init__(self, endpoint: Endpoint, fetch: Callable[[str, str | None], Any]) -> None:
        self._endpoint = endpoint
        self._fetch = fetch
        self._challenge: Challenge | None = None
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def header(self, scope: str, /) -> str | None:
        """The Authorization header to send, or ``None`` as long as the registry has not asked for one."""
        challenge = self._challenge
        if challenge is None:
            return None
        return self._basic() if challenge.scheme == "basic" else f"Bearer {self._token(scope, challenge).value}"

    def learn(self, header: str, scope: str, /, *, sent: str | None) -> None:
        """Take in the challenge of a 401 that answered a request with the Authorization ``sent``.

        :raises DeniedError: when there is nothing better to send: no challenge, or no credentials for it.
        """
        challenge = parse_challenge(header)
        if challenge is None or challenge.scheme not in ("basic", "bearer"):
            raise DeniedError(f"{self._endpoint.host} denies access without saying how to log in ({header!r})")
        if challenge.scheme == "basic" and self._endpoint.credentials is None:
            advice = "" if self._endpoint.is_node else "; give its registry a connection"
            raise DeniedError(f"{self._endpoint.host} wants a user name and password{advice}")
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
    """Where to fetch a token for ``scope`` (empty: only to log in).

    :raises ConfigurationError: when the realm is no URL, or plain HTTP although the registry is not.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ({"https"} if endpoint.tls else {"https", "http"}) or not parts.netloc:
        raise ConfigurationError(
            f"{endpoint.host} sends log-ins to {realm!r}, no https address; nothing was sent there"
        )
    service = challenge.parameters.get("service")
    query = urlencode(([("service", service)] if service else []) + ([("scope", scope)] if scope else []))
    return f"{realm}{'&' if parts.query else '?'}{query}" if query else realm
