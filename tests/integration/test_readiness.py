"""Readiness against real registries: every fault that a node would meet, the command, and the DAG's tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.airflow.hooks.registry import RegistryHook
from registry_sync.airflow.readiness_dag import build_readiness_dag
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.config.model import Registry
from registry_sync.nodes.readiness import check as readiness
from registry_sync.nodes.readiness.check import EndpointCheck, Expected, Fault, ImageReadiness, Limits, check_endpoint
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry import client as registry_client
from registry_sync.routes.load import load_mirrors
from registry_sync.sync.report import RouteReport, TagResult
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.loopback import Blackhole
from testkit.registry import Htpasswd, RegistryProcess
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
    """A registry to be damaged."""
    with RegistryProcess() as registry:
        images.push(registry.url, NAME, "v1", IMAGE)
        yield registry


@pytest.fixture
def wire(shared: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(shared.url) as interceptor:
        yield interceptor


def check_at(host: str, expected: Digest | None = IMAGE.digest, **fields: Any) -> EndpointCheck:
    registry = Registry(name="acr", host=host, **{"tls": False, **fields.pop("registry", {})})
    tags = (Expected(tag="v1", digest=expected, said_by="quay.io"),)
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


def test_an_image_that_is_ready(shared: RegistryProcess) -> None:
    """Every platform and each of its blobs; the attestations, which no node pulls, are left alone."""
    shared.clear_requests()
    found = look(check_at(shared.host))
    blobs = {each for child in (AMD, ARM) for each in child.blobs}
    size_bytes = sum(len(each.content) for each in blobs)
    assert found == ImageReadiness(
        pool="outside",
        image="team/pause:v1",
        registry="acr",
        digest=str(IMAGE.digest),
        platforms=("linux/amd64", "linux/arm64"),
        blobs=5,
        size_bytes=size_bytes,
        read_bytes=size_bytes,
        slowest_seconds=found.slowest_seconds,
    )
    assert found.slowest_seconds > 0
    asked = [(each.method, each.path.removeprefix(f"/v2/{NAME}/")) for each in shared.requests()]
    manifests = [("GET", f"manifests/{each.digest}") for each in (IMAGE, AMD, ARM)]
    assert asked[:4] == [("HEAD", "manifests/v1"), *manifests]
    assert {path for method, path in asked[4:9] if method == "HEAD"} == {f"blobs/{each.digest}" for each in blobs}
    assert {path for method, path in asked[9:] if method == "GET"} == {f"blobs/{each.digest}" for each in blobs}


def test_reads_whole_what_the_budget_lets(shared: RegistryProcess) -> None:
    largest = max(len(each.content) for each in IMAGE.children[0].blobs)
    found = look(check_at(shared.host), Limits(read_bytes=largest))
    assert 0 < found.read_bytes <= largest
    assert look(check_at(shared.host), Limits(read_bytes=0)).read_bytes == 0


def test_bytes_only_are_looked_for_by_the_digest_that_another_registry_names(shared: RegistryProcess) -> None:
    shared.clear_requests()
    assert look(check_at(shared.host, resolves=False)).is_ready
    assert f"/v2/{NAME}/manifests/v1" not in {each.path for each in shared.requests()}
    found = look(check_at(shared.host, OTHER.digest, resolves=False))
    assert (found.fault, found.problem) == (
        "absent",
        f"{shared.host}/{NAME}@{OTHER.digest} is not there; run the mirror 'quay_to_acr'",
    )


def test_a_digest_that_nobody_knows(shared: RegistryProcess) -> None:
    found = look(check_at(shared.host, None, resolves=False))
    assert (found.fault, found.digest) == (None, str(IMAGE.digest))
    assert found.note == "its digest was compared with no other, quay.io"


def test_by_the_token_flow_of_a_node() -> None:
    rules = {NAME: ("pull",)}
    with TokenServer({}, anonymous=rules) as tokens, RegistryProcess(auth=tokens.token_auth) as registry:
        images.push(registry.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
        assert look(check_at(registry.host, registry={"connection": "not_for_nodes"})).is_ready
        assert {(each.user, each.status) for each in tokens.requests()} == {(None, 200)}


def test_blobs_that_are_kept_elsewhere(shared: RegistryProcess, wire: Interceptor) -> None:
    """Registries in clouds send those who ask for a blob on to a store of theirs."""
    there = f"{shared.url}/v2/{NAME}/blobs/{LAYER.digest}"
    wire.answer("*", f"/blobs/{LAYER.digest}", 307, b"<a href=...>", {"Location": there})
    found = look(check_at(wire.host))
    assert (found.fault, found.read_bytes) == (None, found.size_bytes)


def test_tls(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with RegistryProcess(tls=authority.issue()) as registry:
        images.push(registry.url, NAME, "v1", IMAGE, ca_file=authority.ca_file)
        assert look(check_at(registry.host, registry={"tls": True, "ca_file": authority.ca_file})).is_ready
        found = look(check_at(registry.host, registry={"tls": True}))
        assert found.fault == "absent"
        assert found.problem.startswith(f"{registry.url} shows a certificate that is not accepted (")


def faulty(found: ImageReadiness) -> tuple[Fault | None, str]:
    return found.fault, found.problem


WHO_ANSWERS = "find out what answers in the registry's place, such as the log-in page of a proxy"
AGAIN = "delete the image there, then run the mirror 'quay_to_acr'"
IF_SO = f"check again, and if it stays so, {AGAIN}"
UNTIL = "until acr serves it again, nodes have only the other registries of their pool"


class TestFaults:
    def test_a_tag_that_is_missing(self, own: RegistryProcess) -> None:
        own.forget_tag(NAME, "v1")
        problem = f"{own.host}/{NAME}:v1 is not there; run the mirror 'quay_to_acr'"
        assert faulty(look(check_at(own.host))) == ("absent", problem)
        problem = f"{own.host}/{NAME}:v1 is not there; push it again"
        assert faulty(look(check_at(own.host, copied_by=None))) == ("absent", problem)

    def test_a_registry_that_is_down(self, own: RegistryProcess) -> None:
        own.stop()
        assert faulty(look(check_at(own.host))) == (
            "absent",
            (
                f"{own.url} cannot be reached: [Errno 111] Connection refused; "
                "until acr is up again, nodes have only the other registries of their pool"
            ),
        )

    def test_a_registry_that_has_errors(self, wire: Interceptor) -> None:
        """A node tries once, and so do we."""
        wire.answer("HEAD", "/manifests/", 503)
        found = look(check_at(wire.host))
        assert faulty(found) == (
            "absent",
            (
                f"HEAD {wire.url}/v2/{NAME}/manifests/v1 answered 503; "
                "until acr is up again, nodes have only the other registries of their pool"
            ),
        )
        assert len(wire.requests()) == 1

    def test_a_registry_that_wants_a_password(self) -> None:
        with RegistryProcess(auth=Htpasswd(users={"robot": "password"})) as locked:
            assert faulty(look(check_at(locked.host))) == (
                "absent",
                (
                    f"{locked.host} requires a user name and password; nodes do not log in: let everybody pull from "
                    "acr, and if the image is not there, run the mirror 'quay_to_acr'"
                ),
            )

    def test_a_token_server_that_gives_everybody_nothing(self) -> None:
        with TokenServer({}) as tokens, RegistryProcess(auth=tokens.token_auth) as registry:
            images.push(registry.url, NAME, "v1", IMAGE, session=tokens.session(NAME))
            assert faulty(look(check_at(registry.host))) == (
                "absent",
                (
                    f"HEAD {registry.url}/v2/{NAME}/manifests/v1 answered 401 "
                    "(not permitted with these credentials, or it does not exist); "
                    "nodes do not log in: let everybody pull from "
                    "acr, and if the image is not there, run the mirror 'quay_to_acr'"
                ),
            )

    def test_a_platform_that_is_missing(self, own: RegistryProcess) -> None:
        own.forget_blob(ARM.digest)
        found = look(check_at(own.host))
        assert found.fault == "incomplete"
        start = f"GET {own.url}/v2/{NAME}/manifests/{ARM.digest} answered 404 MANIFEST_UNKNOWN: "
        assert found.problem.startswith(start)
        assert found.problem.endswith(f"; {AGAIN}")

    def test_a_page_in_place_of_a_platform(self, wire: Interceptor) -> None:
        """The runtime takes the page for an answer, and does not ask the next registry."""
        wire.answer("GET", f"/manifests/{ARM.digest}", 200, HTML, {"Content-Type": "text/html"})
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            (
                f"{wire.host}/{NAME}@{ARM.digest} arrived damaged: its content has another digest, and is of type "
                f"'text/html'; {WHO_ANSWERS}"
            ),
        )

    def test_a_platform_that_is_refused(self, wire: Interceptor) -> None:
        wire.answer("GET", f"/manifests/{ARM.digest}", 405, b"not that way")
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            (
                f"reading {wire.host}/{NAME}@{ARM.digest}: GET {wire.url}/v2/{NAME}/manifests/{ARM.digest} "
                f"answered 405 not that way; {WHO_ANSWERS}"
            ),
        )

    def test_a_blob_that_is_missing(self, own: RegistryProcess) -> None:
        own.forget_blob(LAYER.digest)
        problem = f"HEAD {own.url}/v2/{NAME}/blobs/{LAYER.digest} answered 404; {AGAIN}"
        assert faulty(look(check_at(own.host))) == ("incomplete", problem)

    @pytest.mark.parametrize("path", [f"/manifests/{ARM.digest}", f"/blobs/{LAYER.digest}"])
    def test_a_part_that_cannot_be_had_for_now(self, wire: Interceptor, path: str) -> None:
        """An outage is no reason to delete an image that is whole."""
        wire.answer("*", path, 503)
        found = look(check_at(wire.host))
        assert found.fault == "incomplete"
        assert found.problem.endswith(f" {wire.url}/v2/{NAME}{path} answered 503; {UNTIL}")

    def test_a_blob_that_is_denied(self, wire: Interceptor) -> None:
        wire.answer("*", f"/blobs/{LAYER.digest}", 403)
        assert faulty(look(check_at(wire.host))) == (
            "incomplete",
            (
                f"HEAD {wire.url}/v2/{NAME}/blobs/{LAYER.digest} answered 403 "
                "(not permitted with these credentials, or it does not exist); nodes do not log in: "
                "let everybody pull from acr, and if the image is not there, run the mirror 'quay_to_acr'"
            ),
        )

    def test_a_store_of_blobs_that_is_down(self, wire: Interceptor) -> None:
        wire.answer("GET", "/blobs/", 307, b"", {"Location": "http://127.0.0.1:1/blob"})
        assert faulty(look(check_at(wire.host))) == (
            "incomplete",
            f"http://127.0.0.1:1 cannot be reached: [Errno 111] Connection refused; {UNTIL}",
        )

    def test_a_blob_of_another_size(self, wire: Interceptor) -> None:
        wire.answer("HEAD", f"/blobs/{LAYER.digest}", 200, b"7 bytes")
        size_bytes = len(LAYER.content)
        assert faulty(look(check_at(wire.host))) == (
            "damaged",
            f"blob {LAYER.digest} of {wire.host}/{NAME} has 7 bytes there, and {size_bytes} by its manifest; {AGAIN}",
        )

    def test_a_blob_with_other_bytes_is_found_by_reading_it(self, own: RegistryProcess) -> None:
        own.damage_blob(LAYER.digest)
        assert look(check_at(own.host), replace(PATIENT, read_bytes=0)).is_ready
        assert faulty(look(check_at(own.host))) == (
            "damaged",
            f"blob {LAYER.digest} of {own.host}/{NAME} arrived damaged: its content has another digest; {IF_SO}",
        )

    def test_a_blob_that_ends_too_soon(self, wire: Interceptor) -> None:
        wire.truncate("GET", f"/blobs/{LAYER.digest}", 10)
        found = look(check_at(wire.host))
        assert found.fault in ("damaged", "incomplete")  # by whether the reset or the end is seen first
        assert found.problem.startswith(f"{wire.url} ")

    def test_a_manifest_with_other_bytes(self, own: RegistryProcess) -> None:
        """Of docker-registry itself there is no sign of that: it answers a GET with an error of its own."""
        own.damage_blob(IMAGE.digest)
        assert not look(check_at(own.host)).is_ready

    def test_a_manifest_with_the_bytes_of_another(self, wire: Interceptor) -> None:
        wire.answer("GET", "/manifests/sha256:", 200, OTHER.content, {"Content-Type": OTHER.media_type})
        assert faulty(look(check_at(wire.host))) == (
            "damaged",
            f"{wire.host}/{NAME}@{IMAGE.digest} arrived damaged: its content has another digest; {IF_SO}",
        )

    def test_a_squatted_name(self, own: RegistryProcess) -> None:
        images.push(own.url, NAME, "v1", OTHER)
        assert faulty(look(check_at(own.host))) == (
            "wrong",
            (
                f"{own.host}/{NAME}:v1 is {OTHER.digest} there, and {IMAGE.digest} by quay.io; "
                "run the mirror 'quay_to_acr', and find out who else can push there"
            ),
        )

    @pytest.mark.parametrize("policy", ["keep", "fail"])
    def test_a_tag_that_its_mirror_does_not_move(self, own: RegistryProcess, policy: str) -> None:
        """Then another run of the mirror does not help, and nobody need have pushed there."""
        images.push(own.url, NAME, "v1", OTHER)
        found = look(check_at(own.host, on_moved_tag=(("latest", "follow"), ("v*", policy))))
        assert faulty(found) == (
            "wrong",
            (
                f"{own.host}/{NAME}:v1 is {OTHER.digest} there, and {IMAGE.digest} by quay.io; "
                f"'quay_to_acr' leaves it so, since on_moved_tag is {policy} for 'v*': find out which of them is right"
            ),
        )

    @pytest.mark.parametrize(
        ("place", "down", "slow"),
        [
            (
                "fallback",
                "until acr is up again, nodes have only the other registries of their pool",
                "nodes do not get what the mirrors before acr lack until it is fast",
            ),
            (
                "sole",
                "until acr is up again, nodes pull no tag",
                "nodes pull no tag until acr is fast",
            ),
        ],
    )
    def test_a_registry_that_cannot_be_taken_out_of_the_pool(
        self, own: RegistryProcess, place: str, down: str, slow: str
    ) -> None:
        with Interceptor(own.url) as wire:
            wire.hang("HEAD", "/manifests/")
            found = look(check_at(wire.host, place=place), replace(PATIENT, request_seconds=0.5))
        assert (found.fault, found.problem.partition("; ")[2]) == ("slow", slow)
        with Blackhole() as there:
            found = look(check_at(there.host, place=place), replace(PATIENT, request_seconds=0.5))
        assert (found.fault, found.problem.partition("; ")[2]) == ("silent", slow.replace("is fast", "answers"))
        own.stop()
        found = look(check_at(own.host, place=place))
        assert (found.fault, found.problem.partition("; ")[2]) == ("absent", down)

    def test_a_page_in_place_of_the_registry(self, wire: Interceptor) -> None:
        wire.answer("*", "/", 200, HTML, {"Content-Type": "text/html"})
        digest = Digest.of(HTML)
        assert faulty(look(check_at(wire.host))) == (
            "unreadable",
            (
                f"reading {wire.host}/{NAME}@{digest}: manifest {digest.short} is of type 'text/html', which cannot be "
                f"mirrored unchanged; {WHO_ANSWERS}"
            ),
        )

    @pytest.mark.parametrize(
        ("method", "path", "what"),
        [
            ("HEAD", "/manifests/v1", f"a look at HOST/{NAME}:v1"),
            ("GET", f"/manifests/{ARM.digest}", f"reading HOST/{NAME}@{ARM.digest}"),
            ("HEAD", f"/blobs/{LAYER.digest}", f"a look at blob {LAYER.digest}"),
        ],
    )
    def test_an_answer_that_takes_long(
        self, wire: Interceptor, monkeypatch: pytest.MonkeyPatch, method: str, path: str, what: str
    ) -> None:
        """The clock is patched: it stands still, except while that request is answered."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        wire.after(method, path, lambda _: clock.__setitem__(0, clock[0] + 30.4), times=1)
        found = look(check_at(wire.host))
        assert found.slowest_seconds == 30.4
        assert faulty(found) == (
            "slow",
            (
                f"{what.replace('HOST', wire.host)} took 30.4 s, more than 30 s; "
                "no runtime goes on to the next registry from that: take acr out of the pool until it is fast"
            ),
        )

    def test_a_blob_that_trickles_in(self, wire: Interceptor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each part of it comes in time, and a node would still wait for ever."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        late = f"/blobs/{LAYER.digest}"
        wire.after("GET", late, lambda _: clock.__setitem__(0, clock[0] + 30.4))
        size_bytes = len(LAYER.content)
        assert faulty(look(check_at(wire.host))) == (
            "slow",
            (
                f"reading the {size_bytes} B of blob {LAYER.digest} took 30.4 s, more than 30.0 s; "
                "no runtime goes on to the next registry from that: take acr out of the pool until it is fast"
            ),
        )

    def test_an_error_that_takes_long(self, own: RegistryProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        """A node waits for it as for any answer."""
        clock = [0.0]
        monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        own.forget_blob(LAYER.digest)
        with Interceptor(own.url) as wire:
            late = f"/blobs/{LAYER.digest}"
            wire.after("HEAD", late, lambda _: clock.__setitem__(0, clock[0] + 30.4))
            assert faulty(look(check_at(wire.host))) == (
                "slow",
                (
                    f"a look at blob {LAYER.digest} took 30.4 s, more than 30 s, and ended with: "
                    f"HEAD {wire.url}/v2/{NAME}{late} answered 404; "
                    "no runtime goes on to the next registry from that: take acr out of the pool until it is fast"
                ),
            )

    def test_a_registry_that_takes_no_connection(self) -> None:
        """As behind a firewall that swallows packets."""
        with Blackhole() as there:
            found = look(check_at(there.host), replace(PATIENT, request_seconds=0.5))
            assert 0.5 <= found.slowest_seconds < 10
            assert faulty(found) == (
                "silent",
                (
                    f"http://{there.host} neither accepted nor refused the connection: timed out; "
                    "nodes wait for that at each pull before they ask the next registry, "
                    "dockerd 15 s, CRI-O 60 s, containerd 150 s (10 s from 2.1 on, as rendered): "
                    "take acr out of the pool until it answers"
                ),
            )

    def test_an_answer_that_never_comes(self, wire: Interceptor) -> None:
        wire.hang("GET", f"/blobs/{LAYER.digest}")
        assert faulty(look(check_at(wire.host), replace(PATIENT, request_seconds=1.0))) == (
            "slow",
            (
                f"{wire.url} took the request and does not answer: timed out; no runtime goes on to the next registry "
                "from that: take acr out of the pool until it is fast"
            ),
        )


class Stack:
    """A source, a registry that names stand for, a mirror of it, and a mirrors file with two pools."""

    def __init__(self, folder: Path, source: RegistryProcess, hub: RegistryProcess, acr: RegistryProcess) -> None:
        self.source, self.hub, self.acr = source, hub, acr
        self.file = folder / "mirrors.yaml"
        for each in (source, hub, acr):
            images.push(each.url, NAME, "v1", IMAGE)
            images.push(each.url, NAME, "v1-dev", OTHER)
        self.write()

    def write(self, *, tags: Mapping[str, Any] | None = None) -> None:
        registries = {
            "quay": {"host": self.source.host, "tls": False},
            "hub": {"host": self.hub.host, "tls": False},
            "acr": {"host": self.acr.host, "tls": False, "private": True},
        }
        mirror = {"source": "quay", "destinations": ["hub", "acr"], "repositories": [{"namespace": "team"}]}
        image = {"repository": NAME, "tags": tags or {"exclude": ["*-dev"]}}
        pool = {"registry": "hub", "runtime": "containerd", "bootstrap_images": [image]}
        nodes = {"outside": {**pool, "mirrors": ["acr"]}, "alone": pool}
        document = {"registries": registries, "mirrors": {"quay_to_world": mirror}, "nodes": nodes}
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
    def test_everything_is_ready(self, check: Command) -> None:
        code, printed, errors = check()
        assert (code, errors) == (OK, "")
        assert printed.split("\n\n")[0] == (
            "pool     all up  acr down  hub down\n"
            "───────  ──────  ────────  ─────────────────\n"
            "outside  yes     yes       yes\n"
            "alone    yes     not used  no, as configured"
        )
        assert printed.splitlines()[-1] == "nodes of every pool would start, as far as their configuration promises"

    def test_one_pool(self, check: Command) -> None:
        code, printed, _ = check("--pool", "alone", "--json")
        assert (code, {each["pool"] for each in json.loads(printed)["verdicts"]}) == (OK, {"alone"})

    def test_a_mirror_that_lacks_an_image(self, check: Command, stack: Stack) -> None:
        """Nodes start now, and would not with the hub down: that is to be mended before it is."""
        stack.acr.forget_tag(NAME, "v1")
        code, printed, _ = check()
        assert code == FAILED
        assert "outside  yes     yes       NO: team/pause:v1" in printed
        problem = (
            f"outside: team/pause:v1 from acr: {stack.acr.host}/{NAME}:v1 is not there; run the mirror 'quay_to_world'"
        )
        assert problem in printed.splitlines()
        assert printed.splitlines()[-1] == "nodes would not start: outside with hub down"

    def test_a_source_with_more_tags_than_the_limit(
        self, check: Command, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The listing stops at the limit, like every other listing."""
        monkeypatch.setattr(registry_client, "MAX_TAGS", 1)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert f"{stack.source.host}/{NAME} lists more than 1 tags, the most that one task reads" in printed

    def test_a_registry_that_is_down_now(self, check: Command, stack: Stack) -> None:
        stack.hub.stop()
        code, printed, _ = check()
        assert code == FAILED
        assert "outside  yes                NO: team/pause:v1  yes" in printed
        assert "alone    NO: team/pause:v1  not used           no, as configured" in printed

    def test_a_source_that_is_down(self, check: Command, stack: Stack, tmp_path: Path) -> None:
        """What it said the last time stands in, also for which tags there are."""
        earlier = tmp_path / "earlier.json"
        earlier.write_text(check("--json")[1])
        stack.source.stop()
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--expect", str(earlier), "--pool", "outside")
        assert code == FAILED
        assert (
            f"outside: team/pause:v1 from acr: {stack.acr.host}/{NAME}:v1 is {OTHER.digest} there, "
            f"and {IMAGE.digest} by {stack.source.host} when it last answered; "
            "run the mirror 'quay_to_world', and find out who else can push there"
        ) in printed.splitlines()
        assert (
            f"{stack.source.host}/{NAME} could not be asked for its digests: "
            f"{stack.source.url} cannot be reached: [Errno 111] Connection refused"
        ) in printed.splitlines()

    def test_a_source_that_is_down_and_was_never_seen(self, check: Command, stack: Stack) -> None:
        """Tags that are written by their names are still known; copies that differ are not believed."""
        stack.source.stop()
        code, printed, _ = check()
        assert code == FAILED
        assert printed.split("\n\n")[0].splitlines()[2:] == [
            "outside  NO: team/pause:*  NO: team/pause:*  NO: team/pause:*",
            "alone    NO: team/pause:*  not used          no, as configured",
        ]
        down = f"{stack.source.url} cannot be reached: [Errno 111] Connection refused"
        assert (
            "outside: team/pause:* from acr: which tags of it nodes need is not known: "
            f"{stack.source.host} does not answer, and no earlier check is known; "
            "write its tags by their names, or keep what nodes check --json prints"
        ) in printed.splitlines()
        assert f"{stack.source.host}/{NAME} could not be asked for its digests: {down}" in printed.splitlines()
        stack.write(tags={"include": ["v1"]})
        code, printed, _ = check()
        assert code == OK
        unknown = f"since {stack.source.host} does not answer and no earlier check is known"
        assert f"team/pause:v1 from acr: its digest was compared with no other, {unknown}" in printed.splitlines()
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--json")
        assert code == FAILED
        assert {each["fault"] for each in json.loads(printed)["images"] if each["pool"] == "outside"} == {"wrong"}

    def test_a_mirror_of_some_platforms(self, check: Command, stack: Stack) -> None:
        """Its copies have digests of their own, which are no sign that somebody else pushed them."""
        document = json.loads(stack.file.read_text())
        document["mirrors"]["quay_to_world"]["platforms"] = ["linux/amd64"]
        stack.file.write_text(json.dumps(document))
        images.push(stack.acr.url, NAME, "v1", OTHER)
        code, printed, _ = check("--pool", "alone")
        assert (code, "alone  yes     no, as configured" in printed) == (OK, True)
        assert (
            "team/pause:v1 from hub: its digest was compared with no other, since 'quay_to_world' mirrors linux/amd64 "
            "alone, under another digest"
        ) in printed.splitlines()

    @pytest.mark.parametrize("is_down", [False, True])
    def test_mirrors_of_several_platforms(self, check: Command, stack: Stack, *, is_down: bool) -> None:
        """Their copies differ from each other as well, whether or not the source can be asked."""
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

    def test_a_tag_that_the_source_does_not_have(self, check: Command, stack: Stack) -> None:
        """Nothing says what it should be: no promise holds, whatever the copies are."""
        stack.write(tags={"include": ["v1", "v9"]})
        images.push(stack.acr.url, NAME, "v9", IMAGE)
        code, printed, _ = check("--pool", "outside")
        assert code == FAILED
        assert printed.split("\n\n")[0] == (
            "pool     all up             acr down           hub down\n"
            "───────  ─────────────────  ─────────────────  ─────────────────\n"
            "outside  NO: team/pause:v9  NO: team/pause:v9  NO: team/pause:v9"
        )
        problem = (
            f"{stack.source.host}/{NAME}:v9 is not there, so that nothing says what it should be elsewhere; "
            "push it, or mend the tags of the bootstrap image"
        )
        lines = printed.splitlines()
        assert f"outside: team/pause:v9 from acr: {problem}" in lines
        assert f"outside: team/pause:v9 from hub: {problem}" in lines
        assert lines[-1] == "nodes of outside would not start now"

    @pytest.mark.parametrize("tags", [{"semver": ">=7"}, {"include": ["release-*"]}])
    def test_rules_that_choose_no_tag(self, check: Command, stack: Stack, tags: Mapping[str, Any]) -> None:
        stack.write(tags=tags)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert printed.split("\n\n")[0] == (
            "pool   all up            hub down\n"
            "─────  ────────────────  ─────────────────\n"
            "alone  NO: team/pause:*  no, as configured"
        )
        assert (
            f"alone: team/pause:* from hub: the rules of the bootstrap image choose none of the 2 tags of "
            f"{stack.source.host}/{NAME}; mend them"
        ) in printed.splitlines()

    def test_a_repository_that_the_source_does_not_have(self, check: Command, stack: Stack) -> None:
        """That it is gone is what the source says, and not that the source cannot be asked."""
        stack.source.forget_repository(NAME)
        code, printed, _ = check("--pool", "alone")
        assert code == FAILED
        assert "alone  NO: team/pause:*  no, as configured" in printed.splitlines()
        assert (
            f"alone: team/pause:* from hub: the rules of the bootstrap image choose none of the 0 tags of "
            f"{stack.source.host}/{NAME}; mend them"
        ) in printed.splitlines()

    def test_arguments_that_cannot_be_used(self, check: Command, tmp_path: Path) -> None:
        code, _, errors = check("--pool", "nowhere")
        assert code == UNUSABLE
        assert errors.startswith("there is no pool 'nowhere'")
        (tmp_path / "other.json").write_text("[]")
        code, _, errors = check("--expect", str(tmp_path / "other.json"))
        assert (code, errors) == (
            UNUSABLE,
            (
                f"{tmp_path}/other.json is not what nodes check --json printed "
                "(TypeError('list indices must be integers or slices, not str')); make one while every source answers\n"
            ),
        )


class Dag:
    """The readiness DAG of a mirrors file through Airflow's task runner."""

    def __init__(self, file: Path) -> None:
        self.dag: DAG = build_readiness_dag(load_mirrors(file))
        self.api = FakeApi(dag_id=self.dag.dag_id)

    def run(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Run the list of images and each check; the states of the checks, and the rows that they were made from."""
        assert run(self.dag, "list_images", self.api).state == "success"
        rows = self.api.xcoms["list_images", -1, "return_value"]
        states = [run(self.dag, "check", self.api, map_index=each).state for each in range(len(rows))]
        return states, rows

    def report(self) -> Any:
        return run(self.dag, "report", self.api)


class TestDag:
    def test_a_check_for_each_image_and_registry(self, stack: Stack) -> None:
        dag = Dag(stack.file)
        states, rows = dag.run()
        assert [each["check"]["label"] for each in rows] == [
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

    def test_a_fault_fails_its_task_and_the_report(self, stack: Stack) -> None:
        stack.acr.forget_tag(NAME, "v1")
        dag = Dag(stack.file)
        states, _ = dag.run()
        assert states == ["up_for_retry", "success", "success"]
        result = dag.report()
        assert (result.state, str(result.error)) == ("failed", "nodes would not start: outside with hub down")

    def test_another_image_is_no_reason_to_try_again(self, stack: Stack) -> None:
        images.push(stack.acr.url, NAME, "v1", OTHER)
        assert Dag(stack.file).run()[0] == ["failed", "success", "success"]

    def test_a_check_that_was_killed(self, stack: Stack) -> None:
        dag = Dag(stack.file)
        dag.run()
        del dag.api.xcoms["check", 1, "found"]
        result = dag.report()
        assert (result.state, str(result.error)) == ("failed", "nodes would not start: outside with acr down")

    def test_the_list_of_images_that_failed(self, stack: Stack) -> None:
        """Nothing was looked at, and so nothing is promised."""
        dag = Dag(stack.file)
        result = dag.report()
        assert (result.state, str(result.error)) == ("failed", "nodes of outside, alone would not start now")

    def test_a_source_that_is_down_since_an_earlier_run(self, stack: Stack) -> None:
        """The fake API keeps what the first run pushed, as Airflow does for the runs after it."""
        dag = Dag(stack.file)
        dag.run()
        stack.source.stop()
        states, rows = dag.run()
        assert states == ["success"] * 3
        said_by = f"{stack.source.host} when it last answered"
        assert rows[0]["check"]["tags"] == [
            {"tag": "v1", "digest": str(IMAGE.digest), "said_by": said_by, "problem": ""}
        ]

    def test_a_source_that_is_down_since_a_mirror_ran(self, stack: Stack) -> None:
        """What a mirror copied after the last look at the source is a later word, and what it copied before is none."""
        dag = Dag(stack.file)
        dag.run()
        stack.source.stop()
        repository = f"{stack.source.host}/{NAME}"
        after, before = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
        for moment, digest in ((after, OTHER.digest), (before, AMD.digest)):
            dag.api.others["mirror_quay_to_world", f"scheduled__{moment.isoformat()}", "to_acr", "report"] = [
                copied(repository, "v1", digest),
                copied(repository, "v2", digest),
            ]
        rows = dag.run()[1]
        run_id = f"the run scheduled__{after.isoformat()} of mirror_quay_to_world"
        assert rows[0]["check"]["tags"] == [
            {"tag": "v1", "digest": str(OTHER.digest), "said_by": f"{stack.source.host} in {run_id}", "problem": ""}
        ]

    def test_a_source_that_is_down_and_was_never_seen_but_by_a_mirror(self, stack: Stack) -> None:
        stack.source.stop()
        dag = Dag(stack.file)
        run_id = "manual__2026-11-23T10:00:00.123+00:00_a1b2"
        reports = [copied(f"{stack.source.host}/{NAME}", tag, IMAGE.digest) for tag in ("v1", "v1-dev")]
        dag.api.others["mirror_quay_to_world", run_id, "to_hub", "report"] = [*reports, None]
        states, rows = dag.run()
        assert states == ["success"] * 3
        said_by = f"{stack.source.host} in the run {run_id} of mirror_quay_to_world"
        assert rows[0]["check"]["tags"] == [
            {"tag": "v1", "digest": str(IMAGE.digest), "said_by": said_by, "problem": ""}
        ]


def copied(source: str, tag: str, digest: Digest) -> dict[str, Any]:
    """A report of a mirror's task, as it crosses XCom."""
    tags = (TagResult.copied(tag, digest, "changed"),)
    return RouteReport(
        mirror="quay_to_world", route_key="any", source=source, destination="any", counts={"copied": 1}, tags=tags
    ).to_json()


@pytest.mark.timeout(300)
def test_runs_of_a_real_airflow(stack: Stack, tmp_path: Path) -> None:
    """A run remembers for those after it what the source said, and so does a mirror's."""
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
    assert f"{IMAGE.digest} by {stack.source.host} when it last answered" in second.stdout
    images.push(stack.acr.url, NAME, "v1", IMAGE)
    stack.source.start()
    images.push(stack.source.url, NAME, "v1", OTHER)
    mirrored = airflow.run("dags", "test", "mirror_quay_to_world")
    assert mirrored.returncode == 0, mirrored.stdout[-4000:] + mirrored.stderr[-4000:]
    stack.source.stop()
    third = airflow.run("dags", "test", "mirror_readiness")
    assert third.returncode == 0, third.stdout[-4000:] + third.stderr[-4000:]
    assert "outside  yes     yes       yes\n" in third.stdout
