"""A deadline for a whole response. Socket timeouts bound one read, which trickled bytes never exceed.

A server can send one byte now and then, or one ``100 Continue`` after the other. Code that reads a line or decompresses
a body does not see the clock in between. The deadline is therefore checked at the lowest level, where bytes arrive.
"""

from __future__ import annotations

import http
import http.client
import io
import re
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from registry_sync.registry.wire.response_head import read_head
from registry_sync.registry.wire.sockets import break_off

RESPONSE_SECONDS = 300
"""Time limit of a response, from its first byte to its last."""

BLOB_SECONDS = 3600
"""Time limit of a blob that is read whole. Models and layers of tens of gigabytes exist."""

_LONGEST_LINE_BYTES = 65_536

_LENGTH = re.compile(r"[0-9]{1,18}")

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
"""https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""

_seconds: ContextVar[float | None] = ContextVar("seconds", default=None)


class Within:
    """A context manager that gives a variable a value. Each request needs one, and a generator would cost more."""

    def __init__(self, variable: ContextVar[float | None], seconds: float) -> None:
        self._variable, self._seconds = variable, seconds

    def __enter__(self) -> None:
        self._token = self._variable.set(self._seconds)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._token)


def blob_deadline(seconds: float | None = None) -> AbstractContextManager[None]:
    """Give responses to this thread's requests ``seconds``, else those of an outer block or :data:`BLOB_SECONDS`."""
    return Within(_seconds, seconds or _seconds.get() or BLOB_SECONDS)


class DeadlineExceeded(Exception):
    """A response was not complete in time."""


class _DeadlineReader(io.RawIOBase):
    """Reads from ``reads`` until the deadline."""

    def __init__(self, reads: io.RawIOBase) -> None:
        self._reads = reads
        self._seconds = _seconds.get() or RESPONSE_SECONDS
        self._deadline = time.monotonic() + self._seconds
        self._is_over = False

    def end(self) -> None:
        """Read nothing more."""
        self._is_over = True

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reads.fileno()

    def readinto(self, buffer: Any, /) -> int | None:
        if self._is_over:
            return 0
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded(f"was still answering after {self._seconds} s")
        count: int | None = self._reads.readinto(buffer)
        return count

    def close(self) -> None:
        self._reads.close()
        super().close()


class DeadlineResponse(http.client.HTTPResponse):
    """A response that has to be complete by the deadline."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._connected = sock
        self._reader = _DeadlineReader(self.fp.detach())
        self.fp: Any = io.BufferedReader(self._reader)

    def _close_conn(self) -> None:
        """Close the response. A connection with bytes behind it, such as the body of a HEAD, is broken off.

        The rest of them would arrive as the response to the next request.
        """
        self._reader.end()
        if self.fp.peek(1):
            break_off(self._connected)
        super()._close_conn()  # type: ignore[misc]

    @staticmethod
    def read_fields(stream: io.BufferedReader) -> Any:
        """Read the header fields up to the empty line, for urllib3."""
        message = http.client.HTTPMessage()
        for name, value in read_head(stream).fields:
            message[name] = value
        return message

    def begin(self) -> None:
        """Read the head of the response: as Python does, but for 1xx responses.

        Python skips ``100 Continue`` only, and takes ``103 Early Hints`` for the response. The real response would then
        answer the next request on this connection, for another tag.
        """
        version, status, reason = self._read_status()  # type: ignore[attr-defined]
        while status < http.HTTPStatus.OK:
            self.read_fields(self.fp)
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        if self.version == 11 and not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.headers = self.msg = self.read_fields(self.fp)
        self._frame()

    def _frame(self) -> None:
        """Find out how the body ends: https://www.rfc-editor.org/rfc/rfc9112#section-6.3."""
        codings = self.headers.get("transfer-encoding", "").lower().replace(" ", "").split(",")
        is_coded = any(coding not in ("", "identity") for coding in codings)
        self.chunked = codings[-1] == "chunked"
        self.chunk_left = None
        has_no_body = self._method == "HEAD" or self.status in (204, 304)  # type: ignore[attr-defined]
        length = None if has_no_body else self._content_length()
        self.length = 0 if has_no_body else None if is_coded else length
        self.will_close = self._check_close() or (is_coded and length is not None)  # type: ignore[attr-defined]
        if not self.chunked and self.length is None:
            self.will_close = True

    def _content_length(self) -> int | None:
        """The length of a body; ``None`` where it has none that is valid."""
        texts = ",".join(self.headers.get_all("content-length", ())).split(",")
        lengths = {text.strip() for text in texts}
        if not all(map(_LENGTH.fullmatch, lengths)):
            return None
        if len(set(map(int, lengths))) > 1:
            raise http.client.HTTPException(f"got several values of Content-Length: {', '.join(texts)}")
        return int(lengths.pop())

    def _read_next_chunk_size(self) -> int:
        """Read the line before a chunk. Python accepts ``-5``, ``0x5``, ``1_0``, and a line that is cut off."""
        line = _CHUNK_SIZE.fullmatch(self.fp.readline(_LONGEST_LINE_BYTES))
        if line is None:
            raise ValueError("not the size of a chunk")
        return int(line[1], 16)
