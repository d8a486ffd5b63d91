"""Remove the secrets that were sent to a registry from its responses.

Registries and the proxies before them quote the request in error pages: its Authorization header, a login that they
could not read, or the address. Errors are printed by commands, and kept in reports.
"""

from __future__ import annotations

import html
import json
import re
import threading
from base64 import b64decode, b64encode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.text import MASK

_SHORTEST = 4
"""Shorter secrets would be found in every other word."""

_LONGEST_LOGIN = 64 * 1024
"""Longer bodies are content, and not logins."""

_NAMES_SECRET = re.compile(r"token|secret|passw|key|auth", re.IGNORECASE)


class SentSecrets:
    """The secrets of one endpoint: those of its credentials, and all that were sent, also renewed ones.

    Safe to use from many threads at once.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._lock = threading.Lock()
        self._noted = set[str]()
        self._seen = set[str]()
        self._forms: tuple[str, ...] = ()
        for source in (endpoint.credentials, endpoint.proxy.credentials if endpoint.proxy else None):
            if isinstance(source, Credentials):
                self._add(source.secret, source.basic())

    def note(self, authorization: str | None, headers: Mapping[str, str], login: object) -> None:
        """Note the secrets of a request before it is sent. :param login: the body of a POST, which may be one."""
        if authorization:
            self.note_authorization(authorization)
        for name, value in headers.items():
            if _NAMES_SECRET.search(name):
                self.note_authorization(value)
        if login and isinstance(login, bytes) and len(login) <= _LONGEST_LOGIN:
            self._add(*_secrets_of_login(login))

    def note_authorization(self, value: str) -> None:
        """Note ``Basic …``, ``Bearer …``, or a header that is a secret itself."""
        if value not in self._noted:
            self._noted.add(value)
            self._add(*_parts_of_header(value))

    def redact(self, text: str) -> str:
        """The text with a mask in place of each secret, in any form that a server may quote it in."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def redact_bytes(self, content: bytes) -> bytes:
        """The content of an error page or an error document without secrets."""
        for form in self._forms:
            content = content.replace(form.encode(), MASK.encode())
        return content

    def _add(self, *secrets: str) -> None:
        with self._lock:
            new = {secret for secret in secrets if len(secret) >= _SHORTEST} - self._seen
            if new:
                self._seen |= new
                forms = {form for secret in new for form in _forms(secret)}
                self._forms = tuple(sorted(forms.union(self._forms), key=len, reverse=True))


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, in JSON, in HTML, in a URL, and in Base64, where it may also follow a user's name.

    JSON counts also as skopeo logs it, with quotes escaped twice.
    """
    yield secret
    for is_ascii in (True, False):
        yield (escaped := json.dumps(secret, ensure_ascii=is_ascii)[1:-1])
        yield escaped.replace("/", "\\/")
        yield json.dumps(escaped, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    yield html.escape(secret).replace("&#x27;", "&#39;")
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    for encode in (b64encode, urlsafe_b64encode):
        yield (encoded := encode(secret.encode()).decode())
        yield encoded.rstrip("=")


def _parts_of_header(value: str) -> Iterator[str]:
    """The secrets of ``Basic …``, ``Bearer …``, or of a header that is a secret itself."""
    scheme, separator, credentials = value.partition(" ")
    yield credentials if separator else value
    if scheme.lower() == "basic":
        try:
            yield b64decode(credentials, validate=True).decode().partition(":")[2]
        except (Error, ValueError):
            return


def _secrets_of_login(body: bytes) -> Iterator[str]:
    """The values of a login by JSON or by a form whose names say that they are secret."""
    fields: Any
    try:
        text = body.decode()
        fields = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
    except (ValueError, RecursionError):
        return
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if isinstance(value, str) and _NAMES_SECRET.search(name):
            yield value
