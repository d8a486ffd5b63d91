"""A deadline for a whole response. Socket timeouts bound one read, which trickled bytes never exceed.

A server can send one byte now and then, or one ``100 Continue`` after the other. Code that reads a line or decompresses
a body does not see the clock in between. The deadline is therefore checked at the lowest level, where bytes arrive.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import Any

RESPONSE_SECONDS = 300
"""Time limit of a response, from its first byte to its last."""

BLOB_SECONDS = 3600
"""Time limit of a blob that is read whole. Models and layers of tens of gigabytes exist."""


class DeadlineExceeded(Exception):
    """A response was not complete in time."""


class DeadlineReader(io.RawIOBase):
    """Reads from a socket, one response after the other, each until its deadline. It does not close the socket."""

    def __init__(self, connected: Any) -> None:
        self._receive = connected.recv_into
        self._seconds = self._deadline = 0.0
        self._is_over = False

    def begin(self, seconds: float | None = None) -> None:
        """Begin a response that has to be complete in ``seconds``, by default :data:`RESPONSE_SECONDS`."""
        self._seconds = seconds or RESPONSE_SECONDS
        self._deadline = time.monotonic() + self._seconds
        self._is_over = False

    def end(self) -> None:
        """Read nothing more, as if the stream had ended."""
        self._is_over = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._is_over:
            return 0
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded(f"was still answering after {self._seconds} s")
        count: int = self._receive(buffer)
        return count


class TunnelResponse(http.client.HTTPResponse):
    """The response of a proxy to CONNECT, which urllib3 reads. It has to be complete by the deadline, too."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        reader = DeadlineReader(sock)
        reader.begin()
        self.fp: Any = io.BufferedReader(reader)
