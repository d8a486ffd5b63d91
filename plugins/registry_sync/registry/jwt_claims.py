"""Claims of JSON Web Tokens, which are read without a check of the signature: https://www.rfc-editor.org/rfc/rfc7519."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any


def jwt_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified; empty for other tokens."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def time_of(seconds: Any) -> datetime | None:
    """A time claim such as ``exp``, in aware UTC; ``None`` for what is not a number of seconds since 1970."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
