"""A loopback server that replays recorded responses of a real registry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.interceptor import Interceptor

RECORDED: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_name("distribution.json").read_text())
VERSIONS = tuple(RECORDED)
_NOBODY = "http://127.0.0.1:1"
_OF_THE_CONNECTION = frozenset({"content-length", "date", "connection", "transfer-encoding"})


@contextmanager
def replay(version: str, *cases: str) -> Iterator[Interceptor]:
    """Serve the recorded ``cases``, each for its own method and path (queries are not compared).

    Of several with one path, each but the last answers one request.
    """
    recorded = [RECORDED[version][each] for each in cases]
    with Interceptor(_NOBODY) as server:
        for place, case in enumerate(recorded):
            comes_again = _target(case) in map(_target, recorded[place + 1 :])
            method, path = _target(case)
            headers = {name: text for name, text in case["headers"].items() if name not in _OF_THE_CONNECTION}
            times = 1 if comes_again else None
            server.answer(method, f"^{re.escape(path)}$", case["status"], _body(case), headers, times)
        yield server


def _target(case: Mapping[str, Any]) -> tuple[str, str]:
    return case["request"]["method"], "/" + case["request"]["path"].partition("?")[0]


def _body(case: Mapping[str, Any]) -> bytes:
    body = case["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
