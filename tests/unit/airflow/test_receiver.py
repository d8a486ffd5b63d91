"""The app that takes webhooks: what it answers, and what it stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from functools import partial
from threading import Event
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from registry_sync.airflow.receiver import body
from registry_sync.airflow.receiver.app import Receiver, build_app
from registry_sync.airflow.receiver.body import MAX_BYTES, BodyTooLarge, SenderGone, read_body
from registry_sync.airflow.receiver.emitter import Emitter
from registry_sync.airflow.receiver.secrets import (
    KEPT_SECONDS,
    UNKNOWN_SECONDS,
    KeptSecrets,
    SecretUnknown,
    read_secret,
)
from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.events import rate
from registry_sync.events.addresses import Address
from registry_sync.events.gathering import INTERVAL_SECONDS, Batch
from registry_sync.events.push import Push
from registry_sync.events.subscription import Subscription
from testkit.waiting import PATIENCE_SECONDS, wait_until
from testkit.webhooks import SECRET, load_requests

QUAY, HARBOR, OPEN = (Address(scope="registry", name=name) for name in ("quay", "harbor", "open"))
OWN = Address(scope="mirror", name="own")


def known(mirror: str, address: Address, kind: str, secret: str = "events") -> Subscription:
    names = frozenset({"team/app", "hooked/demo/app"})
    return Subscription(
        mirror=mirror, registry=kind, host="h.example", kind=kind, address=address, secret=secret, repositories=names
    )


MIRRORS = {
    QUAY: (known("one", QUAY, "quay"), known("two", QUAY, "quay")),
    HARBOR: (known("three", HARBOR, "harbor"),),
    OWN: (known("own", OWN, "quay"),),
    OPEN: (known("four", OPEN, "quay", secret="nothing"),),
}


class Store:
    """Where batches go; ``broken`` refuses them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.broken, self.failures = False, 0

    def __call__(self, batch: Batch) -> None:
        if self.broken:
            self.failures += 1
            raise ConnectionError
        self.batches.append(batch)

    def wait(self, number: int) -> list[Batch]:
        wait_until(lambda: len(self.batches) >= number, f"{number} batches are stored")
        return self.batches

    def wait_for_failures(self, number: int) -> None:
        wait_until(lambda: self.failures >= number, f"{number} batches are refused")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    secrets = KeptSecrets({"events": SECRET, "nothing": None}.get, monotonic)
    emitter = Emitter(store)
    app = build_app(Receiver(emitter, lambda: MIRRORS, secrets), emitter.end)
    with TestClient(app, follow_redirects=False) as client:
        yield client


def app_of(receiver: Receiver) -> Starlette:
    """The app without an end: what these tests send is stored before."""
    return build_app(receiver, partial(asyncio.sleep, 0))


def path(address: Address, secret: str = SECRET) -> str:
    return f"/{address.scope}/{address.name}/{address.token(secret)}"


def push(*tags: str, repository: str = "team/app") -> dict[str, Any]:
    return {"repository": repository, "updated_tags": list(tags)}


