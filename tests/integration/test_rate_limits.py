"""A registry that allows some requests per second and answers 429 beyond, to many threads, clients and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry_sync.errors import RegistrySyncError, TemporaryError
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from registry_sync.registry.vendors.quay import QuayClient
from registry_sync.registry.wire import rate_limit
from registry_sync.sync.content import pauses
from testkit import images
from testkit.clients import connect
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, run_route
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.sleeping_clock import SleepingClock
from testkit.waiting import PATIENCE_SECONDS, wait_until
from tests.integration.conftest import SkopeoLog

pytestmark = pytest.mark.usefixtures("own_temporary_directory")

DIGEST = Digest.of(b"image")
BLOB = Descriptor(media_type="application/octet-stream", digest=DIGEST, size_bytes=5)
PAGE = b"<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body><hr>nginx</body></html>"
THREADS = 8
WAVES = 3
"""Times that all threads may be answered 429 at once: at the start, and where this machine stands still, so that
requests that were spaced out are sent together."""


@dataclass(kw_only=True)
class NginxLimit:
    """``limit_req rate=… burst=… nodelay``: at most ``per_second``, with a burst, and 429 without a delay beyond."""

    per_second: float
    burst: int
    excess: float = 0.0
    latest: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[int] = field(default_factory=Counter)

    def __call__(self, _: ScriptedRequest) -> Reply:
        with self.lock:
            now = time.monotonic()
            left = max(0.0, self.excess - (now - self.latest) * self.per_second)
            self.latest, is_allowed = now, left < self.burst + 1
            self.excess = left + is_allowed
            reply = (
                Reply(headers={"Docker-Content-Digest": str(DIGEST)}) if is_allowed else Reply(status=429, body=PAGE)
            )
            self.counts[reply.status] += 1
        return reply


def read_tags(client: DistributionClient, host: str, count: int) -> list[Digest | None]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda tag: client.head_manifest(Repository(host, "team/app"), f"v{tag}"), range(count)))


def test_six_tasks_at_a_quay_stay_below_its_limit() -> None:
    """Quay's figures times ten: 500 requests a second with a burst of 100, a pace of 400."""
    limit = NginxLimit(per_second=500, burst=100)
    with ScriptedServer(limit) as server, ThreadPoolExecutor(6) as tasks:
        endpoint = Endpoint(host=server.host, tls=False)

        def task(_: int) -> list[Digest | None]:
            with closing(QuayClient(endpoint, requests_per_second=400)) as client:
                return read_tags(client, server.host, 300)

        assert set(map(len, tasks.map(task, range(6)))) == {300}
    assert limit.counts[200] == 1800
    assert limit.counts[429] <= 18


def test_six_tasks_find_the_pace_of_a_registry_without_a_known_limit() -> None:
    """Each 429 is a pause of all, after which all are slower. Without that, most requests would be answered 429."""
    limit = NginxLimit(per_second=100, burst=50)
    with ScriptedServer(limit) as server, ThreadPoolExecutor(6) as tasks:
        endpoint = Endpoint(host=server.host, tls=False)

        def task(_: int) -> list[Digest | None]:
            with closing(DistributionClient(endpoint)) as client:
                return read_tags(client, server.host, 50)

        assert set(map(len, tasks.map(task, range(6)))) == {50}
    assert limit.counts[200] == 300
    assert limit.counts[429] <= WAVES * 6 * THREADS


_TASK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from registry_sync.oci.manifest import Descriptor
from registry_sync.oci.reference import Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint

host = sys.argv[1]
client = DistributionClient(Endpoint(host=host, tls=False))
with ThreadPoolExecutor(8) as pool:
    tags = list(pool.map(lambda tag: client.head_manifest(Repository(host, "team/app"), f"v{tag}"), range(100)))
