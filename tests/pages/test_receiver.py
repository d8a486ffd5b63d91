"""Webhooks at a real API server: genuine, forged, repeated, oversized and storming requests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import get_args
from urllib.parse import urlsplit

import pytest
import requests
from airflow.models.asset import AssetDagRunQueue, AssetEvent, AssetModel
from sqlalchemy import delete, select

from registry_sync.airflow.ids import pushes_dag_id
from registry_sync.events.addresses import Address
from registry_sync.events.event_extra import PushEvent, parse_extra
from registry_sync.events.reception import not_genuine
from registry_sync.events.senders.table import SENDERS
from registry_sync.registry.kinds import Kind
from registry_sync.state.names import pushes_asset_name
from testkit.airflow import LocalAirflow
from testkit.pages import database_session
from testkit.waiting import PATIENCE_SECONDS
from testkit.webhooks import SECRET, Sent, load_requests

REQUESTS = load_requests()
KINDS = [kind for kind in SENDERS if kind in get_args(Kind)]
OTHER_HOST = {
    "aliyun": "example-registry.cn-shanghai.cr.aliyuncs.com",
    "ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
}
NAMES = "[team/app, library/app, team/base, docker-local/team/app, docker-hosted/team/app, hooked/demo/app]"


def mirrors_file() -> str:
    """A registry and a mirror of each kind, one mirror with an address of its own, and one without a secret."""
    lines = ["registries:", "  goal: {host: goal.example}"]
    for kind in KINDS:
        host = OTHER_HOST.get(kind, f"{kind.replace('_', '-')}.example")
        lines.append(f"  {kind}: {{host: {host}, kind: {kind}, events: {{webhook: {{secret: events}}}}}}")
    lines += ["  silent: {host: silent.example, events: {webhook: {secret: missing}}}", "mirrors:"]
    for kind in (*KINDS, "silent"):
        lines.append(f"  of_{kind}: {{source: {kind}, destinations: [goal], prefix: {kind}/, repositories: {NAMES}}}")
    own = "prefix: own/, events: {webhook: {secret: events}, settle: 0s}"
    lines.append(f"  own: {{source: quay, destinations: [goal], repositories: [{{namespace: team}}], {own}}}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("receiver")
    (home / "mirrors.yaml").write_text(mirrors_file())
    connections = {"events": {"conn_type": "generic", "password": SECRET}}
    local = LocalAirflow(
        home / "airflow", mirrors_file=home / "mirrors.yaml", connections=connections, base_path="/airflow"
    )
    local.migrate()
    with ThreadPoolExecutor(1) as thread:
        started = thread.submit(local.start, ["api-server"])
        done = local.run("dags", "reserialize")
        started.result()
    assert "Error loading" not in done.stdout, done.stdout
    yield local
    local.stop()


@pytest.fixture
def sender() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def url(airflow: LocalAirflow, name: str, scope: str = "registry") -> str:
    address = Address(scope="mirror" if scope == "mirror" else "registry", name=name)
    return f"{airflow.url}{address.path(SECRET)}"


def send(session: requests.Session, address: str, sent: Sent) -> requests.Response:
    return session.post(address, data=sent.body, headers=dict(sent.headers), timeout=PATIENCE_SECONDS)


def events(airflow: LocalAirflow, mirror: str) -> list[PushEvent]:
    """The asset events of a mirror, oldest first."""
    query = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id).order_by(AssetEvent.id)
    with database_session(airflow) as session:
        extras = session.scalars(query.where(AssetModel.name == pushes_asset_name(mirror))).all()
    found = [parse_extra(extra) for extra in extras]
    assert None not in found
    return [event for event in found if event]


def wait_for(airflow: LocalAirflow, mirror: str, tag: str, repository: str = "team/app") -> list[PushEvent]:
    """Wait until an event of a mirror names a tag, or its whole repository, as those that are gathered with it may."""
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        found = events(airflow, mirror)
        pushes = [push for event in found for push in event.pushes if push.repository == repository]
        if any(push.tags is None or tag in push.tags for push in pushes):
            return found
        sleep(0.1)
    raise AssertionError(f"no event of {mirror} names {repository}:{tag}: {events(airflow, mirror)}")


def runs_to_come(airflow: LocalAirflow, mirror: str) -> int:
    """The number of runs that the events of a mirror start."""
    query = select(AssetDagRunQueue).where(AssetDagRunQueue.target_dag_id == pushes_dag_id(mirror))
    with database_session(airflow) as session:
        return len(session.scalars(query).all())


def forget_events(airflow: LocalAirflow) -> None:
    with database_session(airflow) as session:
        session.execute(delete(AssetDagRunQueue))
        session.execute(delete(AssetEvent))


def test_each_registry_is_heard(airflow: LocalAirflow, sender: requests.Session) -> None:
    """All send at once, and then the events of each are looked at: a mirror has a batch every two seconds."""
    of_kinds = [sent for sent in REQUESTS if sent.kind in KINDS]
    for sent in of_kinds:
        answer = send(sender, url(airflow, sent.kind), sent)
        accepted = (202, {"detail": "accepted", "mirrors": [f"of_{sent.kind}"]})
        ignored = (200, {"detail": f"ignored: {sent.ignored}"})
        assert (answer.status_code, answer.json()) == (ignored if sent.pushes is None else accepted), sent
    for sent in of_kinds:
        if sent.pushes is not None:
            repository, tags = sent.pushes[0]
            wait_for(airflow, f"of_{sent.kind}", (tags or ("v1.2.3",))[0], repository)
    registries = {kind: {event.registry for event in events(airflow, f"of_{kind}")} for kind in KINDS}
    assert registries == {kind: {kind} for kind in KINDS}


def test_what_is_forged_starts_nothing(airflow: LocalAirflow, sender: requests.Session) -> None:
    forget_events(airflow)
    for sent in load_requests("another secret"):
        if sent.kind in KINDS and SENDERS[sent.kind].proves:
            assert send(sender, url(airflow, sent.kind), sent).status_code == 401
            unsigned = sender.post(url(airflow, sent.kind), data=sent.body, timeout=PATIENCE_SECONDS)
            assert (unsigned.status_code, unsigned.json()) == (401, {"detail": not_genuine(sent.kind).message})
    assert [events(airflow, f"of_{kind}") for kind in KINDS] == len(KINDS) * [[]]


def test_a_wrong_address_says_nothing(airflow: LocalAirflow, sender: requests.Session) -> None:
    sent = next(sent for sent in REQUESTS if sent.kind == "quay")
    base = f"{airflow.url}/registry-sync-events"
    wrong = [
        base,
        f"{base}/",
        f"{base}/registry/quay/{40 * '0'}",
        f"{base}/registry/unknown/{40 * '0'}",
        url(airflow, "silent"),
        url(airflow, "quay") + "/",
        url(airflow, "quay", "mirror"),
        f"{base}/registry-sync/",
        f"{base}/api/v2/dags",
    ]
    answers = [send(sender, address, sent) for address in wrong]
    assert [(answer.status_code, answer.json()) for answer in answers[1:]] == 8 * [(404, {"detail": "not found"})]
    assert answers[0].status_code in (404, 405)


@pytest.mark.parametrize("path", ["registry-sync-events/../registry-sync/", "registry-sync-events/%2e%2e/api/v2/dags"])
def test_the_prefix_opens_nothing_else(airflow: LocalAirflow, path: str) -> None:
    """A proxy that passes on a path as it came exposes no page of the plugin, and nothing of Airflow's API."""
    head = f"GET /airflow/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, answer = exchange(airflow, head.encode())
    assert (status, b"not found" in answer.lower()) == (404, True)


