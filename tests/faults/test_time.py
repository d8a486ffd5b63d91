"""Nothing hangs for longer than its limit: a connection, an answer, a task. The matrix has what hangs at each stage."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from registry_sync.credentials import Endpoint
from registry_sync.dag import build_dag
from registry_sync.errors import TemporaryError
from registry_sync.mirrors_file import load_mirrors
from registry_sync.registry import transport
from registry_sync.registry.transport import Transport
from tests.support import images
from tests.support.interceptor import Interceptor
from tests.support.loopback import LOOPBACK
from tests.support.registry import RegistryProcess


@contextmanager
def full_host() -> Iterator[str]:
    """A host that takes no further connection: the kernel drops what does not fit the queue of this one."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind((LOOPBACK, 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"{LOOPBACK}:{server.getsockname()[1]}"


def test_a_host_that_does_not_take_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "USUAL", transport.Patience(connect_seconds=0.2))
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.01)
    with full_host() as host:
        asked, began = Transport(Endpoint(host=host, tls=False)), time.monotonic()
        with pytest.raises(TemporaryError, match=rf"^http://{host} cannot be reached: "):
            asked.challenge()
        asked.close()
    assert 0.6 <= time.monotonic() - began < 5


def test_an_answer_that_trickles_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read of it is quick: only the whole is too long."""
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(transport, "USUAL", transport.Patience(attempts=1))
    with RegistryProcess() as registry, Interceptor(registry.url) as wire:
        for number in range(10):
            images.push(registry.url, "team/app", f"a-tag-with-quite-a-long-name-{number}", images.image([]))
        wire.slow("GET", "/tags/list$", 40)
        asked, began = Transport(Endpoint(host=wire.host, tls=False)), time.monotonic()
        with pytest.raises(TemporaryError) as caught:
            list(asked.pages("/v2/team/app/tags/list"))
        seconds = time.monotonic() - began
        asked.close()
    assert str(caught.value) == f"{wire.url}/v2/team/app/tags/list was still answering after 0.5 s"
    assert 0.5 <= seconds < 3


@pytest.mark.parametrize(("written", "minutes"), [({}, 24 * 60), ({"task_timeout_minutes": 90}, 90)])
def test_every_task_has_a_limit(tmp_path: Path, written: dict[str, int], minutes: int) -> None:
    mirror = {"source": "a", "destinations": ["b", "c"], "repositories": ["team/app"], **written}
    registries = {name: {"host": f"{name}.example"} for name in "abc"}
    (tmp_path / "mirrors.yaml").write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    file = load_mirrors(tmp_path / "mirrors.yaml")
    tasks = build_dag(file.mirrors["team"], file).tasks
    assert sum(isinstance(each, MappedOperator) for each in tasks) == 2
    assert {each.execution_timeout for each in tasks} == {timedelta(minutes=minutes)}
