"""Address and credentials of a registry. The secret never appears in ``repr`` or logs."""

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
        """The value after ``Basic`` in an Authorization header, also used for ``auth`` in a containers auth file.

        https://www.rfc-editor.org/rfc/rfc7617, containers-auth.json(5). It is as secret as the password itself.
        """
        return b64encode(f"{self.username}:{self.secret}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate that a registry requires from its clients, with the certificates of its authorities, and its key.

    Both are PEM.
    """

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address and credentials of one registry.

    ``tls=False`` is plain HTTP, ``ca_file`` or ``ca_pem`` a private CA, no credentials anonymous.
    ``anonymous_by_design``: for machines that pull. Errors then do not suggest adding a connection.
    """

    host: str
    tls: bool = True
    ca_file: Path | None = None
    ca_pem: str = ""
    client_certificate: ClientCertificate | None = None
    credentials: Credentials | None = None
    anonymous_by_design: bool = False