print(sum(tag is not None for tag in tags))
"""


def test_processes_pause_together(tmp_path: Path) -> None:
    limit = NginxLimit(per_second=100, burst=50)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    with ScriptedServer(limit) as server:
        command = [sys.executable, "-c", _TASK, server.host]
        tasks = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [task.communicate(timeout=PATIENCE_SECONDS)[0] for task in tasks] == ["100\n"] * 3
    assert limit.counts[200] == 300
    assert limit.counts[429] <= WAVES * 3 * THREADS


def test_a_process_that_begins_in_a_pause_waits_for_its_end(tmp_path: Path) -> None:
    """A process that stands still begins later, so that this cannot fail by the time that it takes."""
    seen: list[float] = []

    def answer(_: ScriptedRequest) -> Reply:
        seen.append(time.monotonic())
        if len(seen) == 1:
            return Reply(status=429, body=PAGE, headers={"Retry-After": "4"})
        return Reply(headers={"Docker-Content-Digest": str(DIGEST)})

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    program = _TASK.replace("ThreadPoolExecutor(8)", "ThreadPoolExecutor(1)").replace("range(100)", "range(1)")
    with ScriptedServer(answer) as server:
        command = [sys.executable, "-c", program, server.host]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as first:
            wait_until(lambda: len(seen) == 1, "the first process is answered 429")
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            assert first.wait(PATIENCE_SECONDS) == 0
    assert seen[1] - seen[0] >= 3.9
    assert len(seen) == 3


@pytest.mark.parametrize(
    "headers", [{}, {"Retry-After": "1"}, {"Content-Type": "text/html"}], ids=["bare", "with a delay", "a page"]
)
def test_skopeo_copies_again_after_a_pause(
    source: RegistryProcess, wire: Interceptor, name: str, skopeo_log: SkopeoLog, headers: dict[str, str]
) -> None:
    """All tags of the digest are published in the same run."""
    content = images.image([images.layer({"message": name.encode()})])
    for tag in ("v1", "latest"):
        images.push(source.url, name, tag, content)
    wire.answer("PUT", f"/manifests/{content.digest}$", 429, PAGE, headers, times=2)
    report = run_route(make_route(source, wire, name))
    assert counted(report) == {"copied": 2}
    assert len(skopeo_log.copies) == 3


def test_a_long_copy_is_repeated_after_its_first_429(
    source: RegistryProcess,
    wire: Interceptor,
    name: str,
    skopeo_log: SkopeoLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its layers take longer than 429s are waited for, by a clock of this test."""
    clock = SleepingClock()
    monkeypatch.setattr(pauses, "time", clock)
    content = images.image([images.layer({"message": name.encode()})])
    images.push(source.url, name, "v1", content)
    wire.after("POST", "/blobs/uploads/", lambda _: clock.sleep(rate_limit.PATIENCE_SECONDS + 1), times=1)
    wire.answer("PUT", f"/manifests/{content.digest}$", 429, PAGE, times=1)
    assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    assert len(skopeo_log.copies) == 2


def test_skopeo_waits_for_a_pause_that_another_task_began(
    source: RegistryProcess, wire: Interceptor, name: str, skopeo_log: SkopeoLog
) -> None:
    images.push(source.url, name, "v1", images.image([]))
    copies_at_the_end = []

    def limited(_: object) -> None:
        """Another task is told to wait, after this one has read the destination and before skopeo starts."""
        rate_limit.RateLimiter(None, server=wire.host).pause(sent_at=time.monotonic(), seconds=2)
        copies_at_the_end.append(len(skopeo_log.copies))

    wire.after("GET", "/manifests/sha256:", limited, times=1)
    began = time.monotonic()
    assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    assert copies_at_the_end == [0]
    assert time.monotonic() - began >= 2


def test_what_a_token_server_limits_does_not_pause_the_registry(wire: Interceptor) -> None:
    with ScriptedServer(lambda _: Reply(status=429, headers={"Retry-After": "7200"})) as tokens:
        challenge = f'Bearer realm="{tokens.url}/token",service="registry"'
        wire.answer("HEAD", "/manifests/", 401, headers={"WWW-Authenticate": challenge})
        with connect(DistributionClient, wire) as client, pytest.raises(RegistrySyncError) as caught:
            client.head_manifest(Repository(wire.host, "team/app"), "v1")
        assert str(caught.value) == f"GET {tokens.url}/token answered 429"
    assert rate_limit.RateLimiter(None, server=wire.host).pause(sent_at=time.monotonic()) == 0.5


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}, {"Retry-After": "7200"}])
def test_what_the_target_of_a_redirect_limits_is_not_the_registrys_limit(
    wire: Interceptor, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 0.01)
    with ScriptedServer(lambda _: Reply(status=429, headers=headers, body=PAGE)) as other:
        wire.answer("GET", "/blobs/", 302, headers={"Location": f"{other.url}/page"})
        with connect(DistributionClient, wire) as client:
            for read in (
                lambda: client.read_blob(Repository(wire.host, "team/app"), DIGEST),
                lambda: client.get_blob(Repository(wire.host, "team/app"), BLOB),
            ):
                with pytest.raises(TemporaryError) as caught:
                    read()
                assert str(caught.value) == f"GET {other.url}/page answered 429 Too Many Requests"
    assert rate_limit.RateLimiter(None, server=wire.host).pause(sent_at=time.monotonic()) == 0.5


def test_a_task_that_ends_wakes_its_waiting_threads(wire: Interceptor) -> None:
    wire.answer("HEAD", "/manifests/", 429, headers={"Retry-After": "20"})
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        with connect(DistributionClient, wire) as client:
            heads = [pool.submit(client.head_manifest, Repository(wire.host, "team/app"), tag) for tag in ("v1", "v2")]
            while not wire.requests():
                time.sleep(0.01)
        errors = [str(head.exception()) for head in heads]
    assert errors == ["the task is being ended, so nothing more is sent"] * 2
    assert time.monotonic() - began < 15
