"""Answers that have to be whole in their time, however they trickle: status, headers, the frames of a body, and it.

The time-out of a socket is for one read of it. An answer of a byte now and then, or of one ``100 Continue`` after the
other, never runs into that, and whoever reads a line or unpacks a body does not get to look at the clock in between. So
the look is at the bottom, where bytes come in.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

ANSWER_SECONDS = 300
"""How long an answer may take from its first byte to its last."""


class Overdue(Exception):
    """An answer was not whole in its time."""


class _TimelyReads(io.RawIOBase):
    """What comes in by ``reads``, until it is overdue."""

    def __init__(self, reads: io.RawIOBase) -> None:
        self._reads = reads
        self._due = time.monotonic() + ANSWER_SECONDS

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reads.fileno()

    def readinto(self, buffer: Any, /) -> int | None:
        if time.monotonic() > self._due:
            raise Overdue(f"was still answering after {ANSWER_SECONDS} s")
        count: int | None = self._reads.readinto(buffer)
        return count

    def close(self) -> None:
        self._reads.close()
        super().close()


class _TimelyResponse(http.client.HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: io.BufferedReader = io.BufferedReader(_TimelyReads(self.fp.detach()))


class _TimelyConnection(HTTPConnection):
    response_class = _TimelyResponse


class _TimelyTLSConnection(HTTPSConnection):
    response_class = _TimelyResponse


class TimelyAdapter(HTTPAdapter):
    """Connections, also those through a proxy, whose answers raise :class:`Overdue` after :data:`ANSWER_SECONDS`."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = _TimelyTLSConnection if pool.scheme == "https" else _TimelyConnection
        return pool