def exchange(airflow: LocalAirflow, *parts: bytes) -> tuple[int, bytes]:
    """Status and whole text of the answer to bytes that are sent as they are."""
    parsed = urlsplit(airflow.url)
    assert parsed.hostname is not None
    with socket.create_connection((parsed.hostname, parsed.port or 80), timeout=PATIENCE_SECONDS) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:  # the server has answered, and closed the connection
            pass
        answer = b""
        try:
            while read := connection.recv(65536):
                answer += read
        except ConnectionResetError:
            pass
    return int(answer.split(b" ", 2)[1]), answer


def test_a_body_of_five_megabytes_is_not_read(airflow: LocalAirflow) -> None:
    path = urlsplit(url(airflow, "quay")).path
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    announced = f"{head}Content-Length: 5000000\r\n\r\n".encode()
    assert exchange(airflow, announced)[0] == 413
    chunk = b"10000\r\n" + b"[" * 65536 + b"\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert exchange(airflow, chunked, *(80 * [chunk]), b"0\r\n\r\n")[0] == 413


def test_a_storm_is_a_few_events_and_loses_nothing(airflow: LocalAirflow) -> None:
    """A thousand pushes to forty repositories, by four senders at once."""
    forget_events(airflow)
    bodies = [
        json.dumps({"repository": f"team/app{number % 40}", "updated_tags": [f"v{number}"]}).encode()
        for number in range(1_000)
    ]

    def post(part: list[bytes]) -> list[int]:
        with requests.Session() as session:
            session.trust_env = False
            address = url(airflow, "own", "mirror")
            return [session.post(address, data=body, timeout=PATIENCE_SECONDS).status_code for body in part]

    started = monotonic()
    with ThreadPoolExecutor(4) as threads:
        statuses = [status for part in threads.map(post, [bodies[start::4] for start in range(4)]) for status in part]
    seconds = monotonic() - started
    assert statuses == 1_000 * [202]
    wanted = {(f"team/app{number % 40}", f"v{number}") for number in range(1_000)}
    deadline = monotonic() + PATIENCE_SECONDS
    named: set[tuple[str, str]] = set()
    while named != wanted and monotonic() < deadline:
        sleep(0.2)
        found = events(airflow, "own")
        named = {(push.repository, tag) for event in found for push in event.pushes for tag in push.tags or ()}
    assert named == wanted
    assert len(found) <= seconds / 2 + 3
    assert runs_to_come(airflow, "own") == 1


