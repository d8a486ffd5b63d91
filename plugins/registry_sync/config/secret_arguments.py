"""Recognize secrets among the arguments of a notifier or a queue. They belong in an Airflow Connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


def find_secret(arguments: Mapping[str, Any]) -> str | None:
    """The name of the first argument that looks like a secret, with dots between nested names; ``None`` without one.

    An argument looks like a secret by the last words of its name, such as ``password`` or ``api_key``, or by its text:
    a URL with a password, a token or a webhook in it, a token with a well-known prefix, a private key. Numbers,
    booleans, ids of Connections and ``{{ conn.ID.password }}`` do not.

    >>> find_secret({"to": "ops@example.com", "smtp_conn_id": "smtp_ops", "custom_headers": {"X-Api-Key": "abc"}})
    'custom_headers.X-Api-Key'
    """
    return next((name for name, text in _texts(arguments, "") if _is_secret(name, text)), None)


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """All texts of the arguments, each with the names that lead to it."""
    match value:
        case str():
            yield name, value
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, f"{name}.{key}" if name else str(key))
        case list() | tuple():
            for item in value:
                yield from _texts(item, name)


def _is_secret(name: str, text: str) -> bool:
    if not text.strip() or _OF_CONNECTION.fullmatch(text.strip()):
        return False
    return _has_secret_name(name.rpartition(".")[2]) or any(re.search(form, text) for form in _FORMS)


_OF_CONNECTION = re.compile(r"\{\{ *conn\.[^{}]+\}\}")
"""Airflow reads it from a Connection when the template is rendered."""


def _has_secret_name(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    return bool(_NAMES.search("_".join(words).lower()))


_NAMES = re.compile(
    r"(?:^|_)(?:passwords?|passwd|passphrase|pwd|secrets?|tokens?|credentials?|authorization|apikey|cookie|webhook"
    r"|(?:api|access|account|integration|private|routing|secret|service|shared|signing|subscription)_key"
    r"|webhook_(?:url|uri|endpoint|address))$"
)
"""The last words of a secret's name, in the form ``api_key``."""

_FORMS = (
    r"://[^/\s:@]*:[^/\s@]+@",  # a URL with a password
    r"(?i)[?&][\w-]*(?:token|secret|password|signature|api[_-]?key)=[^&\s{]{4,}",
    r"(?i)[?&](?:sig|key|code)=[^&\s{]{16,}",
    # Services whose webhook addresses are secret
    r"(?i)://(?:hooks\.(?:slack|zapier|chime)\.[a-z]+|[\w.-]*webhook\.office\.com|outlook\.office\.com/webhook)/",
    r"(?i)://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/",
    r"(?i)://api\.telegram\.org/bot\d",
    r"(?i)://events\.(?:eu\.)?pagerduty\.com/(?:integration|x-ere)/",
    r"(?i)://open\.(?:feishu|larksuite)\.[a-z]+/open-apis/bot/",
    # Webhooks elsewhere: a part of the path that is not a word
    r"(?i)://\S*hooks?\b\S*/(?=[A-Za-z_]*\d)(?=[\d_]*[A-Za-z])[A-Za-z0-9_]{16,}",
    r"(?i)://\S*hooks?\b\S*/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    # Tokens
    r"\b(?:xox[a-z]|xapp|glpat)-[\w-]{8,}|\b(?:gh[opsur]|github_pat)_\w{16,}|\bSG\.[\w-]{16,}\.",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\beyJ[\w-]{10,}\.[\w-]{4,}",
    r"(?i)\b(?:bearer|basic) +[\w+/.~-]{16,}={0,2}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
