"""HTTP/1.1 requests as they are written to a connection."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from urllib3.util.wait import wait_for_read

Body = bytes | Iterable[bytes] | None

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})

_IS_ANSWERED = frozenset({errno.EPIPE, errno.EPROTOTYPE, errno.ECONNRESET})
"""Errors of sending to a server that has closed the connection. It may have answered before, which is read then."""

_JOINED_BYTES = 64 * 1024
"""Longest part of a body that is sent together with the head."""


def host_field(host: str, port: int | None, default_port: int | None) -> str:
    """The field ``Host``. A port that is the scheme's own, or ``None``, is left out."""
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    shown = f"[{name}]" if ":" in name else name
    return shown if port in (None, default_port) else f"{shown}:{port}"


def request_head(host: str, method: str, target: str, headers: Mapping[str, str], body: Body) -> bytes:
    """The request line and the header fields.

    :param host: the field ``Host``.
    :param body: an iterable needs a ``Content-Length`` in the headers.
    :raises ValueError: for a line break in one of them.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if isinstance(body, bytes) or (body is None and method not in _WITHOUT_BODY):
        lines.append(f"Content-Length: {len(body or b'')}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1:
        raise ValueError(f"the {method} request has a header field with a line break")
    return f"{text}\r\n\r\n".encode("latin-1")


def write_request(connected: Any, head: bytes, body: Body) -> bool:
    """Send a request. The first part of its body goes with the head, in one packet where it is short.

    Returns false when the server took only a part of it, because it has answered already.
    """
    parts = iter((body,) if isinstance(body, bytes) else body or ())
    first = next(parts, b"")
    try:
        if len(first) <= _JOINED_BYTES:
            connected.sendall(head + first)
        else:
            connected.sendall(head)
            connected.sendall(first)
        for part in parts:
            connected.sendall(part)
    except OSError as error:
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or error.errno in _IS_ANSWERED:
            return False
        if isinstance(error, TimeoutError) and wait_for_read(connected, timeout=0.0):
            return False
        raise
    return True