def test_a_repeated_request_costs_one_more_look(airflow: LocalAirflow, sender: requests.Session) -> None:
    """A replay is as good as a push that nobody told of: the registry is read, and nothing has changed."""
    forget_events(airflow)
    sent, started = next(sent for sent in REQUESTS if sent.kind == "harbor"), monotonic()
    assert [send(sender, url(airflow, "harbor"), sent).status_code for _ in range(50)] == 50 * [202]
    assert sent.pushes is not None
    repository, tags = sent.pushes[0]
    assert tags is not None
    sleep(3)
    found = wait_for(airflow, "of_harbor", tags[0], repository)
    assert len(found) <= (monotonic() - started) / 2 + 2
    assert runs_to_come(airflow, "of_harbor") == 1


def test_the_page_tells_why_events_start_nothing(airflow: LocalAirflow, sender: requests.Session) -> None:
    def page() -> str:
        headers = {"Authorization": f"Bearer {airflow.api.token}"}
        return sender.get(f"{airflow.url}/registry-sync/", headers=headers, timeout=PATIENCE_SECONDS).text

    refused = "Events of registry silent are refused: the Connection missing does not exist, or has no password."
    paused = "mirror_own_pushes is paused, so pushes start nothing."
    assert (page().count('class="note bad"'), refused in page(), paused in page()) == (1, True, False)
    airflow.api.unpause("mirror_own_pushes", paused=True)
    assert (page().count('class="note bad"'), refused in page(), paused in page()) == (2, True, True)
    assert {refused, paused} <= set(notes_of_status(airflow))
    assert refused not in notes_of_status(airflow, "own")
    airflow.api.unpause("mirror_own_pushes")


def notes_of_status(airflow: LocalAirflow, *mirrors: str) -> list[str]:
    chosen = [word for mirror in mirrors for word in ("--mirror", mirror)]
    command = [sys.executable, "-m", "registry_sync", "status", "--json", *chosen]
    environment = {**airflow.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.stdout, done.stderr
    notes: list[str] = json.loads(done.stdout)["notes"]
    return notes


def test_secrets_and_tokens_are_not_logged(airflow: LocalAirflow, sender: requests.Session) -> None:
    for sent in [*REQUESTS, *load_requests("another secret")]:
        if sent.kind in KINDS:
            send(sender, url(airflow, sent.kind), sent)
    output = airflow.output("api-server")
    assert "/registry-sync-events/registry/quay/***" in output
    tokens = {Address(scope="registry", name=kind).token(SECRET) for kind in (*KINDS, "silent")}
    assert [secret for secret in (*tokens, SECRET, "hooked/demo/app") if secret in output] == []
    warnings = {line for line in output.splitlines() if "A request for events of registry" in line}
    assert warnings


def test_what_waits_is_stored_when_the_server_ends(airflow: LocalAirflow, sender: requests.Session) -> None:
    """The last test of this file: the server ends. Each of its processes is told, as is that of the unit tests."""
    tags = [f"end{number}" for number in range(10)]
    bodies = [json.dumps({"repository": "team/app", "updated_tags": [tag]}) for tag in tags]
    address = url(airflow, "own", "mirror")
    assert [sender.post(address, data=body, timeout=PATIENCE_SECONDS).status_code for body in bodies] == 10 * [202]
    airflow.terminate("api-server")
    named = {tag for event in events(airflow, "own") for push in event.pushes for tag in push.tags or ()}
    assert set(tags) <= named