def told(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def test_a_push_starts_every_mirror_of_the_registry(client: TestClient, store: Store) -> None:
    answer = client.post(path(QUAY), json=push("v2", "v1"))
    assert told(answer) == (202, {"detail": "accepted", "mirrors": ["one", "two"]})
    batches = store.wait(2)
    assert [(batch.mirror, batch.registry) for batch in batches] == [("one", "quay"), ("two", "quay")]
    assert batches[0].pushes == (Push(repository="team/app", tags=("v1", "v2")),)


def test_a_mirror_may_have_an_address_of_its_own(client: TestClient, store: Store) -> None:
    assert told(client.post(path(OWN), json=push("v1")))[1]["mirrors"] == ["own"]
    assert [batch.mirror for batch in store.wait(1)] == ["own"]


def test_what_no_mirror_has_is_ignored(client: TestClient, store: Store) -> None:
    answer = client.post(path(QUAY), json=push("v1", repository="team/other"))
    assert told(answer) == (200, {"detail": "ignored: no mirror has this repository"})
    answer = client.post(path(QUAY), json={"zen": "x"})
    assert told(answer) == (200, {"detail": "ignored: it is not a Quay notification of a push"})
    assert store.batches == []


def test_what_is_not_genuine_is_refused(client: TestClient, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    sent = next(sent for sent in load_requests("another secret") if sent.kind == "harbor")
    answer = client.post(path(HARBOR), content=sent.body, headers=dict(sent.headers))
    assert told(answer) == (401, {"detail": "the request does not prove that it is genuine"})
    assert store.batches == []
    expected = "A request for events of registry harbor is refused: the request does not prove that it is genuine"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("registry_sync")] == [expected]


@pytest.mark.parametrize(
    "wrong",
    [
        "/",
        "/registry",
        "/registry/quay",
        "/registry/quay/",
        f"/registry/quay/{40 * '0'}",
        f"{path(QUAY)}/",
        f"{path(QUAY)}/more",
        f"/{path(QUAY)}",
        path(QUAY).replace("registry", "mirror"),
        path(QUAY).replace("quay", "harbor"),
        path(QUAY, "another secret"),
        path(OPEN, ""),
        path(Address(scope="registry", name="unknown")),
        path(Address(scope="registry", name="unknown"), ""),
        path(QUAY).replace("/registry/", "/registry/%2e%2e/registry/"),
        "/../registry-sync/api/overview",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS", "TRACE", "PROPFIND"])
def test_every_wrong_address_gets_the_same_answer(client: TestClient, wrong: str, method: str) -> None:
    answer = client.request(method, wrong, content=b"{", headers={"Content-Length": "1"})
    assert told(answer) == (404, {"detail": "not found"})


@pytest.mark.parametrize("query", ["secret=x", f"secret={SECRET}", "a", "token=&x=1"])
def test_a_secret_in_the_query_is_refused(client: TestClient, query: str) -> None:
    answer = client.post(f"{path(QUAY)}?{query}", json=push("v1"))
    message = "the address has a query, which proxies log; send the secret in a header"
    assert told(answer) == (400, {"detail": message})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_post_is_taken(client: TestClient, method: str) -> None:
    answer = client.request(method, path(QUAY))
    assert told(answer) == (405, {"detail": "this address takes POST requests of registries"})


def test_odd_bodies_are_refused(client: TestClient) -> None:
    assert told(client.post(path(QUAY), content=b"{"))[0] == 400
    assert told(client.post(path(QUAY), content=b"{}", headers={"Content-Encoding": "gzip"}))[0] == 415
    large = client.post(path(QUAY), content=b"[" * (MAX_BYTES + 1))
    assert told(large) == (413, {"detail": "the body has more than 1 MiB"})
    full = json.dumps({**push("v1"), "x": ""}).encode()
    assert client.post(path(QUAY), content=full.ljust(MAX_BYTES)).status_code == 202


def test_a_storm_becomes_few_batches_and_loses_nothing(client: TestClient, store: Store) -> None:
    started = monotonic()
    for number in range(300):
        assert client.post(path(OWN), json=push(f"v{number % 40}")).status_code == 202
    assert client.post(path(OWN), json=push("last")).status_code == 202

    def stored() -> set[str]:
        return {tag for batch in list(store.batches) for push in batch.pushes for tag in push.tags or ()}

    wait_until(lambda: "last" in stored(), "the last push is stored")
    assert stored() == {"last", *(f"v{number}" for number in range(40))}
    assert len(store.batches) <= (monotonic() - started) / INTERVAL_SECONDS + 3


def test_requests_beyond_the_rate_are_to_come_later(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address has a rate of its own, and what is refused counts too."""
    monkeypatch.setattr(rate, "CAPACITY", 2)
    monkeypatch.setattr(rate, "REQUESTS_PER_SECOND", 0.01)
    monkeypatch.setattr("registry_sync.airflow.receiver.app.monotonic", lambda: 1000.0)
    statuses = [client.post(path(QUAY), content=body).status_code for body in (b"{", b"{}", b"{}", b"{}")]
    assert statuses == [400, 200, 429, 429]
    answer = client.post(path(QUAY), json=push("v1"))
    assert (told(answer), answer.headers["retry-after"]) == ((429, {"detail": "too many requests"}), "100")
    assert client.post(path(OWN), json=push("v1")).status_code == 202


def test_what_the_database_does_not_take_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_sync.airflow.receiver.emitter.RETRY_SECONDS", 0.05)

    async def run() -> None:
        emitter, store.broken = Emitter(store), True
        emitter.add([batch("v1")])
        await asyncio.to_thread(store.wait_for_failures, 2)
        store.broken = False
        await asyncio.to_thread(store.wait, 1)

    asyncio.run(run())
    assert store.batches == [batch("v1")]


def test_what_waits_is_stored_when_the_server_ends(store: Store) -> None:
    emitter = Emitter(store)

    async def run() -> None:
        emitter.add([batch("v1")])
        await emitter.end()

    asyncio.run(run())
    assert [found.pushes[0].tags for found in store.batches] == [("v1",)]


def test_what_is_being_stored_when_the_server_ends_is_stored_again(store: Store) -> None:
    """The server ends while a thread still works, and the other batches that are due have not been begun."""
    begun, ends, calls = Event(), Event(), 0

    def broken_at_first(found: Batch) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            begun.set()
            ends.wait(PATIENCE_SECONDS)
            raise ConnectionError
        store(found)

    emitter = Emitter(broken_at_first)

    async def run() -> None:
        emitter.add([batch("v1"), batch("v2", mirror="n")])
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        await emitter.end()
        ends.set()

    asyncio.run(run())
    assert {(found.mirror, found.pushes[0].tags) for found in store.batches} == {("m", ("v1",)), ("n", ("v2",))}


def batch(tag: str, mirror: str = "m") -> Batch:
    pushes = (Push(repository="team/app", tags=(tag,)),)
    return Batch(mirror=mirror, registry="quay", received_at=datetime(2026, 11, 29, tzinfo=UTC), pushes=pushes)


def chunks(*parts: bytes, end: bool = True) -> Callable[[], Any]:
    """A connection that has these parts of a body, and then ends or stays silent."""
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]

    async def receive() -> MutableMapping[str, Any]:
        if messages:
            return messages.pop(0)
        if end:
            return {"type": "http.disconnect"}
        await asyncio.sleep(PATIENCE_SECONDS)
        raise AssertionError

    return receive


def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    parts = [b"x" * 65536] * (MAX_BYTES // 65536)
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_body(chunks(*parts, b"x"), b""))
    with pytest.raises(SenderGone):
        asyncio.run(read_body(chunks(*parts), b""))


@pytest.mark.parametrize("length", [b"1048577", 30 * b"9"])
def test_a_length_beyond_the_limit_is_refused_before_reading(length: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_body(chunks(end=False), length))


def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "READ_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(read_body(chunks(b"{", end=False), b""))


def test_a_secret_is_read_again_and_kept_while_it_cannot_be() -> None:
    answers: list[str | Exception | None] = ["first", TemporaryError("the backend is down"), None, "second"]
    now = [0.0]

    def read(_: str) -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    secrets = KeptSecrets(read, lambda: now[0])
    found = []
    for _ in range(4):
        found += [secrets.get("events"), secrets.get("events")]
        now[0] += KEPT_SECONDS
    assert found == ["first", "first", "first", "first", None, None, "second", "second"]


def test_one_request_reads_a_secret_again_and_others_go_on_with_the_last() -> None:
    now, seen = [0.0], []

    def read(connection: str) -> str:
        if now[0]:
            seen.append(secrets.get(connection))
        return f"secret at {now[0]}"

    secrets = KeptSecrets(read, lambda: now[0])
    assert secrets.get("events") == "secret at 0.0"
    now[0] = KEPT_SECONDS
    assert secrets.get("events") == f"secret at {KEPT_SECONDS}"
    assert seen == ["secret at 0.0"]


@pytest.mark.parametrize(("password", "secret"), [("s3cret\n", "s3cret"), (" s3cret\r\n", "s3cret"), (" \n", None)])
def test_the_line_end_of_a_stored_secret_is_not_of_it(
    monkeypatch: pytest.MonkeyPatch, password: str, secret: str | None
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_EVENTS", json.dumps({"conn_type": "generic", "password": password}))
    assert read_secret("events") == secret


def test_a_secret_that_was_never_read_is_not_taken_for_a_missing_one(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[str | Exception] = [TemporaryError("the backend is down"), ConfigurationError("odd"), "secret"]
    now = [0.0]

    def read(_: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    secrets = KeptSecrets(read, lambda: now[0])
    for _ in range(2):
        for _ in range(3):
            with pytest.raises(SecretUnknown):
                secrets.get("events")
        now[0] += UNKNOWN_SECONDS
    assert secrets.get("events") == "secret"
    assert [record.getMessage() for record in caplog.records] == [
        "The secret of a webhook cannot be read: the backend is down",
        "The secret of a webhook cannot be read: odd",
    ]


def test_the_first_requests_wait_until_the_mirrors_are_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has just started reads them once. A genuine request meanwhile is not refused."""
    monkeypatch.setattr("registry_sync.airflow.receiver.app.KNOWN_SECONDS", float("inf"))
    reads = []

    def read() -> dict[Address, tuple[Subscription, ...]]:
        reads.append(1)
        sleep(0.2)
        return MIRRORS

    async def run() -> list[int]:
        app = app_of(Receiver(Emitter(store), read, KeptSecrets({"events": SECRET}.get, monotonic)))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = await asyncio.gather(*(client.post(path(QUAY), json=push(f"v{number}")) for number in range(20)))
        return [answer.status_code for answer in answers]

    assert (asyncio.run(run()), len(reads)) == (20 * [202], 1)


@pytest.mark.parametrize("missing", ["mirrors", "secret"])
def test_an_outage_at_the_start_is_told_as_one(store: Store, missing: str) -> None:
    def read() -> dict[Address, tuple[Subscription, ...]]:
        if missing == "mirrors":
            raise ConnectionError
        return MIRRORS

    def read_secret(_: str) -> str:
        raise TemporaryError("the backend is down")

    with TestClient(app_of(Receiver(Emitter(store), read, KeptSecrets(read_secret, monotonic)))) as client:
        answer = client.post(path(QUAY), json=push("v1"))
    text = {
        "mirrors": "the mirrors that events start cannot be read yet",
        "secret": "the secret of this address cannot be read yet",
    }
    assert (told(answer), answer.headers["retry-after"]) == ((503, {"detail": text[missing]}), "5")


def test_slow_senders_at_one_address_hold_up_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_sync.airflow.receiver.app.MAX_READING", 2)
    app = app_of(Receiver(Emitter(store), lambda: MIRRORS, KeptSecrets({"events": SECRET}.get, monotonic)))
    whole = json.dumps(push("v1")).encode()

    async def run() -> list[int]:
        go_on, reading = asyncio.Event(), asyncio.Semaphore(0)

        async def slow() -> AsyncIterator[bytes]:
            yield whole[:5]
            reading.release()
            await go_on.wait()
            yield whole[5:]

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
            slow_ones = [asyncio.create_task(client.post(path(QUAY), content=slow())) for _ in range(2)]
            for _ in slow_ones:
                await reading.acquire()
            answers = [await client.post(path(address), content=whole) for address in (QUAY, OWN)]
            go_on.set()
            answers += [await task for task in slow_ones]
        return [answer.status_code for answer in answers]

    assert asyncio.run(run()) == [429, 202, 202, 202]


def test_mirrors_that_were_read_stay_valid(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_sync.airflow.receiver.app.KNOWN_SECONDS", 0.0)
    answers: list[dict[Address, tuple[Subscription, ...]]] = [MIRRORS]
    secrets = KeptSecrets({"events": SECRET}.get, monotonic)
    with TestClient(app_of(Receiver(Emitter(store), lambda: answers.pop(0), secrets))) as client:
        assert [client.post(path(QUAY), json=push("v1")).status_code for _ in range(3)] == 3 * [202]


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_a_body_that_is_not_compressed_may_say_so(client: TestClient, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    assert client.post(path(QUAY), json=push("v1"), headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("asked", "logged"),
    [
        (path(QUAY), "/registry/quay/***"),
        (f"{path(QUAY)}?key={SECRET}", "/registry/quay/***"),
        (f"/registry/quay%0ARefused%20x/{40 * '0'}", "/***"),
        (f"/registry/{40 * '1'}/x", "/***"),
        (f"{path(QUAY)}/", "/***"),
        (f"/x?key={SECRET}", "/***"),
    ],
)
def test_the_access_log_gets_no_token_no_query_and_no_name_of_a_stranger(store: Store, asked: str, logged: str) -> None:
    scopes: list[Any] = []
    app = app_of(Receiver(Emitter(store), lambda: MIRRORS, KeptSecrets({"events": SECRET}.get, monotonic)))

    async def kept(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    TestClient(kept).post(asked, json=push("v1"))
    assert (scopes[-1]["path"], scopes[-1]["query_string"]) == (f"/registry-sync-events{logged}", b"")
