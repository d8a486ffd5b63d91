"""Where a registry is and who we are there; the secret is kept out of every text that a person or a log may see."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user name (or robot account) and its secret (password or token).

    >>> Credentials(username="robot", secret="hunter2")
    Credentials(username='robot')
    """

    username: str
    secret: str = field(repr=False)

    def basic(self) -> str:
        """The value after ``Basic`` in an Authorization header, and of ``auth`` in a containers auth file.

        https://www.rfc-editor.org/rfc/rfc7617, containers-auth.json(5). As secret as the password itself.
        """
        return b64encode(f"{self.username}:{self.secret}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How to reach one registry: ``tls=False`` is plain HTTP, ``ca_file`` a CA of its own, no credentials anonymous.

    ``is_node``: we are a machine that pulls, which has no credentials to be given.
    """

    host: str
    tls: bool = True
    ca_file: Path | None = None
    credentials: Credentials | None = None
    is_node: bool = False
