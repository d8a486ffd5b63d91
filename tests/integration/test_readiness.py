"""Readiness against real registries: each fault at the wire, the command, and the tasks of the DAG."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.airflow.dags.readiness import build_readiness_dag
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.registry import Registry
from registry_sync.nodes.readiness import check as readiness
from registry_sync.nodes.readiness.check import Limits, check_endpoint
from registry_sync.nodes.readiness.model import EndpointCheck, Expected, Fault, ImageReadiness
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry import client as registry_client
from registry_sync.routes.load import load_mirrors
from registry_sync.state.document import read_document
from registry_sync.state.names import READINESS_ASSET, READINESS_KEY
from registry_sync.state.readiness import ReadinessState
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.verification.damaged_images import DamagedImage
from registry_sync.tags.overwrite_policy import parse_policies
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.loopback import Blackhole
from testkit.notifiers import KeepingNotifier
from testkit.registry import Htpasswd, RegistryProcess
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.task_runner import FakeApi, run
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenServer

NAME = "team/pause"
IMAGE = images.multi_arch("pause", attestations=True)
OTHER = images.multi_arch("another")
AMD, ARM = IMAGE.children[:2]
LAYER = AMD.blobs[-1]
TODAY = datetime.now(UTC).date()
PATIENT = Limits(request_seconds=30.0, read_bytes=1_000_000)
HTML = b"<!DOCTYPE html><title>Sign in to this network</title>"

Server = RegistryProcess | Interceptor
Check = Callable[..., ImageReadiness]


@pytest.fixture(scope="module")
def shared() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def own() -> Iterator[RegistryProcess]:
    """A registry of the test's own, to be damaged."""
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def wire(shared: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(shared.url) as interceptor:
        yield interceptor


def check_at(host: str, expected: Digest | None = IMAGE.digest, **fields: Any) -> EndpointCheck:
    registry = Registry(name="acr", host=host, **{"tls": False, **fields.pop("registry", {})})
    not_compared = "" if expected else "quay.io does not answer"
    tags = (Expected(tag="v1", digest=expected, said_by="quay.io", not_compared=not_compared),)
    return EndpointCheck(
        pool="outside",
        registry=registry,
        repository=Repository(host, NAME),
        tags=tags,
        copied_by=fields.pop("copied_by", "quay_to_acr"),
        **fields,
    )


def look(check: EndpointCheck, limits: Limits = PATIENT) -> ImageReadiness:
    with closing(RegistryHook(check.registry).get_node_conn(limits.request_seconds)) as client:
        (found,) = check_endpoint(check, client, limits, TODAY)
        return found


def test_a_whole_image_is_ready(shared: RegistryProcess) -> None:
    """The check reads every platform and blob. Attestations are excluded: nodes do not pull them."""
    shared.clear_requests()
    found = look(check_at(shared.host))
    blobs = {blob for child in (AMD, ARM) for blob in child.blobs}
    size_bytes = sum(len(blob.content) for blob in blobs)
    assert found == ImageReadiness(
        pool="outside",
        image="team/pause:v1",
        registry="acr",
        digest=IMAGE.digest,
        platforms=("linux/amd64", "linux/arm64"),
        blobs=5,
        size_bytes=size_bytes,
        read_bytes=size_bytes,
        slowest_seconds=found.slowest_seconds,
    )
    assert found.slowest_seconds > 0
    asked = [(request.method, request.path.removeprefix(f"/v2/{NAME}/")) for request in shared.requests()]
    manifests = [("GET", f"manifests/{each.digest}") for each in (IMAGE, AMD, ARM)]
    assert asked[:4] == [("HEAD", "manifests/v1"), *manifests]
    assert {path for method, path in asked[4:9] if method == "HEAD"} == {f"blobs/{blob.digest}" for blob in blobs}
    assert {path for method, path in asked[9:] if method == "GET"} == {f"blobs/{blob.digest}" for blob in blobs}


def test_downloads_stay_within_the_budget(shared: RegistryProcess) -> None:
    largest = max(len(blob.content) for blob in IMAGE.children[0].blobs)
    found = look(check_at(shared.host), Limits(read_bytes=largest))
    assert 0 < found.read_bytes <= largest
    assert look(check_at(shared.host), Limits(read_bytes=0)).read_bytes == 0


def test_a_mirror_for_bytes_only_is_checked_by_digest(shared: RegistryProcess) -> None:
    shared.clear_requests()
    assert look(check_at(shared.host, resolves=False)).is_ready
    assert f"/v2/{NAME}/manifests/v1" not in {request.path for request in shared.requests()}
    found = look(check_at(shared.host, OTHER.digest, resolves=False))
    assert (found.fault, found.problem) == (
        "absent",
        f"{shared.host}/{NAME}@{OTHER.digest} not found; run the mirror 'quay_to_acr'",
    )


def test_a_pinned_image_is_checked_by_its_digest(own: RegistryProcess) -> None:
    """Nodes pull it by its digest, also at a mirror that they trust with tags."""
    pinned = Expected(tag="v1", digest=IMAGE.digest, said_by="its pin", is_pinned=True)
    check = replace(check_at(own.host), tags=(pinned, replace(pinned, digest=OTHER.digest)))
    images.push(own.url, NAME, "v1", images.multi_arch("moved on"))
    with closing(RegistryHook(check.registry).get_node_conn(30.0)) as client:
        there, gone = check_endpoint(check, client, PATIENT, TODAY)
    assert (there.fault, there.image) == (None, f"team/pause:v1@{str(IMAGE.digest)[:19]}")
    assert (gone.fault, gone.image) == ("absent", f"team/pause:v1@{str(OTHER.digest)[:19]}")
    assert gone.problem.startswith(f"{own.host}/{NAME}@{OTHER.digest} not found; ")


def test_an_unknown_digest_is_not_compared(shared: RegistryProcess) -> None:
    found = look(check_at(shared.host, None, resolves=False))
    assert (found.fault, found.digest) == (None, IMAGE.digest)
    assert found.note == "digest not compared: quay.io does not answer"


def test_the_check_uses_the_token_flow_of_a_node() -> None:
    rules = {NAME: ("pull",)}
    with TokenServer({}, anonymous=rules) as tokens, RegistryProcess(auth=tokens.token_auth) as registry:
        images.push(registry.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        assert look(check_at(registry.host, registry={"connection": "not_for_nodes"})).is_ready
        assert {(request.user, request.status) for request in tokens.requests()} == {(None, 200)}


def test_redirected_blobs_are_read(shared: RegistryProcess, wire: Interceptor) -> None:
    """Cloud registries redirect requests for blobs to their storage."""
    there = f"{shared.url}/v2/{NAME}/blobs/{LAYER.digest}"
    wire.answer("*", f"/blobs/{LAYER.digest}", 307, b"<a href=...>", {"Location": there})
    found = look(check_at(wire.host))
    assert (found.fault, found.read_bytes) == (None, found.size_bytes)


def test_an_untrusted_certificate_is_absent(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with RegistryProcess(tls=authority.issue()) as registry:
        images.push(registry.url, NAME, "v1", IMAGE, ca_file=authority.ca_file)
        assert look(check_at(registry.host, registry={"tls": True, "ca_file": authority.ca_file})).is_ready
        found = look(check_at(registry.host, registry={"tls": True}))
        assert found.fault == "absent"
        assert found.problem.startswith(f"{registry.url} shows a certificate that is not accepted (")


def test_a_mirror_that_takes_connections_without_a_tls_handshake_is_told_from_one_that_hangs(
    own: RegistryProcess,
) -> None:
    """Runtimes go on after the former, a load balancer without living servers, and wait for the latter for ever."""
    patience = replace(PATIENT, request_seconds=0.5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        found = look(check_at(host, registry={"tls": True}), patience)
        assert found.fault == "handshake"
        start = f"https://{host} accepted the connection, and did not answer the TLS handshake: "
        assert found.problem.startswith(start)  # then Python's text
        assert found.problem.endswith(
            "; each pull waits before it falls back (dockerd 10 s, containerd 50 s): is there a living server behind "
            "its load balancer? else remove acr from the pool's mirrors until it answers again"
        )
        found = look(check_at(host, registry={"tls": False}), patience)
        assert found.fault == "slow"
    with Interceptor(own.url) as wire:
        wire.hang("HEAD", "/manifests/")
        assert look(check_at(wire.host), patience).fault == "slow"


def faulty(found: ImageReadiness) -> tuple[Fault | None, str]:
    return found.fault, found.problem


WHO_ANSWERS = "find out what answers instead of the registry, for example the log-in page of a proxy"
AGAIN = "trigger the mirror 'quay_to_acr' with 'Deep check', which sends again what is missing or damaged"
IF_SO = f"check again; if it stays damaged, {AGAIN}"
UNTIL = "until acr serves it again, nodes can use only the other registries of their pool"


class TestFaults:
    def test_a_missing_tag_is_absent(self, own: RegistryProcess) -> None:
        own.forget_tag(NAME, "v1")
        problem = f"{own.host}/{NAME}:v1 not found; run the mirror 'quay_to_acr'"
        assert faulty(look(check_at(own.host))) == ("absent", problem)
        problem = f"{own.host}/{NAME}:v1 not found; push it again"
        assert faulty(look(check_at(own.host, copied_by=None))) == ("absent", problem)

    def test_a_registry_that_is_down_is_absent(self, own: RegistryProcess) -> None:
        own.stop()
        assert faulty(look(check_at(own.host))) == (
            "absent",
            (
                f"{own.url} cannot be reached: [Errno 111] Connection refused; "
                "until acr is up again, nodes can use only the other registries of their pool"
            ),
        )

    def test_a_registry_with_errors_is_absent(self, wire: Interceptor) -> None:
        """The request is not retried, because nodes do not retry it."""
        wire.answer("HEAD", "/manifests/", 503)
        found = look(check_at(wire.host))
        assert faulty(found) == (
            "absent",
            (
                f"HEAD {wire.url}/v2/{NAME}/manifests/v1 answered 503; "
                "until acr is up again, nodes can use only the other registries of their pool"
            ),
        )
        assert len(wire.requests()) == 1

    def test_a_registry_that_requires_a_password_is_absent(self) -> None:
        with RegistryProcess(auth=Htpasswd(users={"robot": "password"})) as locked:
            assert faulty(look(check_at(locked.host))) == (
                "absent",
                (
                    f"{locked.host} requires a user name and password; nodes pull anonymously: "
                    "allow anonymous pulls at acr; if the image is missing there, run the mirror 'quay_to_acr'"
                ),
            )

    def test_a_token_without_rights_is_absent(self) -> None:
        with TokenServer({}) as tokens, RegistryProcess(auth=tokens.token_auth) as registry:
            images.push(registry.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
            assert faulty(look(check_at(registry.host))) == (
                "absent",
                (
                    f"GET {registry.url}/v2/{NAME}/manifests/v1 answered 401 UNAUTHORIZED: authentication required: "
                    f'[{{"Type": "repository", "Class": "", "Name": "{NAME}", "Action": "pull"}}] '
                    "(not permitted with these credentials, or it does not exist); "
                    "nodes pull anonymously: allow anonymous pulls at acr; "
                    "if the image is missing there, run the mirror 'quay_to_acr'"
                ),
            )

    def test_a_missing_platform_is_incomplete(self, own: RegistryProcess) -> None:
        own.forget_blob(ARM.digest)
        found = look(check_at(own.host))
        assert found.fault == "incomplete"
        start = f"GET {own.url}/v2/{NAME}/manifests/{ARM.digest} answered 404 MANIFEST_UNKNOWN: "
        assert found.problem.startswith(start)
        assert found.problem.endswith(f"; {AGAIN}")

    def test_a_page_in_place_of_a_platform_is_unreadable(self, wire: Interceptor) -> None:
        """The runtime accepts the page as a response, and does not fall back."""
        wire.answer("GET", f"/manifests/{ARM.digest}", 200, HTML, {"Content-Type": "text/html"})
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            (
                f"{wire.host}/{NAME}@{ARM.digest} arrived damaged: its content has another digest, and is of type "
                f"'text/html'; {WHO_ANSWERS}"
            ),
        )

    def test_a_refused_platform_is_unreadable(self, wire: Interceptor) -> None:
        wire.answer("GET", f"/manifests/{ARM.digest}", 405, b"not that way")
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            (
                f"reading {wire.host}/{NAME}@{ARM.digest}: GET {wire.url}/v2/{NAME}/manifests/{ARM.digest} "
                f"answered 405 not that way; {WHO_ANSWERS}"
            ),
        )

    def test_a_missing_blob_is_incomplete(self, own: RegistryProcess) -> None:
        own.forget_blob(LAYER.digest)
        problem = f"HEAD {own.url}/v2/{NAME}/blobs/{LAYER.digest} answered 404; {AGAIN}"
        assert faulty(look(check_at(own.host))) == ("incomplete", problem)

    @pytest.mark.parametrize("path", [f"/manifests/{ARM.digest}", f"/blobs/{LAYER.digest}"])
    def test_an_outage_is_incomplete_without_advice_to_delete(self, wire: Interceptor, path: str) -> None:
        """The image may be whole."""
        wire.answer("*", path, 503)
        found = look(check_at(wire.host))
        assert found.fault == "incomplete"
        assert found.problem.endswith(f" {wire.url}/v2/{NAME}{path} answered 503; {UNTIL}")

    def test_a_denied_blob_is_incomplete(self, wire: Interceptor) -> None:
        wire.answer("*", f"/blobs/{LAYER.digest}", 403)
        assert faulty(look(check_at(wire.host))) == (
            "incomplete",
            (
                f"HEAD {wire.url}/v2/{NAME}/blobs/{LAYER.digest} answered 403 "
                "(not permitted with these credentials, or it does not exist); nodes pull anonymously: "
                f"allow anonymous pulls at acr; if the image is missing there, {AGAIN}"
            ),
        )

    def test_a_blob_store_that_is_down_is_incomplete(self, wire: Interceptor) -> None:
        wire.answer("GET", "/blobs/", 307, b"", {"Location": "http://127.0.0.1:1/blob"})
        assert faulty(look(check_at(wire.host))) == (
            "incomplete",
            f"http://127.0.0.1:1 cannot be reached: [Errno 111] Connection refused; {UNTIL}",
        )

    def test_a_blob_of_another_size_is_damaged(self, wire: Interceptor) -> None:
        wire.answer("HEAD", f"/blobs/{LAYER.digest}", 200, b"7 bytes")
        size_bytes = len(LAYER.content)
        assert faulty(look(check_at(wire.host))) == (
            "damaged",
            f"blob {LAYER.digest} of {wire.host}/{NAME} has 7 bytes, and {size_bytes} by its manifest; {AGAIN}",
        )

    def test_a_blob_with_other_bytes_is_damaged_when_it_is_read(self, own: RegistryProcess) -> None:
        own.damage_blob(LAYER.digest)
        assert look(check_at(own.host), replace(PATIENT, read_bytes=0)).is_ready
        assert faulty(look(check_at(own.host))) == (
            "damaged",
            f"blob {LAYER.digest} of {own.host}/{NAME} arrived damaged: its content has another digest; {IF_SO}",
        )

    def test_a_truncated_blob_is_faulty(self, wire: Interceptor) -> None:
        wire.truncate("GET", f"/blobs/{LAYER.digest}", 10)
        found = look(check_at(wire.host))
        assert found.fault in ("damaged", "incomplete")  # by whether the reset or the end is seen first
        assert found.problem.startswith(f"{wire.url} ")

    def test_a_manifest_with_other_bytes_is_not_ready(self, own: RegistryProcess) -> None:
        """The damage itself is not visible: docker-registry responds to the GET with an error."""
        own.damage_blob(IMAGE.digest)
        assert not look(check_at(own.host)).is_ready

    def test_a_manifest_with_the_bytes_of_another_is_damaged(self, wire: Interceptor) -> None:
        wire.answer("GET", "/manifests/sha256:", 200, OTHER.content, {"Content-Type": OTHER.media_type})
        assert faulty(look(check_at(wire.host))) == (
            "damaged",
            f"{wire.host}/{NAME}@{IMAGE.digest} arrived damaged: its content has another digest; {IF_SO}",
        )

    def test_the_image_of_a_stranger_is_wrong(self, own: RegistryProcess) -> None:
        images.push(own.url, NAME, "v1", OTHER)
        assert faulty(look(check_at(own.host))) == (
            "wrong",
            (
                f"{own.host}/{NAME}:v1 is {OTHER.digest}, expected {IMAGE.digest} (from quay.io); "
                "run the mirror 'quay_to_acr', and find out who else can push to acr"
            ),
        )

    @pytest.mark.parametrize("policy", ["keep", "fail"])
    def test_a_tag_that_its_mirror_does_not_overwrite_is_wrong(self, own: RegistryProcess, policy: str) -> None:
        """Another run of the mirror does not help, and a stranger is not the likely cause."""
        images.push(own.url, NAME, "v1", OTHER)
        found = look(check_at(own.host, on_moved_tag=parse_policies({"latest": "follow", "v*": policy})))
        assert faulty(found) == (
            "wrong",
            (
                f"{own.host}/{NAME}:v1 is {OTHER.digest}, expected {IMAGE.digest} (from quay.io); "
                f"the mirror 'quay_to_acr' does not overwrite it (on_moved_tag is {policy} for 'v*'): "
                "find out which digest is right"
            ),
        )

    @pytest.mark.parametrize(
        ("role", "down", "slow"),
        [
            (
                "fallback",
                "until acr is up again, nodes can use only the other registries of their pool",
                "until acr is fast again, nodes cannot pull images that the mirrors before it lack",
            ),
            (
                "sole",
                "until acr is up again, nodes cannot pull tags",
                "until acr is fast again, nodes cannot pull tags",
            ),
        ],
    )
    def test_advice_does_not_remove_the_registry_of_the_pool(
        self, own: RegistryProcess, role: str, down: str, slow: str
    ) -> None:
        with Interceptor(own.url) as wire:
            wire.hang("HEAD", "/manifests/")
            found = look(check_at(wire.host, role=role), replace(PATIENT, request_seconds=0.5))
        assert (found.fault, found.problem.partition("; ")[2]) == ("slow", slow)
        with Blackhole() as there:
            found = look(check_at(there.host, role=role), replace(PATIENT, request_seconds=0.5))
        assert (found.fault, found.problem.partition("; ")[2]) == ("silent", slow.replace("is fast", "answers"))
        own.stop()
        found = look(check_at(own.host, role=role))
        assert (found.fault, found.problem.partition("; ")[2]) == ("absent", down)

    def test_a_page_in_place_of_the_registry_is_unreadable(self, wire: Interceptor) -> None:
        wire.answer("*", "/", 200, HTML, {"Content-Type": "text/html"})
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            f"{wire.url}/v2/{NAME}/manifests/v1 answered 200 with text/html, not JSON; {WHO_ANSWERS}",
        )

    @pytest.mark.parametrize(
        ("method", "path", "action"),
        [
            ("HEAD", "/manifests/v1", f"resolving HOST/{NAME}:v1"),
            ("GET", f"/manifests/{ARM.digest}", f"reading HOST/{NAME}@{ARM.digest}"),
            ("HEAD", f"/blobs/{LAYER.digest}", f"reading the size of blob {LAYER.digest}"),
        ],
    )
    def test_a_late_response_is_slow(
        self, wire: Interceptor, monkeypatch: pytest.MonkeyPatch, method: str, path: str, action: str
    ) -> None:
        """The patched clock moves only while that request is answered."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        wire.after(method, path, lambda _: clock.__setitem__(0, clock[0] + 30.4), times=1)
        found = look(check_at(wire.host))
        assert found.slowest_seconds == 30.4
        assert faulty(found) == (
            "slow",
            (
                f"{action.replace('HOST', wire.host)} took 30.4 s, more than 30 s; "
                "no runtime falls back from that: remove acr from the pool's mirrors until it is fast again"
            ),
        )

    def test_a_trickling_blob_is_slow(self, wire: Interceptor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each chunk arrives within the socket timeout, and the whole blob is late."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        late = f"/blobs/{LAYER.digest}"
        wire.after("GET", late, lambda _: clock.__setitem__(0, clock[0] + 30.4))
        size_bytes = len(LAYER.content)
        assert faulty(look(check_at(wire.host))) == (
            "slow",
            (
                f"reading the {size_bytes} B of blob {LAYER.digest} took 30.4 s, more than 30.0 s; "
                "no runtime falls back from that: remove acr from the pool's mirrors until it is fast again"
            ),
        )

    def test_a_late_error_is_slow(self, own: RegistryProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        """A node waits for an error as for any response."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        own.forget_blob(LAYER.digest)
        with Interceptor(own.url) as wire:
            late = f"/blobs/{LAYER.digest}"
            wire.after("HEAD", late, lambda _: clock.__setitem__(0, clock[0] + 30.4))
            assert faulty(look(check_at(wire.host))) == (
                "slow",
                (
                    f"reading the size of blob {LAYER.digest} took 30.4 s, more than 30 s, and failed: "
                    f"HEAD {wire.url}/v2/{NAME}{late} answered 404; "
                    "no runtime falls back from that: remove acr from the pool's mirrors until it is fast again"
                ),
            )

    def test_a_registry_that_drops_packets_is_silent(self) -> None:
        """A firewall may do that."""
        with Blackhole() as there:
            found = look(check_at(there.host), replace(PATIENT, request_seconds=0.5))
            assert found.slowest_seconds >= 0.5
            assert faulty(found) == (
                "silent",
                (
                    f"http://{there.host} neither accepted nor refused the connection: timed out; "
                    "each pull waits before it falls back "
                    "(dockerd 15 s, CRI-O 60 s, containerd 150 s, or 10 s from 2.1 on as rendered): "
                    "remove acr from the pool's mirrors until it answers again"
                ),
            )

    def test_a_response_that_never_comes_is_slow(self, wire: Interceptor, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the timeout of its socket. The patched clock does not move, so that responses before it are in time."""
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: 0.0))
        wire.hang("GET", f"/blobs/{LAYER.digest}")
        assert faulty(look(check_at(wire.host), replace(PATIENT, request_seconds=1.0))) == (
            "slow",
            (
                f"{wire.url} accepted the request, but sent no response before the timeout: timed out; no runtime "
                "falls back from that: remove acr from the pool's mirrors until it is fast again"
            ),
        )


class Stack:
    """A source, the registry of two pools, a mirror of it, and the mirrors file."""

    def __init__(self, folder: Path, source: RegistryProcess, hub: RegistryProcess, acr: RegistryProcess) -> None:
        self.source, self.hub, self.acr = source, hub, acr
        self.file = folder / "mirrors.yaml"
        for each in (source, hub, acr):
            images.push(each.url, NAME, "v1", IMAGE)
            images.push(each.url, NAME, "v1-dev", OTHER)
        self.write()

    def write(self, *, tags: Mapping[str, Any] | None = None, notify: Sequence[Mapping[str, Any]] = ()) -> None:
        registries = {
            "quay": {"host": self.source.host, "tls": False},
            "hub": {"host": self.hub.host, "tls": False},
            "acr": {"host": self.acr.host, "tls": False, "private": True},
        }
        mirror = {"source": "quay", "destinations": ["hub", "acr"], "repositories": [{"namespace": "team"}]}
        image = {"repository": NAME, "tags": tags or {"exclude": ["*-dev"]}}
        pool = {"registry": "hub", "runtime": "containerd", "bootstrap_images": [image]}
        nodes = {"outside": {**pool, "mirrors": ["acr"]}, "alone": pool}
        document: dict[str, Any] = {"registries": registries, "mirrors": {"quay_to_world": mirror}, "nodes": nodes}
        document |= {"defaults": {"notify": list(notify)}} if notify else {}
        self.file.write_text(json.dumps(document))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with RegistryProcess() as source, RegistryProcess() as hub, RegistryProcess() as acr:
        yield Stack(tmp_path, source, hub, acr)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Command:
    def check(*arguments: str) -> tuple[int, str, str]:
        code = main(["nodes", "check", "--mirrors-file", str(stack.file), "--seconds", "30", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return check


class TestCommand:
    def test_all_pools_would_start(self, check: Command) -> None:
        code, printed, errors = check()
        assert (code, errors) == (OK, "")
        assert printed.split("\n\n")[0] == (
            "pool     all up  acr down  hub down\n"
            "───────  ──────  ────────  ─────────────────\n"
            "outside  yes     yes       yes\n"
            "alone    yes     not used  no, as configured"
        )
        assert printed.splitlines()[-1] == "nodes of every pool would start, as far as their configuration promises"

    def test_one_pool_is_checked_by_name(self, check: Command) -> None:
        code, printed, _ = check("--pool", "alone", "--json")
        assert (code, {verdict["pool"] for verdict in json.loads(printed)["verdicts"]}) == (OK, {"alone"})

    def test_a_mirror_that_lacks_an_image_fails(self, check: Command, stack: Stack) -> None:
        """Nodes would start now, and would not with the hub down."""
        stack.acr.forget_tag(NAME, "v1")
        code, printed, _ = check()
        assert code == FAILED
        assert "outside  yes     yes       NO: team/pause:v1" in printed
        problem = (
            f"outside: team/pause:v1 from acr: {stack.acr.host}/{NAME}:v1 not found; run the mirror 'quay_to_world'"
        )
        assert problem in printed.splitlines()
        assert printed.splitlines()[-1] == "nodes would not start: outside with hub down"

    def test_a_source_with_more_tags_than_the_limit_is_refused(
        self, check: Command, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The listing stops at the limit, like every other listing."""
        monkeypatch.setattr(registry_client, "MAX_TAGS", 1)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert f"{stack.source.host}/{NAME} lists more than 1 tags, the most that one task reads" in printed

    def test_a_registry_that_is_down_now_fails(self, check: Command, stack: Stack) -> None:
        stack.hub.stop()
        code, printed, _ = check()
        assert code == FAILED
        assert "outside  yes                NO: team/pause:v1  yes" in printed
        assert "alone    NO: team/pause:v1  not used           no, as configured" in printed

    def test_an_earlier_check_replaces_a_source_that_is_down(
        self, check: Command, stack: Stack, tmp_path: Path
    ) -> None:
        """It has the tags and their digests."""
        earlier = tmp_path / "earlier.json"
        earlier.write_text(check("--json")[1])
        stack.source.stop()
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--expect", str(earlier), "--pool", "outside")
        assert code == FAILED
        when = rf"{re.escape(stack.source.host)} at \d{{4}}-\d\d-\d\d \d\d:\d\d UTC, 1 minute ago"
        assert re.search(
            rf"(?m)^outside: team/pause:v1 from acr: {stack.acr.host}/{NAME}:v1 is {OTHER.digest}, "
            rf"expected {IMAGE.digest} \(from {when}\); "
            r"run the mirror 'quay_to_world', and find out who else can push to acr$",
            printed,
        )
        assert re.search(
            rf"(?m)^cannot read digests from {stack.source.host}/{NAME}: {stack.source.url} cannot be reached: "
            rf"\[Errno 111\] Connection refused; compared with {when}$",
            printed,
        )

    def test_copies_are_compared_while_a_source_is_down(self, check: Command, stack: Stack) -> None:
        """Without an earlier check, only tags that the file names are known. Copies that differ are wrong."""
        stack.source.stop()
        code, printed, _ = check()
        assert code == FAILED
        assert printed.split("\n\n")[0].splitlines()[2:] == [
            "outside  ?: team/pause:*  ?: team/pause:*  ?: team/pause:*",
            "alone    ?: team/pause:*  not used         no, as configured",
        ]
        down = f"{stack.source.url} cannot be reached: [Errno 111] Connection refused"
        assert (
            "outside: team/pause:* from acr: its tags are unknown: "
            f"{stack.source.host} does not answer, and there is no earlier check; list the tags by name, "
            "or pass the output of an earlier nodes check --json with --expect"
        ) in printed.splitlines()
        assert f"cannot read digests from {stack.source.host}/{NAME}: {down}" in printed.splitlines()
        stack.write(tags={"include": ["v1"]})
        code, printed, _ = check()
        assert code == OK
        unknown = f"{stack.source.host} does not answer, and there is no earlier check"
        assert f"team/pause:v1 from acr, hub: digest not compared: {unknown}" in printed.splitlines()
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--json")
        assert code == FAILED
        assert {image["fault"] for image in json.loads(printed)["images"] if image["pool"] == "outside"} == {"wrong"}

    def test_copies_of_some_platforms_are_not_compared(self, check: Command, stack: Stack) -> None:
        """Their digests differ from those at the source by design."""
        document = json.loads(stack.file.read_text())
        document["mirrors"]["quay_to_world"]["platforms"] = ["linux/amd64"]
        stack.file.write_text(json.dumps(document))
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--pool", "alone")
        assert (code, "alone  yes     no, as configured" in printed) == (OK, True)
        assert (
            "team/pause:v1 from hub: digest not compared: the mirror 'quay_to_world' copies only linux/amd64, "
            "which changes the digest"
        ) in printed.splitlines()

    @pytest.mark.parametrize("is_down", [False, True])
    def test_copies_of_different_platforms_do_not_conflict(
        self, check: Command, stack: Stack, *, is_down: bool
    ) -> None:
        """They differ from each other by design, also while the source is down."""
        document = json.loads(stack.file.read_text())
        mirror = document["mirrors"].pop("quay_to_world")
        for name, platform in (("hub", "linux/amd64"), ("acr", "linux/arm64")):
            document["mirrors"][f"to_{name}"] = {**mirror, "destinations": [name], "platforms": [platform]}
        document["nodes"]["outside"]["bootstrap_images"] = [{"repository": NAME, "tags": {"include": ["v1"]}}]
        stack.file.write_text(json.dumps(document))
        images.push(stack.acr.url, NAME, "v1", OTHER)
        if is_down:
            stack.source.stop()
        code, printed, _ = check("--pool", "outside")
        assert (code, "outside  yes     yes       yes" in printed.splitlines()) == (OK, True)

    def test_a_tag_that_the_source_lacks_is_unchecked(self, check: Command, stack: Stack) -> None:
        """The right digest is unknown, so the pool fails whatever its copies are."""
        stack.write(tags={"include": ["v1", "v9"]})
        images.push(stack.acr.url, NAME, "v9", IMAGE)
        code, printed, _ = check("--pool", "outside")
        assert code == FAILED
        assert printed.split("\n\n")[0] == (
            "pool     all up            acr down          hub down\n"
            "───────  ────────────────  ────────────────  ────────────────\n"
            "outside  ?: team/pause:v9  ?: team/pause:v9  ?: team/pause:v9"
        )
        problem = (
            f"{stack.source.host}/{NAME}:v9 not found at the source, so the right digest is unknown; "
            "push it, or fix tags: of the bootstrap image"
        )
        lines = printed.splitlines()
        assert f"outside: team/pause:v9 from acr: {problem}" in lines
        assert f"outside: team/pause:v9 from hub: {problem}" in lines
        assert lines[-1] == "it is unknown if nodes of outside would start now"

    @pytest.mark.parametrize("tags", [{"semver": ">=7"}, {"include": ["release-*"]}])
    def test_rules_that_match_no_tag_fail(self, check: Command, stack: Stack, tags: Mapping[str, Any]) -> None:
        stack.write(tags=tags)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert printed.split("\n\n")[0] == (
            "pool   all up           hub down\n"
            "─────  ───────────────  ─────────────────\n"
            "alone  ?: team/pause:*  no, as configured"
        )
        assert (
            "alone: team/pause:* from hub: tags: of the bootstrap image matches none of the 2 tags of "
            f"{stack.source.host}/{NAME}; fix its rules"
        ) in printed.splitlines()

    def test_a_repository_that_the_source_lacks_fails(self, check: Command, stack: Stack) -> None:
        """The source is not down: it reports that the repository does not exist."""
        stack.source.forget_repository(NAME)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert "alone  ?: team/pause:*  no, as configured" in printed.splitlines()
        assert (
            "alone: team/pause:* from hub: tags: of the bootstrap image matches none of the 0 tags of "
            f"{stack.source.host}/{NAME}; fix its rules"
        ) in printed.splitlines()

    def test_invalid_arguments_are_refused(self, check: Command, tmp_path: Path) -> None:
        code, _, errors = check("--pool", "nowhere")
        assert code == UNUSABLE
        assert errors.startswith("no pool 'nowhere' under nodes: in ")
        (tmp_path / "other.json").write_text("[]")
        code, _, errors = check("--expect", str(tmp_path / "other.json"))
        assert (code, errors) == (
            UNUSABLE,
            (
                f"{tmp_path}/other.json is not the output of nodes check --json "
                "(TypeError('list indices must be integers or slices, not str')); "
                "write one while every source answers\n"
            ),
        )


def nested(levels: int) -> images.Image:
    """An image under ``levels`` indexes. Each index has one child."""
    image = images.image([images.BASE_LAYER])
    for _ in range(levels):
        image = images.index([image])
    return image


def contents_of(image: images.Image) -> Iterator[tuple[Digest, bytes, str]]:
    """The manifests and blobs of an image, each with its media type. Iterative, for deep indexes."""
    level = [image]
    while level:
        for manifest in level:
            yield manifest.digest, manifest.content, manifest.media_type
            yield from ((blob.digest, blob.content, "application/octet-stream") for blob in manifest.blobs)
        level = [child for manifest in level for child in manifest.children]


def serve(repositories: Mapping[str, images.Image]) -> ScriptedServer:
    """A registry with one image per repository, tagged v1. Pushing 1,200 levels to the real one would take too long."""
    contents = {"/v2/": (b"{}", {"Content-Type": "application/json"})}
    for name, image in repositories.items():
        contents[f"/v2/{name}/tags/list"] = (json.dumps({"name": name, "tags": ["v1"]}).encode(), {})
        for digest, content, media_type in contents_of(image):
            headers = {"Content-Type": media_type, "Docker-Content-Digest": str(digest)}
            contents |= {f"/v2/{name}/{kind}/{digest}": (content, headers) for kind in ("manifests", "blobs")}
        contents[f"/v2/{name}/manifests/v1"] = contents[f"/v2/{name}/manifests/{image.digest}"]

    def script(shown: ScriptedRequest) -> Reply:
        path = shown.target.partition("?")[0]
        if path not in contents:
            return Reply(status=404)
        content, headers = contents[path]
        return Reply(headers=headers, body=content)

    return ScriptedServer(script)


@pytest.mark.parametrize(("levels", "is_ready"), [(2, True), (16, True), (17, False), (1200, False)])
def test_a_deeply_nested_index_fails_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], levels: int, *, is_ready: bool
) -> None:
    """The image spec has no limit for nested indexes. The other image is still checked."""
    deep = nested(levels)
    with serve({"team/deep": deep, "team/fine": IMAGE}) as server:
        file = tmp_path / "mirrors.yaml"
        pool = {"registry": "hub", "bootstrap_images": ["team/deep", "team/fine"]}
        registries = {"hub": {"host": server.host, "tls": False}, "other": {"host": "other.example"}}
        mirror = {"source": "hub", "destinations": ["other"], "repositories": ["team/deep", "team/fine"]}
        file.write_text(json.dumps({"registries": registries, "mirrors": {"m": mirror}, "nodes": {"alone": pool}}))
        code = main(["nodes", "check", "--mirrors-file", str(file), "--seconds", "30", "--json"])
        results = {result["image"]: result for result in json.loads(capsys.readouterr().out)["images"]}
        read = [shown for shown in server.shown if "/team/deep/manifests/sha256:" in shown.target]
    assert (results["team/fine:v1"]["fault"], results["team/fine:v1"]["blobs"]) == (None, 5)
    fault, problem = results["team/deep:v1"]["fault"], results["team/deep:v1"]["problem"]
    if is_ready:
        assert (code, fault, problem, results["team/deep:v1"]["blobs"]) == (OK, None, "", 2)
    else:
        assert (code, fault, problem) == (
            FAILED,
            "unchecked",
            (
                f"{server.host}/team/deep@{deep.digest} is an index nested more than 16 levels deep, or "
                "with more than 10000 manifests, which is not checked; publish its images under an index with fewer "
                "levels"
            ),
        )
        assert len(read) <= 17


class Dag:
    """The readiness DAG of a mirrors file through Airflow's task runner."""

    def __init__(self, file: Path) -> None:
        self.dag: DAG = build_readiness_dag(load_mirrors(file))
        self.api = FakeApi(dag_id=self.dag.dag_id)

    def run(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Run the list of images and each check. Return the states of the checks, and the rows of the list."""
        assert run(self.dag, "list_images", self.api).state == "success"
        rows = self.api.xcoms["list_images", -1, "return_value"]
        states = [run(self.dag, "check", self.api, map_index=each).state for each in range(len(rows))]
        return states, rows

    def report(self) -> Any:
        return run(self.dag, "report", self.api)


class TestDag:
    def test_each_image_and_registry_has_a_check(self, stack: Stack) -> None:
        dag = Dag(stack.file)
        states, rows = dag.run()
        assert [row["check"]["label"] for row in rows] == [
            "outside: team/pause from acr",
            "outside: team/pause from hub",
            "alone: team/pause from hub",
        ]
        assert states == ["success"] * 3
        assert "outside: team/pause from acr" in dag.api.rendered
        result = dag.report()
        assert result.state == "success"
        summary = dag.api.xcoms["report", -1, "return_value"]["summary"]
        assert summary == "nodes of every pool would start, as far as their configuration promises"
        state = stored(dag)
        assert (state.summary, state.is_failed) == (summary, False)
        assert [(start.pool, start.down, start.answer) for start in state.starts] == [
            ("outside", None, "starts"),
            ("outside", "acr", "starts"),
            ("outside", "hub", "starts"),
            ("alone", None, "starts"),
            ("alone", "hub", "not_promised"),
        ]

    def test_a_fault_fails_its_task_and_the_report(self, stack: Stack) -> None:
        stack.acr.forget_tag(NAME, "v1")
        dag = Dag(stack.file)
        states, _ = dag.run()
        assert states == ["up_for_retry", "success", "success"]
        result = dag.report()
        assert (result.state, str(result.error)) == ("failed", "nodes would not start: outside with hub down")
        start = stored(dag).starts[2]
        assert (start.pool, start.down, start.answer, start.missing) == ("outside", "hub", "does_not_start", 1)
        assert start.reasons[0].startswith(f"{NAME}:v1 from acr: ")

    def test_a_wrong_image_is_not_retried(self, stack: Stack) -> None:
        images.push(stack.acr.url, NAME, "v1", OTHER)
        assert Dag(stack.file).run()[0] == ["failed", "success", "success"]

    def test_an_image_that_a_mirror_knows_to_be_damaged_is_not_ready(self, stack: Stack) -> None:
        """The check itself reads too little to find that out. The latest run of the mirror counts."""
        dag = Dag(stack.file)
        assert dag.run()[0] == ["success"] * 3
        found = DamagedImage(
            repository=f"{stack.acr.host}/{NAME}",
            digest=IMAGE.digest,
            tags=("v1",),
            parts=(LAYER.digest,),
            problem="a layer is damaged",
            at=datetime(2026, 11, 24, 2, 3, tzinfo=UTC),
        )
        mirror, earlier = "mirror_quay_to_world", "scheduled__2026-11-24T01:00:00+00:00"
        dag.api.others[mirror, earlier, "report", "damaged"] = [{"acr": [found.to_json()]}]
        result = dag.report()
        assert (result.state, str(result.error)) == ("failed", "nodes of outside would not start now")
        dag.api.others[mirror, "manual__2026-11-24T02:00:00+00:00", "report", "damaged"] = [{}]
        assert dag.report().state == "success"

    def test_a_killed_check_fails_the_report(self, stack: Stack) -> None:
        dag = Dag(stack.file)
        dag.run()
        del dag.api.xcoms["check", 1, "results"]
        result = dag.report()
        assert (result.state, str(result.error)) == (
            "failed",
            "it is unknown if nodes would start: outside with acr down",
        )
        assert stored(dag).starts[1].answer == "unknown"

    def test_flips_send_messages(self, stack: Stack) -> None:
        """Ready, not ready, not ready, not told, ready: each change is one message, also in another process."""
        KeepingNotifier.kept.clear()
        stack.write(notify=[{"class": "testkit.notifiers.KeepingNotifier"}])
        dag = Dag(stack.file)
        dag.run()
        assert dag.report().state == "success"
        stack.acr.forget_tag(NAME, "v1")
        for _ in range(2):
            dag.run()
            assert dag.report().state == "failed"
        del dag.api.xcoms["check", 0, "results"]
        assert dag.report().state == "failed"
        images.push(stack.acr.url, NAME, "v1", IMAGE)
        dag.run()
        assert dag.report().state == "success"
        sent = [(message.about, message.event, message.subject) for message in KeepingNotifier.kept]
        assert sent == [
            ("nodes outside", "failed", "Node pool outside fails: 1 problem"),
            ("nodes outside", "failed", "Node pool outside fails: 2 problems"),
            ("nodes outside", "recovered", "Node pool outside recovered"),
        ]
        seen = "outside with hub down: nodes would not start: team/pause:v1 from acr: "
        assert f"New in node pool outside: 1 problem.\n\nFailing: 1\n\n{seen}" in KeepingNotifier.kept[0].text
        assert "it is unknown if nodes would start" in KeepingNotifier.kept[1].text
        assert "/dags/mirror_readiness/runs/" in KeepingNotifier.kept[0].text

    def test_a_store_that_fails_does_not_change_the_result(self, stack: Stack) -> None:
        dag = Dag(stack.file)
        dag.run()
        dag.api.is_store_broken = True
        assert dag.report().state == "success"
        assert (READINESS_ASSET, READINESS_KEY) not in dag.api.stored

    def test_a_missing_list_of_images_fails_the_report(self, stack: Stack) -> None:
        """No image was checked, so every pool fails."""
        dag = Dag(stack.file)
        result = dag.report()
        assert (result.state, str(result.error)) == (
            "failed",
            "it is unknown if nodes of outside, alone would start now",
        )

    def test_an_earlier_run_replaces_a_source_that_is_down(self, stack: Stack) -> None:
        """The first run stores them, and the second has no XCom of it: airflow db clean removes them."""
        dag = Dag(stack.file)
        dag.run()
        stack.source.stop()
        states, rows = dag.run()
        assert states == ["success"] * 3
        (tag,) = rows[0]["check"]["tags"]
        assert re.fullmatch(
            rf"{stack.source.host} at \d{{4}}-\d\d-\d\d \d\d:\d\d UTC, 1 minute ago", tag.pop("said_by")
        )
        assert tag == {
            "tag": "v1",
            "digest": str(IMAGE.digest),
            "not_compared": "",
            "problem": "",
            "advice": "",
            "is_pinned": False,
        }

    def test_a_store_that_fails_makes_digests_unknown(self, stack: Stack) -> None:
        """The run itself goes on: the next one reads the source again."""
        dag = Dag(stack.file)
        dag.api.is_store_broken = True
        assert dag.run()[0] == ["success"] * 3

    def test_a_later_run_of_a_mirror_replaces_an_earlier_check(self, stack: Stack) -> None:
        """Digests that a mirror copied before the source was last read are ignored."""
        dag = Dag(stack.file)
        dag.run()
        stack.source.stop()
        repository = f"{stack.source.host}/{NAME}"
        after, before = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
        for time, digest in ((after, OTHER.digest), (before, AMD.digest)):
            dag.api.others["mirror_quay_to_world", f"scheduled__{time.isoformat()}", "to_acr", "report"] = [
                copied(repository, "v1", digest),
                copied(repository, "v2", digest),
            ]
        rows = dag.run()[1]
        run_id = f"the run scheduled__{after.isoformat()} of mirror_quay_to_world"
        assert rows[0]["check"]["tags"] == [
            {
                "tag": "v1",
                "digest": str(OTHER.digest),
                "said_by": f"{stack.source.host} in {run_id}",
                "not_compared": "",
                "problem": "",
                "advice": "",
                "is_pinned": False,
            }
        ]

    def test_a_run_of_a_mirror_replaces_a_source_that_was_never_read(self, stack: Stack) -> None:
        stack.source.stop()
        dag = Dag(stack.file)
        run_id = "manual__2026-11-23T10:00:00.123+00:00_a1b2"
        reports = [copied(f"{stack.source.host}/{NAME}", tag, IMAGE.digest) for tag in ("v1", "v1-dev")]
        dag.api.others["mirror_quay_to_world", run_id, "to_hub", "report"] = [*reports, None]
        states, rows = dag.run()
        assert states == ["success"] * 3
        said_by = f"{stack.source.host} in the run {run_id} of mirror_quay_to_world"
        assert rows[0]["check"]["tags"] == [Expected(tag="v1", digest=IMAGE.digest, said_by=said_by).to_json()]


def stored(dag: Dag) -> ReadinessState:
    """The state that the report wrote for the page."""
    return read_document(ReadinessState, dag.api.stored[READINESS_ASSET, READINESS_KEY])


def copied(source: str, tag: str, digest: Digest) -> dict[str, Any]:
    """The report of a mirror's task, as it crosses XCom."""
    tags = (TagResult.copied(tag, digest, "changed"),)
    return RouteReport(
        mirror="quay_to_world", route_key="any", source=source, destination="any", counts={"copied": 1}, tags=tags
    ).to_json()


@pytest.mark.timeout(300)
def test_later_runs_of_a_real_airflow_use_earlier_digests(stack: Stack, tmp_path: Path) -> None:
    """Digests of an earlier readiness run, and of a mirror's run, replace a source that is down."""
    airflow = LocalAirflow(tmp_path / "airflow", mirrors_file=stack.file)
    airflow.migrate()
    first = airflow.run("dags", "test", "mirror_readiness")
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-4000:]
    assert "outside  yes     yes       yes\n" in first.stdout
    stack.source.stop()
    images.push(stack.acr.url, NAME, "v1", OTHER)
    second = airflow.run("dags", "test", "mirror_readiness")
    assert second.returncode == 1
    assert "nodes of outside would not start now" in second.stdout
    assert f"expected {IMAGE.digest} (from {stack.source.host} at " in second.stdout
    images.push(stack.acr.url, NAME, "v1", IMAGE)
    stack.source.start()
    images.push(stack.source.url, NAME, "v1", OTHER)
    mirrored = airflow.run("dags", "test", "mirror_quay_to_world")
    assert mirrored.returncode == 0, mirrored.stdout[-4000:] + mirrored.stderr[-4000:]
    stack.source.stop()
    third = airflow.run("dags", "test", "mirror_readiness")
    assert third.returncode == 0, third.stdout[-4000:] + third.stderr[-4000:]
    assert "outside  yes     yes       yes\n" in third.stdout
