"""Proofs that a request is genuine: a secret in a header, or a signature of the body made with it.

=============================  =======================================  ======================================
header                         value                                    sender
=============================  =======================================  ======================================
``Authorization``              the secret, or ``Bearer SECRET``         Harbor, ACR, CNCF Distribution, curl
``X-Registry-Sync-Secret``     the secret                               any, where Authorization is taken
``X-JFrog-Event-Auth``         the secret, or its HMAC-SHA256 in hex    Artifactory
``X-Hub-Signature-256``        ``sha256=`` and the HMAC-SHA256 in hex   GitHub, curl
``X-Nexus-Webhook-Signature``  the HMAC-SHA1 in hex                     Nexus
=============================  =======================================  ======================================

Each of them is made with the secret of the address, so every sender may use any. Comparisons take constant time.

https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
https://learn.microsoft.com/azure/container-registry/container-registry-webhook
https://distribution.github.io/distribution/about/notifications
https://docs.jfrog.com/administration/docs/webhooks
https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
https://help.sonatype.com/en/working-with-hmac-payloads.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from enum import Enum

Headers = Iterable[tuple[bytes, bytes]]
"""Header lines: a name in lower case, and a value."""


class Proof(Enum):
    """Result of looking for proofs: a valid one, only wrong ones, or none."""

    VALID = "valid"
    WRONG = "wrong"
    NONE = "none"


def find_proof(headers: Headers, body: bytes, secret: str) -> Proof:
    """Look for a proof in a request. One that is valid suffices."""
    key = secret.encode()
    results = [
        _PROOFS[name](value.strip(), body, key) for name, value in headers if name in _PROOFS and not _is_basic(value)
    ]
    basic = [_is_password(value, key) for name, value in headers if name == b"authorization" and _is_basic(value)]
    if any([*results, *basic]):
        return Proof.VALID
    return Proof.WRONG if results else Proof.NONE


def _is_secret(value: bytes, _: bytes, key: bytes) -> bool:
    return hmac.compare_digest(value, key)


def _is_authorized(value: bytes, body: bytes, key: bytes) -> bool:
    scheme, _, token = value.partition(b" ")
    bearer = _is_secret(token.strip(), body, key) if scheme.lower() == b"bearer" else False
    return _is_secret(value, body, key) or bearer


def _is_basic(value: bytes) -> bool:
    """Return whether an ``Authorization`` is a user's name and password: those of a reverse proxy, perhaps."""
    return value.strip()[:6].lower() == b"basic "


def _is_password(value: bytes, key: bytes) -> bool:
    """Return whether the password of a URL such as ``https://events:SECRET@host/`` is the secret."""
    try:
        _, _, password = base64.b64decode(value.strip()[6:], validate=True).partition(b":")
    except binascii.Error:
        return False
    return hmac.compare_digest(password, key)


def _is_signature(value: bytes, body: bytes, key: bytes) -> bool:
    return hmac.compare_digest(value, b"sha256=" + _digest(body, key, "sha256"))


def _is_sha1(value: bytes, body: bytes, key: bytes) -> bool:
    return hmac.compare_digest(value, _digest(body, key, "sha1"))


def _is_secret_or_digest(value: bytes, body: bytes, key: bytes) -> bool:
    return _is_secret(value, body, key) | hmac.compare_digest(value, _digest(body, key, "sha256"))


def _digest(body: bytes, key: bytes, algorithm: str) -> bytes:
    return hmac.new(key, body, getattr(hashlib, algorithm)).hexdigest().encode()


_PROOFS: Mapping[bytes, Callable[[bytes, bytes, bytes], bool]] = {
    b"authorization": _is_authorized,
    b"x-registry-sync-secret": _is_secret,
    b"x-jfrog-event-auth": _is_secret_or_digest,
    b"x-hub-signature-256": _is_signature,
    b"x-nexus-webhook-signature": _is_sha1,
}
