"""Address and credentials of a registry. The secret never appears in ``repr`` or logs."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


class CredentialSource(Protocol):
    """Credentials that are read again for each use, because they may expire. Safe to use from many threads."""

    @property
    def user(self) -> str:
        """The user as messages name it. It is known without a request."""

    def current(self) -> Credentials:
        """Credentials that are valid now.

        :raises RegistrySyncError: when there are none; ``TemporaryError`` if a later call may work.
        """

    def renew(self, rejected: Credentials) -> Credentials:
        """Credentials in place of those that the registry has rejected; the same where there are no others.

        :raises RegistrySyncError: as :meth:`current` does.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user name (or robot account) and its secret (password or token). It is its own :class:`CredentialSource`.

    ``expires_at`` is aware UTC; ``None`` where no end is known.

    >>> Credentials(username="robot", secret="hunter2")
    Credentials(username='robot')
    """

    username: str
    secret: str = field(repr=False)
    expires_at: datetime | None = field(default=None, repr=False)

    @property
    def user(self) -> str:
        """The user name, quoted."""
        return repr(self.username)

    def current(self) -> Credentials:
        """Return itself: fixed credentials are not renewed."""
        return self

    def renew(self, rejected: Credentials) -> Credentials:  # noqa: ARG002 - there are no others
        """Return itself: there are no others."""
        return self

    def basic(self) -> str:
        """The value after ``Basic`` in an Authorization header, also used for ``auth`` in a containers auth file.

        https://www.rfc-editor.org/rfc/rfc7617, containers-auth.json(5). It is as secret as the password itself.
        """
        return b64encode(f"{self.username}:{self.secret}".encode()).decode("ascii")


class Identity(Protocol):
    """An identity at a cloud, which issues credentials for registries."""

    def describe(self, endpoint: Endpoint, /) -> str:
        """The identity as the cloud names it, such as the ARN of a role. It is read from the cloud of the registry.

        :raises RegistrySyncError: when the cloud does not return it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate that a registry requires from its clients, with the certificates of its authorities, and its key.

    Both are PEM. ``place`` says in messages where they are written.
    """

    certificate: str
    key: str = field(repr=False)
    place: str = "of the Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy of one registry, in place of those of the environment. With an empty ``url`` connections are direct."""

    url: str
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address and credentials of one registry.

    ``tls=False`` is plain HTTP, ``ca_file`` or ``ca_pem`` a private CA, no credentials anonymous. ``identity`` is the
    one at a cloud that the credentials come from, for APIs of that cloud; ``None`` for credentials of a registry.
    ``anonymous_by_design``: for machines that pull. Errors then do not suggest adding a connection.
    ``proxy``: of all requests that the registry leads to; ``None`` is that of the environment.
    """

    host: str
    tls: bool = True
    ca_file: Path | None = None
    ca_pem: str = ""
    client_certificate: ClientCertificate | None = None
    credentials: CredentialSource | None = None
    identity: Identity | None = None
    anonymous_by_design: bool = False
    proxy: Proxy | None = None
