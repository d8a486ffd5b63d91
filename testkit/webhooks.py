"""Requests of registries that report pushes, as their documents or a recording show them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testkit.project import PROJECT

FILE = PROJECT / "tests" / "contract" / "webhooks.json"

SECRET = "0123456789abcdef-secret-of-the-webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request of a sender.

    :ivar pushes: names and tags that it reports; ``None`` when it is to be ignored for a reason.
    """

    kind: str
    name: str
    source: str
    headers: Mapping[str, str]
    body: bytes
    pushes: list[tuple[str, tuple[str, ...] | None]] | None
    ignored: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def load_requests(secret: str = SECRET) -> list[Sent]:
    """All requests of the file, signed with ``secret`` as their sender does it."""
    return [_sent(entry, secret) for entry in json.loads(FILE.read_text(encoding="utf-8"))]


def signed(headers: Mapping[str, str], body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Headers with ``SECRET``, ``SHA256`` and ``SHA1`` replaced by the secret and the signatures of the body."""
    values = {
        "SECRET": secret,
        "SHA256": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "SHA1": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
    }
    found = {"Content-Type": "application/json", **headers}
    return {name: _replaced(value, values) for name, value in found.items()}


def _replaced(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _sent(entry: dict[str, Any], secret: str) -> Sent:
    document = entry["body"]
    if "token" in document:
        document = {**document, "token": secret}
    body = json.dumps(document, separators=(",", ":")).encode()
    pushes = entry.get("pushes")
    return Sent(
        kind=entry["kind"],
        name=entry["name"],
        source=entry["source"],
        headers=signed(entry["headers"], body, secret),
        body=body,
        pushes=None if pushes is None else [(name, None if tags is None else tuple(tags)) for name, tags in pushes],
        ignored=entry.get("ignored", ""),
    )
