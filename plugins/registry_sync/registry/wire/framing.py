"""The ends of the head and of the body of a response: https://www.rfc-editor.org/rfc/rfc9112#section-6.3.

Errors are those of Python's own client, which is slower.
"""

from __future__ import annotations

import http.client
import io
import re
from dataclasses import dataclass

from urllib3.exceptions import IncompleteRead

from registry_sync.registry.wire.response_head import HeaderFields, read_head

CHUNK_BYTES = 256 * 1024
"""Longest part of a body that is read at once."""

_LONGEST_LINE_BYTES = 65_536

_STATUS = re.compile(rb"(HTTP/[^ \t\r\n]*)[ \t]+([1-9][0-9][0-9])(?:[ \t]+([^\n]*))?[ \t\r]*\n?")

_LENGTH = re.compile(r"[0-9]{1,18}")

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
"""https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a response. :ivar is_old: the version of HTTP is 1.0 or older."""

    status: int
    reason: str
    headers: HeaderFields
    is_old: bool


def read_response_head(stream: io.BufferedReader) -> Head:
    """Read the head of a response, after those of 1xx responses.

    Python skips ``100 Continue`` only, and takes ``103 Early Hints`` for the response. The real response would then
    answer the next request on this connection, for another tag.

    :raises http.client.HTTPException: for a response that is not one of HTTP/1.
    """
    while True:
        version, status, reason = _read_status(stream)
        is_old = version in (b"HTTP/1.0", b"HTTP/0.9")
        if status >= 200 and not (is_old or version.startswith(b"HTTP/1.")):
            raise http.client.UnknownProtocol(version.decode("latin-1"))
        headers = read_head(stream)
        if status >= 200:
            return Head(status=status, reason=reason, headers=headers, is_old=is_old)


def _read_status(stream: io.BufferedReader) -> tuple[bytes, int, str]:
    line = stream.readline(_LONGEST_LINE_BYTES + 1)
    if len(line) > _LONGEST_LINE_BYTES:
        raise http.client.LineTooLong("status line")
    if not line:
        raise http.client.RemoteDisconnected("Remote end closed connection without response")
    match = _STATUS.fullmatch(line)
    if match is None:
        raise http.client.BadStatusLine(line.decode("latin-1"))
    version, status, reason = match.groups()
    return version, int(status), (reason or b"").decode("latin-1").strip()


class ArrivingBody:
    """The body of a response, read as it arrives.

    :param method: of the request.
    :ivar is_whole: nothing of it is left.
    :ivar may_follow: another response may follow on the connection, because it is certain where the body ends.
    """

    def __init__(self, stream: io.BufferedReader, method: str, head: Head) -> None:
        self._stream = stream
        self._received_bytes = 0
        codings = head.headers.get("transfer-encoding", "").lower().replace(" ", "").split(",")
        is_coded = codings != [""] and any(coding not in ("", "identity") for coding in codings)
        is_empty = method == "HEAD" or head.status in (204, 304)
        length = None if is_empty else _content_length(head.headers)
        self._is_chunked = codings[-1] == "chunked" and not is_empty
        self._left = 0 if is_empty or self._is_chunked else None if is_coded else length
        self.is_whole = self._left == 0 and not self._is_chunked
        is_doubtful = self._left is None or (is_coded and length is not None)
        self.may_follow = not (is_doubtful or _closes(head))

    def read(self) -> bytes:
        """The next bytes, as many as have arrived; empty at the end.

        :raises http.client.HTTPException: when it breaks off.
        """
        if self._is_chunked and not self._left and not self.is_whole:
            self._begin_chunk()
        if self.is_whole:
            return b""
        left = self._left
        content = self._stream.read1(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
        self._received_bytes += len(content)
        if left is None:
            self.is_whole = not content
            return content
        if not content:
            raise http.client.IncompleteRead(b"") if self._is_chunked else IncompleteRead(self._received_bytes, left)
        self._left = left - len(content)
        self.is_whole = not (self._left or self._is_chunked)
        return content

    def _begin_chunk(self) -> None:
        """Read the line before a chunk.

        Python accepts ``-5``, ``0x5``, ``1_0``, a line that is cut off, and anything as the line break after a chunk.
        """
        if self._received_bytes and self._stream.readline(2) not in (b"\r\n", b"\n"):  # after the chunk before
            raise http.client.IncompleteRead(b"")
        line = _CHUNK_SIZE.fullmatch(self._stream.readline(_LONGEST_LINE_BYTES))
        if line is None:
            raise http.client.IncompleteRead(b"")
        self._left = int(line[1], 16)
        if not self._left:
            self._skip_trailer()
            self.is_whole = True

    def _skip_trailer(self) -> None:
        while (line := self._stream.readline(_LONGEST_LINE_BYTES + 1)) not in (b"\r\n", b"\n", b""):
            if len(line) > _LONGEST_LINE_BYTES:
                raise http.client.LineTooLong("trailer line")


def _content_length(headers: HeaderFields) -> int | None:
    """The length of a body; ``None`` where it has none that is valid."""
    text = headers.get("content-length", "")
    if _LENGTH.fullmatch(text):
        return int(text)
    lengths = [part.strip() for part in text.split(",")]
    if not all(map(_LENGTH.fullmatch, lengths)):
        return None
    if len(set(map(int, lengths))) > 1:
        raise http.client.HTTPException(f"got several values of Content-Length: {', '.join(lengths)}")
    return int(lengths[0])


def _closes(head: Head) -> bool:
    """Return whether the server closes the connection. HTTP/1.0 keeps one only where it says so."""
    headers = head.headers
    connection = headers.get("connection", "").lower()
    if not head.is_old:
        return "close" in connection
    is_kept = "keep-alive" in connection or "keep-alive" in headers.get("proxy-connection", "").lower()
    return not (is_kept or headers.get("keep-alive"))
