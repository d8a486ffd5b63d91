"""Text from registries, skopeo and files, made safe for logs and terminals.

A tag, a repository name or an error body may contain anything: control characters that move a terminal's cursor or
change its colours, line ends that forge a log line, marks that reverse the writing direction, or ten megabytes.

It may also quote a token that is not ours: skopeo's own, or the signature in the address of a blob at a storage
provider.
"""

from __future__ import annotations

import re

LONGEST_LINE = 10_000

LONGEST_TEXT = 200_000
"""Limit of a whole message, which has a line for each failed tag."""


MASK = "***"

_NAMES = (
    r"(?:x-amz-|x-goog-)?(?:security-token|signature|credential)|(?:access|refresh|id|auth|identity|session)_?token|token|"
    r"sig|awsaccesskeyid|client_secret|secret|password|passwd|_state"
)
"""Names of parameters and fields whose values are secret, or part of a signed address."""

_VALUE = r"(?!\$)[^\s\"'\\&<>;,)\]}]"

_SECRETS = re.compile(
    rf"(?P<header>\b(?:authorization|proxy-authorization)[\"'\\]*[:=] *[\[\"'\\]*(?:basic|bearer|negotiate|digest) +)"
    rf"{_VALUE}{{4,}}"
    rf"|(?P<scheme>\bbearer +)(?=[^\s\"]*[0-9])[A-Za-z0-9._~+/-]{{12,}}=*"
    rf"|(?P<parameter>(?:(?<![A-Za-z0-9])|(?<=%3f)|(?<=%26))(?:{_NAMES})(?:=|%3d)){_VALUE}{{4,}}"
    rf"|(?P<field>[\"'](?:{_NAMES})\\*[\"'] ?: ?\\*[\"'])[^\s\"'\\]{{4,}}"
    rf"|(?P<jwt>(?<![A-Za-z0-9_-])eyJ)[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]{{10,}}(?:\.[A-Za-z0-9_-]*)?",
    re.IGNORECASE,
)


_MARKS = ("=", "%3d", '"', "'", "bearer", "authorization", "eyj")
"""Each secret has one of these beside it. Looking for them takes a fiftieth of the time."""


def without_secrets(text: str) -> str:
    r"""The text with a mask in place of tokens and signatures, by the words before them. It keeps its lines.

    Secrets that are known, such as a password, are masked in every form by :mod:`registry_sync.registry.sent_secrets`.

    >>> without_secrets("GET /blob?X-Amz-Signature=0123abcd&X-Amz-Date=20260101T000000Z: 403")
    'GET /blob?X-Amz-Signature=***&X-Amz-Date=20260101T000000Z: 403'
    >>> without_secrets('denied: Authorization: Bearer abcd1234efgh')
    'denied: Authorization: Bearer ***'
    """
    folded = text.lower()
    if not any(mark in folded for mark in _MARKS):
        return text
    return _SECRETS.sub(lambda match: f"{match[match.lastgroup or 0]}{MASK}", text)


def one_line(text: str, limit: int = LONGEST_LINE) -> str:
    r"""``text`` as one line of at most ``limit`` printable characters, without secrets.

    White space is collapsed, and other unprintable characters are escaped.

    >>> one_line("v1\x1b[31m\n2026-01-01 all is well")
    'v1\\x1b[31m 2026-01-01 all is well'
    """
    line = without_secrets(" ".join(text[: 4 * limit].split()))
    if not line.isprintable():
        line = _printable(line[:limit])
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 1]}…"


def harmless(text: str) -> str:
    r"""A message with its line ends kept, without secrets. Unprintable characters are escaped, long texts are cut.

    >>> harmless("2 tags failed\n  v1: \x1b]0;title\x07")
    '2 tags failed\n  v1: \\x1b]0;title\\x07'
    """
    kept = without_secrets(text[:LONGEST_TEXT])
    if kept == text and all(line.isprintable() and len(line) <= LONGEST_LINE for line in text.split("\n")):
        return text
    lines = [line[:LONGEST_LINE] + "…" * (len(line) > LONGEST_LINE) for line in kept.split("\n")]
    shown = "\n".join(map(_printable, lines))
    return shown if len(text) <= LONGEST_TEXT else f"{shown}\n… and {len(text) - LONGEST_TEXT} characters more"


def quoted(text: str) -> str:
    r"""``text`` as a YAML scalar in single quotes, to be pasted into a mirrors file. Unprintable text is escaped.

    >>> print(quoted(r"/14\..*/"), quoted("it's"))
    '/14\..*/' 'it''s'
    """
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else repr(text)


def _printable(line: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in line
    )
