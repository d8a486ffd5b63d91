"""Show keys and values of machines' files to people, without the secrets in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_SECRET_KEY = re.compile(r"auth|cookie|credential|header|passw|secret|token|api.?key", re.IGNORECASE)
"""Keys of log-ins and headers. Names of hosts have a dot, and do not count."""

_USER_OF_URL = re.compile(r"(?<=://)[^\s/\"\\@]+@")


def show_value(key: Any, value: Any) -> str:
    """The value under ``key`` as JSON.

    >>> show_value("configs", {"a.example": {"auth": {"username": "robot", "password": "x"}}})
    '{"a.example": {"auth": {"username": "***", "password": "***"}}}'
    """
    shown = _hide(value, is_secret=_is_secret(key))
    return hide_users(json.dumps(shown, ensure_ascii=False, default=str))


def hide_users(text: str) -> str:
    """Hide the user part of URLs.

    >>> hide_users("host.https://robot:x@acr.example")
    'host.https://***@acr.example'
    """
    return _USER_OF_URL.sub(f"{HIDDEN}@", text)


def _hide(value: Any, *, is_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _hide(item, is_secret=is_secret or _is_secret(key)) for key, item in value.items()}
    if is_secret:
        return HIDDEN
    if isinstance(value, list | tuple):
        return [_hide(item, is_secret=False) for item in value]
    return value


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and "." not in key and bool(_SECRET_KEY.search(key))
