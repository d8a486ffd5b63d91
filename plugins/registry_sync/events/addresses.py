"""The addresses of the receiver: one for each registry, and for each mirror with its own events. Nobody can guess them.

An address ends with a token: the HMAC of the secret over the name. So it changes with the secret, and does not reveal
any other address.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

PREFIX = "/registry-sync-events"
"""The path of the API server that has the receiver and nothing else. A reverse proxy can expose it alone."""

Scope = Literal["registry", "mirror"]

TOKEN_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The registry or the mirror whose events an address takes."""

    scope: Scope
    name: str

    def token(self, secret: str) -> str:
        """The last part of the path: 160 bits in hexadecimal digits."""
        text = f"registry_sync events\n{self.scope}\n{self.name}"
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:TOKEN_LENGTH]

    def path(self, secret: str) -> str:
        """The path in the API server, without that of its base URL."""
        return f"{PREFIX}/{self.scope}/{self.name}/{self.token(secret)}"

    def has_token(self, token: str, secret: str) -> bool:
        """Return whether ``token`` is that of this address. Takes the same time for every token."""
        return hmac.compare_digest(token.encode(), self.token(secret).encode())


def split_path(path: str) -> tuple[Address, str] | None:
    """The address and the token of a path below :data:`PREFIX`; ``None`` for another form.

    >>> split_path("/registry/quay/0a1b")
    (Address(scope='registry', name='quay'), '0a1b')
    >>> split_path("/registry/quay"), split_path("/dags/quay/0a1b")
    (None, None)
    """
    match path.split("/"):
        case ["", "registry" | "mirror" as scope, name, token] if name and token:
            return Address(scope=scope, name=name), token
    return None
