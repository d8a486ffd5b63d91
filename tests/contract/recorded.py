"""Recorded exchanges of one registry or API, replayed on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.interceptor import Interceptor

Exchange = Mapping[str, Any]

_NOBODY = "http://127.0.0.1:1"
_OF_THE_CONNECTION = frozenset({"content-length", "date", "connection", "transfer-encoding"})


def load_exchanges(file_name: str) -> Mapping[str, Exchange]:
    """The exchanges in a file of this directory, by name."""
    document = json.loads(Path(__file__).with_name(file_name).read_text())
    exchanges: Mapping[str, Exchange] = document.get("exchanges", document)
    return exchanges


@contextmanager
def serve(*exchanges: Exchange) -> Iterator[Interceptor]:
    """Serve the answers, each for its own method and path (queries are not compared).

    Several answers for one path are given in turn, and the last one repeats.
    """
    with Interceptor(_NOBODY) as server:
        for place, exchange in enumerate(exchanges):
            method, path = _target(exchange)
            times = 1 if _target(exchange) in map(_target, exchanges[place + 1 :]) else None
            server.answer(
                method, f"^{re.escape(path)}$", exchange["status"], _body(exchange), _headers(exchange), times
            )
        server.answer("GET", "^/v2/$", 200)
        yield server


def requests_of(server: Interceptor) -> Sequence[str]:
    """Path and query of each request, as in an access log."""
    return [f"{request.path}?{request.query}" if request.query else request.path for request in server.requests()]


def _target(exchange: Exchange) -> tuple[str, str]:
    request = exchange["request"]
    return request["method"], request["path"].partition("?")[0]


def _headers(exchange: Exchange) -> dict[str, str]:
    return {name: text for name, text in exchange.get("headers", {}).items() if name not in _OF_THE_CONNECTION}


def _body(exchange: Exchange) -> bytes:
    body = exchange["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
