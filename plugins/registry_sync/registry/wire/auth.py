"""Authentication at registry APIs: Basic, and Bearer tokens with their cache.

https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from registry_sync.errors import ConfigurationError, DeniedError, TemporaryError
from registry_sync.registry.clouds import cloud_of
from registry_sync.registry.endpoint import Credentials, CredentialSource, Endpoint
from registry_sync.registry.jwt_claims import jwt_claims
from registry_sync.registry.wire.challenges import Challenge, parse_challenges
from registry_sync.registry.wire.urls import host_of

DEFAULT_TOKEN_SECONDS = 60
"""Lifetime of a token whose issuer does not report it (token spec, "expires_in")."""

_MAX_TOKEN_SECONDS = 24 * 3600

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""Printable ASCII, which any header can hold. RFC 6750 allows fewer characters."""

_URL = re.compile(r"[^\s\"<>\\^`{|}]+")
"""Characters of a URL. A challenge with a missing comma would otherwise give a realm with a quote in it."""


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
        return jwt_claims(token)["exp"] - jwt_claims(token)["iat"]
    except (KeyError, TypeError):
        return None


def granted_actions(token: str, repository: str) -> frozenset[str] | None:
    """The actions on a repository that a token grants; ``None`` for one that does not say it.

    https://distribution.github.io/distribution/spec/auth/jwt/. Azure writes the names of the fields with capitals.
    """
    claims = jwt_claims(token)
    if "access" not in claims:
        return None
    entries = claims["access"] if isinstance(claims["access"], list) else []
    named = [{str(key).lower(): value for key, value in entry.items()} for entry in entries if isinstance(entry, dict)]
    found = [entry.get("actions") for entry in named if entry.get("name") == repository]
    return frozenset(str(action) for actions in found if isinstance(actions, list) for action in actions)


class Authenticator(Protocol):
    """Authentication at one server. Safe to use from many threads at once."""

    def header(self, scope: str, /) -> str | None:
        """The Authorization header for ``scope``; ``None`` for an anonymous request."""

    def learn(self, challenges: Sequence[str], scope: str, /, *, sent: str | None) -> str | None:
        """Read the ``WWW-Authenticate`` lines of a 401, the response to the Authorization ``sent``.

        Returns the header with which the request is sent once more; ``None`` when no other can be tried.
        """


