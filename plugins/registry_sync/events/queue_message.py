"""Pushes in a message of a queue.

Each broker wraps a message in its own way, and a cloud may wrap an event in several: EventBridge in SNS in SQS, for
example. So the documents of a message are looked for at every level: in texts that are JSON, and in Base64 as Pub/Sub
has it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from registry_sync.events.push import Push, merge_pushes
from registry_sync.events.reported import Ignored
from registry_sync.events.senders.table import readers_of_messages
from registry_sync.events.strict_json import BadJson, read_object

MAX_DEPTH = 24
"""Levels of a message, those within texts included."""

MAX_VALUES = 20_000
"""Maximum number of values that are read from a message. Polling finds what stands behind them."""


MAX_TEXT_BYTES = 1 << 20
"""Longest text of a message that is read as JSON, as long as the longest body of a webhook."""


def pushes_of_message(payload: object, kind: str, host: str) -> tuple[Push, ...]:
    """The pushes that a message names; none where it has no document that a sender of ``kind`` sends.

    A repository that the sender may have under several names has a push for each.

    :param payload: JSON values, as the trigger of the queue yields them.
    :param kind: of the registry.
    :param host: of the registry. Pushes to another registry are left out, where the sender names it.
    """
    found: list[Push] = []
    for document in _documents(payload):
        for read in readers_of_messages(kind):
            reported = read(document, host)
            if not isinstance(reported, Ignored):
                found += (push for entry in reported for push in entry.candidates)
                break
    return merge_pushes(found)


def _documents(payload: object) -> Iterator[dict[str, Any]]:
    """All objects of a message, level by level, without recursion."""
    level, seen = [payload], 0
    for _ in range(MAX_DEPTH):
        following: list[object] = []
        for value in level:
            seen += 1
            if seen > MAX_VALUES:
                return
            if isinstance(value, dict):
                yield value
            following += _within(value)
        level = following


def _within(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list() | tuple():
            return list(value)
        case str() | bytes():
            return _parsed(value.encode("utf-8", "replace") if isinstance(value, str) else value)
    return []


def _parsed(text: bytes) -> list[object]:
    """The JSON of a text, or of its Base64; empty for any other text, and for one that is too long."""
    if len(text) > MAX_TEXT_BYTES:
        return []
    if text[:1] not in (b"{", b"["):
        try:
            text = b64decode(text, validate=True)
        except binascii.Error:
            return []
    if text[:1] not in (b"{", b"["):
        return []
    try:
        return [read_object(b'{"": %b}' % text)]
    except BadJson:
        return []
