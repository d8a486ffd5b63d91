"""Timeouts of a connection, an answer and a task. The matrix tests hangs at each stage."""

from __future__ import annotations

import json
import random
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.errors import ConnectTimeout, ResponseTimeout
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.wire import deadline, transport
from registry_sync.registry.wire.exchange import Body, RequestLimits
from registry_sync.registry.wire.transport import Transport
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.interceptor import Interceptor
from testkit.loopback import Blackhole, LoopbackServer
from testkit.registry import RegistryProcess
from testkit.waiting import PATIENCE_SECONDS


def test_a_host_that_does_not_take_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "DEFAULT_LIMITS", RequestLimits(connect_seconds=0.2))
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.01)
    with Blackhole() as hole:
        asked, began = Transport(Endpoint(host=hole.host, tls=False)), time.monotonic()
        with pytest.raises(ConnectTimeout) as caught:
            asked.ping()
        asked.close()
        assert str(caught.value) == f"http://{hole.host} neither accepted nor refused the connection: timed out"
    assert 0.6 <= time.monotonic() - began < PATIENCE_SECONDS, "three times 0.2 s, and less than a kernel's own limit"


def test_an_answer_that_trickles_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read is quick; only the whole answer takes too long."""
    monkeypatch.setattr(deadline, "RESPONSE_SECONDS", 0.5)
    monkeypatch.setattr(transport, "DEFAULT_LIMITS", RequestLimits(attempts=1))
    with RegistryProcess() as registry, Interceptor(registry.url) as wire:
        for number in range(10):
            images.push(registry.url, "team/app", f"a-tag-with-quite-a-long-name-{number}", images.image([]))
        wire.slow("GET", "/tags/list$", 1)
        asked, began = Transport(Endpoint(host=wire.host, tls=False)), time.monotonic()
        with pytest.raises(ResponseTimeout) as caught:
            list(asked.pages("/v2/team/app/tags/list"))
        seconds = time.monotonic() - began
        asked.close()
    assert str(caught.value) == f"{wire.url}/v2/team/app/tags/list was still answering after 0.5 s"
    assert 0.5 <= seconds < PATIENCE_SECONDS, "all of it would take five minutes"


TRICKLES = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "packed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08" + 6 * b"\0", b"a file's name "),
}
"""Start of an answer, and the piece that is repeated after it."""


class Trickle(socketserver.StreamRequestHandler):
    """Sends ``begin``, and then ``piece`` until the client closes."""

    begin, piece = b"", b""

    def handle(self) -> None:
        self.request.recv(65536)
        self.wfile.write(self.begin)
        while True:
            self.wfile.write(self.piece)
            time.sleep(0.02)


@pytest.mark.parametrize("what", TRICKLES)
def test_a_trickle_within_one_read_is_ended(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that trickle within one read of a library: a line, skipped bytes, and compressed bytes of nothing."""
    monkeypatch.setattr(deadline, "RESPONSE_SECONDS", 0.5)
    monkeypatch.setattr(transport, "DEFAULT_LIMITS", RequestLimits(attempts=1))
    begin, piece = TRICKLES[what]
    server = LoopbackServer(type("Handler", (Trickle,), {"begin": begin, "piece": piece}))
    server.start()
    asked = Transport(Endpoint(host=server.host, tls=False))
    try:
        with ThreadPoolExecutor(1) as pool:
            error = pool.submit(asked.call, "GET", "/v2/").exception(timeout=PATIENCE_SECONDS)
    finally:
        server.stop()
        asked.close()
    assert type(error) is ResponseTimeout
    assert str(error) == f"http://{server.host}/v2/ was still answering after 0.5 s"


class Reluctant(socketserver.StreamRequestHandler):
    """Reads nothing of a body for ``seconds``, and then all of it."""

    seconds = 0.0

    def handle(self) -> None:
        while (line := self.rfile.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                size_bytes = int(line.partition(b":")[2])
        self.server.wait(self.seconds)  # type: ignore[attr-defined]
        self.rfile.read(size_bytes)
        self.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def reluctant(request: pytest.FixtureRequest) -> Iterator[LoopbackServer]:
    server, ended = LoopbackServer(type("Handler", (Reluctant,), {"seconds": request.param})), threading.Event()
    server.wait = ended.wait  # type: ignore[attr-defined]
    server.start()
    yield server
    ended.set()
    server.stop()


def upload(server: LoopbackServer, *, read_seconds: float) -> int:
    """Send more than sockets hold, to a host whose connections take 0.2 s at the most."""
    asked = Transport(Endpoint(host=server.host, tls=False), limits=RequestLimits(connect_seconds=0.2))
    body = Body((bytes(64 * 1024) for _ in range(640)), 640 * 64 * 1024)
    try:
        return asked.call_once("PUT", "/upload", headers={}, body=body, read_seconds=read_seconds).status
    finally:
        asked.close()


@pytest.mark.parametrize("reluctant", [0.8], indirect=True)
def test_a_server_may_take_a_body_more_slowly_than_connections(reluctant: LoopbackServer) -> None:
    assert upload(reluctant, read_seconds=PATIENCE_SECONDS) == 201


@pytest.mark.parametrize("reluctant", [PATIENCE_SECONDS], indirect=True)
def test_a_server_that_takes_no_more_of_a_body(reluctant: LoopbackServer) -> None:
    with pytest.raises(ResponseTimeout) as caught:
        upload(reluctant, read_seconds=0.3)
    assert str(caught.value) == (
        f"http://{reluctant.host} accepted a part of the request, and took no more before the timeout: timed out"
    )


@pytest.mark.parametrize(("written", "minutes"), [({}, 24 * 60), ({"task_timeout_minutes": 90}, 90)])
def test_every_task_has_a_limit(tmp_path: Path, written: dict[str, int], minutes: int) -> None:
    mirror = {"source": "a", "destinations": ["b", "c"], "repositories": ["team/app"], **written}
    registries = {name: {"host": f"{name}.example"} for name in "abc"}
    (tmp_path / "mirrors.yaml").write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    file = load_mirrors(tmp_path / "mirrors.yaml")
    tasks = build_dag(file.mirrors["team"], file).tasks
    assert sum(isinstance(task, MappedOperator) for task in tasks) == 2
    assert {task.execution_timeout for task in tasks} == {timedelta(minutes=minutes)}