class FixedAuthorization:
    """An :class:`Authenticator` that always sends the same header; ``None`` is always anonymous."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def header(self, _scope: str, /) -> str | None:
        return self._value

    def learn(self, _challenges: Sequence[str], _scope: str, /, *, sent: str | None) -> None:
        """Return nothing: no other header can be tried."""


def renewed_basic(source: CredentialSource | None, sent: str | None) -> str | None:
    """The Authorization by Basic in place of one that was rejected; ``None`` where there is no other.

    :raises RegistrySyncError: when the credentials cannot be renewed.
    """
    if source is None or isinstance(source, Credentials) or not (sent or "").startswith("Basic "):
        return None
    current = source.current()
    better = _basic(source.renew(current) if sent == _basic(current) else current)
    return None if better == sent else better


def _basic(credentials: Credentials) -> str:
    return f"Basic {credentials.basic()}"


_BASIC = Challenge(scheme="basic", parameters={})


class ChallengeAuthenticator:
    """An :class:`Authenticator` for ``/v2``: Basic or Bearer, as the registry requires.

    Credentials that the registry or its token service rejects are renewed once, if they can be.

    With credentials the login comes before the first request, because some registries answer anonymous requests with
    less instead of refusing them. Tokens and challenges are kept by scope. One thread fetches a token while the others
    wait for it.

    :param ask: sends an anonymous GET of ``/v2/`` and returns the ``WWW-Authenticate`` lines of the response, which
        zot sends with a 200 too.
    :param fetch: takes a token URL and an Authorization header (``None``: anonymous) and returns the decoded JSON. It
        raises :class:`DeniedError` when the credentials are rejected.
    """

    def __init__(
        self, endpoint: Endpoint, ask: Callable[[], Sequence[str]], fetch: Callable[[str, str | None], Any]
    ) -> None:
        self._endpoint = endpoint
        self._ask = ask
        self._fetch = fetch
        self._first: Challenge | None = None
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def header(self, scope: str, /) -> str | None:
        """The Authorization header. An anonymous user has none until the registry has required one."""
        with self._lock:
            if self._first is None and self._endpoint.credentials:
                self._endpoint.credentials.current()  # nothing is sent to a registry that no login is issued for
                self._first = self._first_challenge(parse_challenges(self._ask()))
            challenge = self._challenges.get(scope, self._first)
        return self._answer(challenge, scope) if challenge else None

    def learn(self, challenges: Sequence[str], scope: str, /, *, sent: str | None) -> str | None:
        """Choose a challenge for ``scope`` and answer it. A registry may require Basic for one path, Bearer for others.

        https://github.com/google/go-containerregistry/issues/1747. A 401 without a challenge, or with the one that was
        answered, is a missing permission.

        :raises DeniedError: when none of the challenges can be answered.
        :raises ConfigurationError: when the only usable one is a Bearer challenge without a usable realm.
        """
        offered = parse_challenges(challenges)
        challenge = self._choose(offered)
        if challenge is None:
            self._check_offer(offered)
            return None
        if challenge.scheme == "basic" and sent and sent.startswith("Basic "):
            return renewed_basic(self._endpoint.credentials, sent)
        with self._lock:
            self._challenges[scope] = challenge
            self._first = self._first or challenge
            token = self._tokens.get(scope)
            if token is not None and sent == f"Bearer {token.value}":
                del self._tokens[scope]
        return self._answer(challenge, scope)

    def _first_challenge(self, offered: Sequence[Challenge]) -> Challenge:
        """The challenge for the first request. Where none is sent, Basic is: the registry may list more to a user."""
        challenge = self._choose(offered)
        if challenge is None:
            self._check_offer(offered)
        return challenge or _BASIC

    def _choose(self, offered: Iterable[Challenge]) -> Challenge | None:
        """The strongest challenge that we can answer: Bearer with a usable realm, then Basic with credentials."""
        by_scheme: dict[str, Challenge] = {}
        for challenge in offered:
            is_usable = challenge.scheme != "bearer" or realm_of(self._endpoint, challenge) is not None
            if is_usable:
                by_scheme.setdefault(challenge.scheme, challenge)
        return by_scheme.get("bearer") or (by_scheme.get("basic") if self._endpoint.credentials else None)

    def _check_offer(self, offered: Sequence[Challenge]) -> None:
        """:raises RegistrySyncError: the reason why none of the challenges can be answered, if there are any."""
        host, schemes = self._endpoint.host, {challenge.scheme: challenge for challenge in offered}
        if "bearer" in schemes:
            token_url(self._endpoint, schemes["bearer"], "")
        if "basic" in schemes:
            advice = "" if self._endpoint.anonymous_by_design else "; give its registry a connection"
            raise DeniedError(f"{host} requires a user name and password{advice}")
        if schemes:
            names = ", ".join(sorted(schemes))
            raise DeniedError(f"{host} accepts only logins by {names!r}; Bearer and Basic are supported")

    def _answer(self, challenge: Challenge, scope: str) -> str | None:
        return self._basic() if challenge.scheme == "basic" else f"Bearer {self._token(scope, challenge).value}"

    def _basic(self) -> str | None:
        credentials = self._endpoint.credentials
        return _basic(credentials.current()) if credentials else None

    def _token(self, scope: str, challenge: Challenge) -> Token:
        with self._lock:
            token = self._tokens.get(scope)
            if token is None or time.monotonic() >= token.good_until:
                token = self._tokens[scope] = self._fetch_token(scope, challenge)
            return token

    def _fetch_token(self, scope: str, challenge: Challenge) -> Token:
        url, sent = token_url(self._endpoint, challenge, scope), self._basic()
        try:
            document = self._fetch(url, sent)
        except DeniedError:  # 401, or 403 as ECR answers to a login that has ended
            better = renewed_basic(self._endpoint.credentials, sent)
            if better is None:
                raise
            document = self._fetch(url, better)
        token = parse_token(document, now=time.monotonic())
        if token is None:
            raise TemporaryError(f"{host_of(url)} answered without a token for {self._endpoint.host}")
        return token


def token_url(endpoint: Endpoint, challenge: Challenge, scope: str) -> str:
    """The URL of a token for ``scope``: one or several, divided by spaces (empty: to log in only).

    :raises ConfigurationError: when the realm is not a URL that may receive a password.
    """
    realm = realm_of(endpoint, challenge)
    if realm is None:
        shown = challenge.parameters.get("realm", "")
        fault = (
            "not an https URL, or not one of the cloud that issued them" if endpoint.identity else "not an https URL"
        )
        raise ConfigurationError(f"{endpoint.host} sends logins to {shown!r}, which is {fault}; nothing was sent there")
    service = challenge.parameters.get("service")
    scopes = [("scope", part) for part in scope.split()]
    query = urlencode(([("service", service)] if service else []) + scopes)
    return f"{realm}{'&' if urlsplit(realm).query else '?'}{query}" if query else realm


def realm_of(endpoint: Endpoint, challenge: Challenge) -> str | None:
    """The address of the token service; ``None`` if it is not a URL that may receive a password.

    Tokens of an identity at a cloud are good for more than one registry, so only hosts of that cloud receive them.
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm if _URL.fullmatch(realm) else "")
    except ValueError:
        return None
    is_usable = parts.scheme in ({"https"} if endpoint.tls else {"https", "http"}) and bool(parts.hostname)
    if endpoint.identity and cloud_of(host_of(realm)) != cloud_of(endpoint.host):
        return None
    return urlunsplit((parts.scheme, host_of(realm), parts.path, parts.query, "")) if is_usable else None
