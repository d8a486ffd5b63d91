"""A token server for registries: RS256 tokens in the format of the Docker token specification.

https://distribution.github.io/distribution/spec/auth/token/ and ``…/jwt/``.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from requests import Session

from testkit.loopback import LoopbackHandler, LoopbackServer
from testkit.registry import TokenAuth
from testkit.tls import self_signed

ALL_ACTIONS = ("pull", "push", "delete", "*")

Rules = Mapping[str, Collection[str]]
"""Repository pattern (``giantswarm/*``) to actions. Other resources are ``type:name``: the catalog is
``registry:catalog``."""

EVERYTHING: Rules = {"*": ALL_ACTIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request for a token: its user (``None``: without a password), scopes, and the answer's status."""

    user: str | None
    scopes: tuple[str, ...]
    status: int


class TokenServer:
    """Issues tokens to ``users`` (name to password); to be put into ``RegistryProcess(auth=tokens.token_auth)``.

    ``grants`` says what each user may do (everything when absent), ``anonymous`` what everyone may without a password.
    As real servers do, it answers a request for too many rights with a token of fewer rights, and only a wrong
    password with 401.

    Tokens are valid for ``lifetime_seconds``, to which docker-registry adds a minute of leeway. With
    ``states_expiry=False`` the answer leaves out ``expires_in``, for which the specification then assumes 60 seconds.
    ``partial_status`` is the answer of a strict server to a request of which it does not grant every scope.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        grants: Mapping[str, Rules] | None = None,
        anonymous: Rules | None = None,
        lifetime_seconds: int = 300,
        states_expiry: bool = True,
        partial_status: int | None = None,
        service: str = "test-registry",
        issuer: str = "test-issuer",
    ) -> None:
        self._users = users
        self.grants = grants
        self._anonymous = anonymous or {}
        self._lifetime_seconds = lifetime_seconds
        self._states_expiry = states_expiry
        self._partial_status = partial_status
        self._service = service
        self._issuer = issuer
        self._directory = Path(tempfile.mkdtemp(prefix="token-server-"))
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = self_signed(self._key, issuer)
        self._bundle = self._directory / "root.crt"
        self._bundle.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        self._lock = threading.Lock()
        self._requests: list[TokenRequest] = []
        self._server = LoopbackServer(partial(_Handler, self))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def realm(self) -> str:
        """Address of the token server."""
        return f"http://{self._server.host}/token"

    @property
    def token_auth(self) -> TokenAuth:
        """Settings of a registry that trusts this server."""
        return TokenAuth(realm=self.realm, service=self._service, issuer=self._issuer, root_cert_bundle=self._bundle)

    def requests(self) -> list[TokenRequest]:
        """Requests for tokens since the start or ``clear_requests()``, oldest first."""
        with self._lock:
            return list(self._requests)

    def clear_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def session(self, repository: str, actions: Iterable[str] = ALL_ACTIONS) -> Session:
        """A session with a token for ``repository``, for a test to push images."""
        session = Session()
        session.trust_env = False
        token = self.mint("", [{"type": "repository", "name": repository, "actions": list(actions)}])
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def mint(self, user: str, access: Iterable[Mapping[str, Any]]) -> str:
        """A token for ``user`` with ``access``, regardless of the user's rights."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "sub": user,
            "aud": self._service,
            "exp": now + self._lifetime_seconds,
            "nbf": now - 10,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": list(access),
        }
        chain = [base64.b64encode(self._certificate.public_bytes(Encoding.DER)).decode()]
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5c": chain})

    def answer(self, authorization: str | None, scopes: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
        """Status and JSON body for a request with this Authorization header."""
        user, password = _parse_basic(authorization)
        is_known = user is None or self._users.get(user) == password
        status = 200 if is_known else 401
        if is_known and self._partial_status and not all(each["actions"] for each in self._grants_of(user, scopes)):
            status = self._partial_status
        with self._lock:
            self._requests.append(TokenRequest(user=user, scopes=scopes, status=status))
        if status != 200:
            message = "access forbidden" if is_known else "incorrect username or password"
            return status, {"errors": [{"code": "UNAUTHORIZED", "message": message, "detail": None}]}
        return status, self._token_document(user, scopes)

    def _token_document(self, user: str | None, scopes: Iterable[str]) -> dict[str, Any]:
        access = [granted for granted in self._grants_of(user, scopes) if granted["actions"]]
        token = self.mint(user or "", access)
        document = {"token": token, "access_token": token, "issued_at": datetime.now(UTC).isoformat()}
        return {**document, "expires_in": self._lifetime_seconds} if self._states_expiry else document

    def _grants_of(self, user: str | None, scopes: Iterable[str]) -> list[dict[str, Any]]:
        rules = self._rules_of(user)
        return [_granted(scope, rules) for scope in scopes]

    def _rules_of(self, user: str | None) -> Rules:
        if user is None:
            return self._anonymous
        if self.grants is None:
            return EVERYTHING
        return self.grants.get(user, {})


class _Handler(LoopbackHandler):
    def __init__(self, tokens: TokenServer, *args: Any) -> None:
        self._tokens = tokens
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802 - name of the base class
        scopes = tuple(part for each in parse_qs(urlsplit(self.path).query).get("scope", ()) for part in each.split())
        status, document = self._tokens.answer(self.headers.get("Authorization"), scopes)
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parse_basic(authorization: str | None) -> tuple[str | None, str]:
    """User and password. Without a header there is no user; an unreadable header has an impossible one."""
    if authorization is None:
        return None, ""
    try:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _granted(scope: str, rules: Rules) -> dict[str, Any]:
    """Part of ``scope`` (``repository:name:pull,push``) that ``rules`` allow."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    subject = name if kind == "repository" else f"{kind}:{name}"
    allowed = {action for pattern, rule in rules.items() if fnmatchcase(subject, pattern) for action in rule}
    return {"type": kind, "name": name, "actions": [part for part in actions.split(",") if part in allowed]}
