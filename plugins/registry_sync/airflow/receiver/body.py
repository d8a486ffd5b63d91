"""The body of a request, read within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MAX_BYTES = 1024 * 1024

READ_SECONDS = 10.0
"""Time for a whole body. Senders give up after about as long."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyTooLarge(Exception):
    """A body has more than :data:`MAX_BYTES`, by its header or in fact."""


class SenderGone(Exception):
    """The sender closed the connection before its body was complete."""


async def read_body(receive: Receive, content_length: bytes) -> bytes:
    """The whole body of a request.

    :param content_length: the header's value; empty without one.
    :raises BodyTooLarge: before more than the limit is kept.
    :raises TimeoutError: when it is not complete in time.
    :raises SenderGone: when it never is.
    """
    if content_length.isdigit() and int(content_length[:20]) > MAX_BYTES:
        raise BodyTooLarge
    async with asyncio.timeout(READ_SECONDS):
        return await _read_all(receive)


async def _read_all(receive: Receive) -> bytes:
    read = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGone
        read += message.get("body", b"")
        if len(read) > MAX_BYTES:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(read)
