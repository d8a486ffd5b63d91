"""A mail server on loopback that keeps what it receives."""

from __future__ import annotations

import json
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from testkit.loopback import LOOPBACK

LOGIN, PASSWORD = "mirrors@example.com", "hunter2-of-the-mail-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as the server received it."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    html: str


class MailServer:
    """An SMTP server that needs :data:`LOGIN` and :data:`PASSWORD`, from ``with`` to the block's end.

    :ivar rejects: it answers each mail with a 554, as a server that takes it for spam.
    """

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.rejects = False
        self._controller = _Controller(self, hostname=LOOPBACK, port=0, authenticator=_is_known, auth_require_tls=False)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def connection(self) -> Mapping[str, Any]:
        """The fields of its Airflow Connection."""
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": LOGIN, "timeout": 10, "retry_limit": 0}
        return {
            "conn_type": "smtp",
            "host": LOOPBACK,
            "port": self._controller.port,
            "login": LOGIN,
            "password": PASSWORD,
            "extra": json.dumps(extra),
        }

    def take(self) -> list[Mail]:
        """The mails since the last call."""
        mails, self.mails = self.mails, []
        return mails

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept a sender who has logged in."""
        if not session.authenticated:
            return "530 5.7.0 authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        if self.rejects:
            return "554 5.7.1 rejected as spam"
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = message_from_bytes(content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        html = parsed.get_body(("html",))
        self.mails.append(
            Mail(
                sender=str(envelope.mail_from),
                recipients=tuple(envelope.rcpt_tos),
                subject=str(parsed["subject"]),
                html=html.get_content().replace("\r\n", "\n") if html else "",
            )
        )
        return "250 OK"


class _Controller(Controller):
    """A controller on a free port, which is known once it has started."""

    def _create_server(self) -> Coroutine[Any, Any, Any]:
        listening = socket.create_server((LOOPBACK, 0))
        self.port = listening.getsockname()[1]
        server: Coroutine[Any, Any, Any] = self.loop.create_server(self._factory_invoker, sock=listening)
        return server


def _is_known(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (LOGIN.encode(), PASSWORD.encode()))
