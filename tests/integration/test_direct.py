"""``transfer: direct``: the requests it sends, and what it makes of registries with habits of their own."""

from __future__ import annotations

import re
import signal
import threading
import zlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.oci.manifest import OCI_MANIFEST
from registry_sync.registry.content import blob_copy, uploads
from registry_sync.registry.endpoint import Credentials
from registry_sync.sync import publish
from registry_sync.sync import session as session_module
from registry_sync.sync.content import blob_copies
from registry_sync.sync.session import Session
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.memory_source import MemorySource
from testkit.registry import RegistryProcess
from testkit.routes import asked, counted, make_route, result_of, run_route
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.small_registry import SmallRegistry
from testkit.token_server import ALL_ACTIONS, TokenServer
from testkit.waiting import PATIENCE_SECONDS, wait_until
from tests.integration.conftest import SkopeoLog
from tests.integration.test_blobs import copy, described
from tests.integration.test_shapes import FOREIGN, config, descriptor, layer, made

pytestmark = pytest.mark.usefixtures("own_temporary_directory")


def small_image(name: str, base: images.Blob) -> Image:
    """An index of two platforms with five layers of 50 kB, one of them shared: seven blobs."""
    own = [images.big_layer(50_000, seed=zlib.crc32(f"{name} {number}".encode())) for number in range(4)]
    platforms = ("linux/amd64", "linux/arm64")
    return images.index([images.image([base, *own[2 * i : 2 * i + 2]], platforms[i]) for i in range(2)])


def kinds(wire: RegistryProcess | Interceptor, name: str) -> Counter[str]:
    """The requests for a repository, without digests and ids of uploads."""
    return Counter(re.sub(r"sha256:[0-9a-f]{64}|(?<=uploads/).*(?= )", "*", line) for line in asked(wire, name))


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, the registries do not count as far away, and what was observed as fresh."""
    monkeypatch.setattr(blob_copies, "SLOW_SECONDS", float("inf"))
    monkeypatch.setattr(session_module, "FAR_SECONDS", float("inf"))
    monkeypatch.setattr(publish, "FRESH_SECONDS", float("inf"))


@pytest.mark.usefixtures("near")
class TestCosts:
    def test_a_small_image_costs_31_requests_and_no_process(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
    ) -> None:
        images.push(source.url, name, "v1", small_image(name, images.big_layer(50_000)))
        source.clear_requests()
        destination.clear_requests()
        report = run_route(make_route(source, destination, name, transfer="direct", signatures=False))
        assert counted(report) == {"copied": 1}
        images_read = {"GET tags/list 200": 1, "HEAD manifests/v1 200": 1, "GET manifests/* 200": 3}
        assert kinds(source, name) == {**images_read, "GET blobs/* 200": 7}
        sent = {"POST blobs/uploads/* 202": 7, "PUT blobs/uploads/* 201": 7, "PUT manifests/* 201": 2}
        tag = {"HEAD manifests/v1 404": 1, "PUT manifests/v1 201": 1, "HEAD manifests/v1 200": 1}
        assert kinds(destination, name) == {**sent, **tag}
        assert not skopeo_log.copies
        images.pull_whole(destination.url, name, "v1")

    def test_small_images_need_one_connection_each_at_the_most(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        base = images.big_layer(50_000)
        for number in range(5):
            images.push(source.url, name, f"v{number}", small_image(f"{name} {number}", base))
        with Interceptor(source.url) as here, Interceptor(destination.url) as there:
            route = make_route(here, there, name, transfer="direct")
            sides = {side: replace(getattr(route, side), max_connections=2) for side in ("source", "destination")}
            assert counted(run_route(replace(route, **sides))) == {"copied": 5}
            assert here.connections + there.connections <= 5
        heads = kinds(destination, name)
        assert heads["POST blobs/uploads/* 202"] == heads["PUT blobs/uploads/* 201"] == 5 * 6 + 1, "the base goes once"

    def test_a_retry_sends_no_blob_again(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        images.push(source.url, name, "v1", content := small_image(name, images.big_layer(50_000)))
        wire.answer("PUT", "/manifests/v1$", 409, times=1)
        assert counted(run_route(make_route(source, wire, name, transfer="direct"))) == {"failed": 1}
        wire.clear_requests()
        report = run_route(make_route(source, wire, name, transfer="direct"))
        assert (counted(report), report.sent_bytes) == ({"copied": 1}, 0)
        blobs = len({blob.digest for blob in content.all_blobs()})
        assert kinds(wire, name)["POST blobs/uploads/* 201"] == kinds(wire, name)["HEAD blobs/* 200"] == blobs


def test_a_layer_is_mounted_from_another_repository(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    base = images.big_layer(300_000, seed=5)
    for part in ("one", "two"):
        images.push(source.url, f"{name}/{part}", "v1", images.image([base], labels={"part": part}))
        report = run_route(make_route(source, destination, f"{name}/{part}", transfer="direct"))
        assert counted(report) == {"copied": 1}
        assert (report.sent_bytes > len(base.content)) is (part == "one")
        images.pull_whole(destination.url, f"{name}/{part}", "v1")


@pytest.mark.parametrize(("status", "requests"), [(None, 2), (400, 1), (401, 1), (403, 1), (500, 3)])
@pytest.mark.usefixtures("near", "recorded_pauses")
def test_a_layer_of_a_repository_that_may_not_be_read_is_sent(
    source: RegistryProcess, name: str, status: int | None, requests: int
) -> None:
    """Token servers grant fewer rights, or refuse the whole request, as strict ones do."""
    base, user = images.big_layer(300_000, seed=5), Credentials(username="robot", secret="password")
    with (
        TokenServer({user.username: user.secret}, grants={}, partial_status=status) as tokens,
        RegistryProcess(auth=tokens.token_auth) as locked,
    ):
        for part in ("one", "two"):
            tokens.grants = {user.username: {f"{name}/{part}": ALL_ACTIONS}}
            images.push(source.url, f"{name}/{part}", "v1", images.image([base], labels={"part": part}))
            route = make_route(source, locked, f"{name}/{part}", transfer="direct")
            report = run_route(route, destination_credentials=user)
            assert [(result.outcome, result.reason) for result in report.tags] == [
                ("copied", "missing at the destination")
            ]
            assert report.sent_bytes > len(base.content)
        assert sum(len(asked.scopes) == 2 for asked in tokens.requests()) == requests, "not once for each layer"


@pytest.mark.parametrize("status", [404, 204, 206, 304])
def test_a_mount_that_is_confirmed_and_not_kept_is_sent(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, status: int
) -> None:
    """Only a 200 to a HEAD says that a blob is there."""
    content = images.image([images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    wire.answer("POST", "/blobs/uploads/$", 201, times=1)
    wire.answer("HEAD", "/blobs/", status, times=1)
    assert counted(run_route(make_route(source, wire, name, transfer="direct"))) == {"copied": 1}
    assert kinds(wire, name)[f"HEAD blobs/* {status}"] == 1
    images.pull_whole(destination.url, name, "v1")


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize(("status", "times"), [(400, 1), (404, 1), (405, 1), (500, 3)])
@pytest.mark.usefixtures("near")
def test_a_registry_that_refuses_mounts_gets_plain_uploads(
    source: RegistryProcess,
    destination: RegistryProcess,
    wire: Interceptor,
    name: str,
    recorded_pauses: list[float],
    *,
    status: int,
    times: int,
) -> None:
    """CUE's ociserver answers 404. No mount is tried again in this run: a HEAD asks whether a blob is there."""
    images.push(source.url, name, "v1", content := images.multi_arch(name))
    wire.answer("POST", "/blobs/uploads/$", status, times=times)
    assert counted(run_route(make_route(source, wire, name, transfer="direct"))) == {"copied": 1}
    blobs = len({blob.digest for blob in content.all_blobs()})
    sent = kinds(wire, name)
    assert sent[f"POST blobs/uploads/* {status}"] == times
    assert sent["POST blobs/uploads/* 202"] == sent["HEAD blobs/* 404"] == blobs
    assert len(recorded_pauses) == times - 1
    images.pull_whole(destination.url, name, "v1")


def test_a_registry_that_ignores_mounts_gets_no_large_blob_twice(source: RegistryProcess, name: str) -> None:
    """Crane's registry answers each mount as if it had nothing."""
    layer = images.big_layer(blob_copy.LARGE_BYTES + 1, seed=7)
    with SmallRegistry() as destination:
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.image([layer], labels={"tag": tag}))
            report = run_route(make_route(source, destination, name, transfer="direct"))
            assert (report.sent_bytes > len(layer.content)) is (tag == "v1")
        assert destination.tags(name).keys() == {"v1", "v2"}
        assert destination.blobs[str(layer.digest)] == layer.content


def test_children_are_there_before_their_index_and_an_image_before_its_signature(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    content = images.multi_arch(name)
    signature = images.cosign_signature(content)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, images.cosign_tag(content), signature)
    destination.clear_requests()
    assert counted(run_route(make_route(source, destination, name, transfer="direct"))) == {"copied": 2}
    put = [request.path.rpartition("/")[2] for request in destination.requests() if request.method == "PUT"]
    manifests = [target for target in put if "?" not in target and (target.startswith("sha256") or target == "v1")]
    children = [str(child.digest) for child in content.children]
    assert manifests == [*children, str(content.digest), images.cosign_tag(content), "v1"]


class Chunked(ScriptedServer):
    """A registry that takes parts of at least ``least`` bytes, and breaks off an upload after ``cuts`` parts.

    :param claims: the bytes that it claims to have of a broken upload; by default those that it has.
    :param refusals: the status and the code of its answers to some writes, by their number.
    :param told: what it answers to each part: its headers.
    """

    def __init__(
        self,
        *,
        least: int | None = None,
        cuts: int = 0,
        claims: int | None = None,
        refusals: Mapping[int, tuple[int, str]] | None = None,
        refuses_whole: bool = False,
        told: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self._reply)
        self.least, self.cuts, self.claims, self.refuses_whole = least, cuts, claims, refuses_whole
        self.refusals = dict(refusals or {})
        self.told = told
        self.stored = b""
        self.writes = 0
        self.ranges: list[str] = []

    def _reply(self, request: ScriptedRequest) -> Reply:
        location = f"/upload/{len(self.stored)}?state=a"
        headers = {"Location": location, "Range": f"0-{max(len(self.stored) - 1, 0)}"}
        if request.method == "POST":
            least = {"OCI-Chunk-Min-Length": str(self.least)} if self.least else {}
            return Reply(status=202, headers={**headers, **least})
        if request.method == "GET":
            claimed = {"Range": f"0-{self.claims - 1}"} if self.claims else {}
            return Reply(status=204, headers={**headers, **claimed})
        if request.method in ("HEAD", "DELETE"):
            self.stored = b""
            return Reply(status=404)
        if request.method == "PUT" and self.refuses_whole and request.body:
            return Reply(status=413)
        if request.method in ("PATCH", "PUT"):
            self.writes += 1
            if self.writes in self.refusals:
                status, code = self.refusals[self.writes]
                return Reply(status=status, body=f'{{"errors": [{{"code": "{code}"}}]}}'.encode())
            self.stored += request.body
            self.ranges.append(f"{request.method} {len(request.body)}")
            if self.cuts and request.method == "PATCH":
                self.cuts -= 1
                return Reply(status=502)
        stored = {"Location": f"/upload/{len(self.stored)}?state=a", "Range": f"0-{len(self.stored) - 1}"}
        if request.method == "PATCH":
            return Reply(status=202, headers=stored if self.told is None else self.told)
        return Reply(status=201, headers=stored)


PARTS = ["PATCH 100000", "PATCH 100000", "PATCH 50000", "PUT 0"]


@pytest.mark.parametrize(
    ("server", "ranges"),
    [
        ({"least": 100_000}, PARTS),
        ({"least": 200_000}, ["PATCH 200000", "PATCH 50000", "PUT 0"]),
        ({"least": 300_000}, ["PUT 250000"]),
        ({"least": 100_000, "cuts": 1}, PARTS),
        ({"least": 100_000, "cuts": 3}, PARTS),
        ({"least": 100_000, "cuts": 1, "claims": 200_000}, ["PATCH 100000", *PARTS]),
        ({"least": 100_000, "cuts": 1, "claims": 250_000}, ["PATCH 100000", *PARTS]),
        ({"least": 100_000, "cuts": 1, "claims": 250_001}, ["PATCH 100000", *PARTS]),
        ({"least": 100_000, "refusals": {2: (416, "BLOB_UPLOAD_INVALID")}}, PARTS),
        ({"least": 100_000, "cuts": 1, "refusals": {2: (400, "BLOB_UPLOAD_INVALID")}}, ["PATCH 100000", *PARTS]),
        ({"least": 100_000, "cuts": 1, "refusals": {2: (405, "UNSUPPORTED")}}, ["PATCH 100000", *PARTS]),
        ({"least": 100_000, "refusals": {4: (400, "DIGEST_INVALID")}}, [*PARTS[:3], *PARTS]),
        ({"refuses_whole": True}, PARTS),
        ({"least": 100_000, "told": {}}, PARTS),
        ({"least": 100_000, "told": {"Range": "0-99999"}}, PARTS),
        ({"least": 100_000, "told": {"Range": "0-0"}}, PARTS),
        ({"least": 100_000, "told": {"Range": "bytes 0-100000/*"}}, PARTS),
    ],
)
def test_parts_and_resumes_of_an_upload(
    monkeypatch: pytest.MonkeyPatch, recorded_pauses: list[float], server: dict[str, Any], ranges: list[str]
) -> None:
    """A broken upload goes on with what the registry has of it; its Location is kept with its query.

    However often it breaks off: only attempts in a row without progress are counted. An upload whose bytes are wrong,
    or that the registry does not continue, is begun again.
    """
    for module in (uploads, blob_copy):
        monkeypatch.setattr(module, "CHUNK_BYTES", 100_000)
    content = bytes(range(250)) * 1000
    with ScriptedServer(lambda _: Reply(body=content)) as source, Chunked(**server) as destination:
        copy(source, destination, described(content))
        assert destination.stored == content
        assert destination.ranges == ranges
        assert all("state=a" in each.target for each in destination.shown if each.method in ("PATCH", "PUT", "GET"))
    assert len(recorded_pauses) == server.get("cuts", 0) + len(server.get("refusals", ())) + ("refuses_whole" in server)


@pytest.mark.parametrize("answer", ["206", "short", "200", "416", "late"])
def test_a_download_goes_on_where_it_broke_off(
    source: RegistryProcess, destination: RegistryProcess, name: str, recorded_pauses: list[float], answer: str
) -> None:
    """A registry without ranges sends the blob once more, and what was there already is left out.

    Others send less than was asked for at a time.
    """
    layer = images.big_layer(400_000, seed=11)
    images.push(source.url, name, "v1", images.image([layer]))
    path = f"/blobs/{layer.digest}$"
    with Interceptor(source.url) as wire:
        wire.truncate("GET", path, 100_000, times=1)
        late, short = ({"Content-Range": f"bytes {part}/400000"} for part in ("399999-399999", "50000-149999"))
        answers = {"200": (200, layer.content, {}, None), "416": (416, b"", {}, 1), "late": (206, b"x", late, 1)}
        answers["short"] = (206, layer.content[50_000:150_000], short, 1)
        if answer in answers:
            wire.after("GET", path, lambda _: wire.answer("GET", path, *answers[answer]), times=1)
        assert counted(run_route(make_route(wire, destination, name, transfer="direct"))) == {"copied": 1}
    assert len(recorded_pauses) == (1 if answer in ("206", "short", "200") else 2)
    uploaded = [each for each in asked(destination, name) if each.startswith("PUT blobs/uploads")]
    assert len(uploaded) == 2, "the upload went on meanwhile"
    images.pull_whole(destination.url, name, "v1")


class TestFarRegistries:
    """Requests that wait for the network are sent at the same time, and no more of them."""

    @pytest.fixture(autouse=True)
    def far(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session_module, "FAR_SECONDS", 0.0)

    def test_images_cost_no_more_requests_than_between_near_ones(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        base = images.big_layer(50_000)
        for number in range(5):
            images.push(source.url, name, f"v{number}", small_image(f"{name} {number}", base))
        source.clear_requests()
        destination.clear_requests()
        assert counted(run_route(make_route(source, destination, name, transfer="direct"))) == {"copied": 5}
        read = kinds(source, name)
        assert (read["GET manifests/* 200"], read["GET blobs/* 200"]) == (15, 31)
        assert read["GET referrers/* 404"] == 15
        sent = kinds(destination, name)
        assert (sent["PUT blobs/uploads/* 201"], sent["PUT manifests/* 201"]) == (31, 10)
        for number in range(5):
            images.pull_whole(destination.url, name, f"v{number}")

    def test_the_first_children_are_read_at_the_same_time(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Each waits until the other one was asked for."""
        content = small_image(name, images.big_layer(50_000))
        images.push(source.url, name, "v1", content)
        both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

        def meet(_: object) -> None:
            both.wait()

        with Interceptor(source.url) as here:
            for child in content.children:
                here.after("GET", f"/manifests/{child.digest}", meet, times=1)
            assert counted(run_route(make_route(here, destination, name, transfer="direct"))) == {"copied": 1}
        assert not both.broken

    def test_the_next_image_is_read_while_one_is_copied(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Layers of more images than ``parallel_copies`` are not on their way at the same time."""
        contents = [small_image(f"{name} {number}", images.big_layer(50_000, seed=number)) for number in range(2)]
        for number, content in enumerate(contents):
            images.push(source.url, name, f"v{number}", content)
        with Interceptor(source.url) as here:

            def wait_for_manifests(_: object) -> None:
                wait_until(lambda: kinds(here, name)["GET manifests/* 200"] == 6, "both images are read")

            here.after("GET", "/blobs/", wait_for_manifests, times=1)
            route = make_route(here, destination, name, transfer="direct", parallel_copies=1)
            assert counted(run_route(route)) == {"copied": 2}
            read = [each.path.rpartition("/")[2] for each in here.requests() if "/blobs/" in each.path]
        own = {str(blob.digest) for blob in contents[0].all_blobs()}
        assert len(read) == 14
        assert {digest in own for digest in read[:7]} in ({True}, {False}), "those of one image"

    @pytest.mark.parametrize(("images_to_copy", "most", "expected"), [(1, 8, 4), (3, 8, 8), (3, 2, 2)])
    def test_connections_are_opened_before_they_are_needed(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        name: str,
        images_to_copy: int,
        most: int,
        expected: int,
    ) -> None:
        """Before the first manifest of an image is read, whose response waits for them."""
        for number in range(images_to_copy):
            images.push(source.url, name, f"v{number}", small_image(f"{name} {number}", images.big_layer(50_000)))
        with Interceptor(source.url) as here, Interceptor(destination.url) as there:

            def wait_for_both(_: object) -> None:
                wait_until(lambda: min(here.connections, there.connections) >= expected, "they are opened")

            here.after("GET", "/manifests/sha256:", wait_for_both)
            route = make_route(here, there, name, transfer="direct")
            sides = {side: replace(getattr(route, side), max_connections=most) for side in ("source", "destination")}
            assert counted(run_route(replace(route, **sides))) == {"copied": images_to_copy}
            assert expected <= min(here.connections, there.connections)
            assert max(here.connections, there.connections) <= most

    def test_a_child_that_the_destination_refuses_fails_its_image(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content = small_image(name, images.big_layer(50_000))
        images.push(source.url, name, "v1", content)
        refused = content.children[1].digest
        body = b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no"}]}'
        wire.answer("PUT", f"/manifests/{refused}", 400, body, {"Content-Type": "application/json"})
        (result,) = run_route(make_route(source, wire, name, transfer="direct")).tags
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert kinds(wire, name)["PUT manifests/v1 201"] == 0


@pytest.mark.parametrize("far_seconds", [0.0, float("inf")])
@pytest.mark.parametrize("most", [1, 2, 8])
def test_no_more_requests_are_in_flight_than_a_registry_allows(
    source: RegistryProcess,
    destination: RegistryProcess,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    far_seconds: float,
) -> None:
    """Each kept connection has one request at a time. Images, children, referrers and layers share the limit."""
    monkeypatch.setattr(session_module, "FAR_SECONDS", far_seconds)
    base = images.big_layer(blob_copy.LARGE_BYTES, seed=3)
    for number in range(4):
        images.push(source.url, name, f"v{number}", small_image(f"{name} {number}", base))
    with Interceptor(source.url) as here, Interceptor(destination.url) as there:
        for wire in (here, there):
            wire.delay("*", "/(blobs|referrers)/", 0.01)
        route = make_route(here, there, name, transfer="direct", parallel_copies=8)
        sides = {side: replace(getattr(route, side), max_connections=most) for side in ("source", "destination")}
        assert counted(run_route(replace(route, **sides))) == {"copied": 4}
        assert here.most_in_flight <= most >= there.most_in_flight
        assert here.connections <= most >= there.connections
    for number in range(4):
        images.pull_whole(destination.url, name, f"v{number}")


@pytest.mark.usefixtures("recorded_pauses")
def test_copies_that_are_resumed_wait_for_no_slot_of_each_other(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """A download that breaks off is continued within its upload, while other layers wait for the only connections."""
    layers = [images.big_layer(blob_copy.LARGE_BYTES, seed=number) for number in range(4)]
    images.push(source.url, name, "v1", images.image(layers))
    with Interceptor(source.url) as here, Interceptor(destination.url) as there:
        for layer in layers:
            here.truncate("GET", f"/blobs/{layer.digest}$", 600_000, times=1)
        there.answer("PUT", "/blobs/uploads/", 502, times=2)
        route = make_route(here, there, name, transfer="direct")
        sides = {side: replace(getattr(route, side), max_connections=1) for side in ("source", "destination")}
        assert counted(run_route(replace(route, **sides))) == {"copied": 1}
        assert (here.most_in_flight, there.most_in_flight) == (1, 1)
    images.pull_whole(destination.url, name, "v1")


@pytest.mark.parametrize(("source_connections", "destination_connections"), [(2, 16), (16, 2), (1, 16)])
def test_large_layers_take_no_more_connections_than_either_registry_allows(
    source: RegistryProcess,
    destination: RegistryProcess,
    name: str,
    source_connections: int,
    destination_connections: int,
) -> None:
    layers = [images.big_layer(blob_copy.LARGE_BYTES, seed=number) for number in range(6)]
    images.push(source.url, name, "v1", images.image(layers))
    with Interceptor(source.url) as here, Interceptor(destination.url) as there:
        here.slow("GET", "/blobs/", 10_000_000)
        route = make_route(here, there, name, transfer="direct")
        most = {"source": source_connections, "destination": destination_connections}
        sides = {side: replace(getattr(route, side), max_connections=number) for side, number in most.items()}
        assert counted(run_route(replace(route, **sides))) == {"copied": 1}
        least = min(most.values())
        assert max(here.connections, there.connections) <= least + least // 2, "the config is sent beside layers"
    images.pull_whole(destination.url, name, "v1")


def test_a_stopped_task_ends_at_once(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    """Its connections are broken off, also while nothing arrives."""
    layer = images.big_layer(2_000_000, seed=13)
    images.push(source.url, name, "v1", images.image([layer]))
    with Interceptor(source.url) as wire, ExitStack() as stack:
        wire.hang("GET", f"/blobs/{layer.digest}$")
        sessions: list[Session] = []
        pool = stack.enter_context(ThreadPoolExecutor(1))
        route = make_route(wire, destination, name, transfer="direct")
        pending = pool.submit(run_route, route, on_start=sessions.append)
        wait_until(
            lambda: any(str(layer.digest) in request.path for request in wire.requests()), "the blob is asked for"
        )
        sessions[0].stop()
        result = result_of(pending.result(timeout=PATIENCE_SECONDS), "v1")
    assert (result.error_class, result.reason) == ("temporary", "the task is being ended, so nothing more is sent")
    assert images.resolve(destination.url, name, "v1") is None


class _Interrupted(BaseException):
    """As Airflow raises it in a task that takes too long."""


def _interrupt(*_: object) -> None:
    raise _Interrupted


def test_an_interrupted_task_leaves_no_thread(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    """Layers that wait for their turn are given up. A thread that waited for them would keep the process alive."""
    layers = [images.big_layer(blob_copy.LARGE_BYTES, seed=number) for number in range(4)]
    images.push(source.url, name, "v1", images.image(layers))
    before, main = _threads(), threading.main_thread().ident or 0

    def interrupt() -> None:
        wait_until(
            lambda: sum("/blobs/" in request.path for request in wire.requests()) == 2, "two layers are asked for"
        )
        signal.pthread_kill(main, signal.SIGUSR1)

    earlier = signal.signal(signal.SIGUSR1, _interrupt)
    with Interceptor(source.url) as wire, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGUSR1, earlier)
        wire.hang("GET", "/blobs/")
        route = make_route(wire, destination, name, transfer="direct", signatures=False)
        sides = {side: replace(getattr(route, side), max_connections=2) for side in ("source", "destination")}
        pool.submit(interrupt)
        with pytest.raises(_Interrupted):
            run_route(replace(route, **sides))
        wait_until(lambda: _threads() <= before, "all threads end")


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("registry_sync")}


def test_no_skopeo_is_needed(
    source: RegistryProcess, destination: RegistryProcess, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.push(source.url, name, "v1", content := images.nested_index(name))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert counted(run_route(make_route(source, destination, name, transfer="direct"))) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == content.digest
    images.pull_whole(destination.url, name, "v1")


@pytest.mark.parametrize(
    ("media_type", "is_at_source", "is_copied"),
    [
        (images.OCI_LAYER, True, True),
        (images.OCI_LAYER, False, False),
        (images.DOCKER_LAYER, True, True),
        (FOREIGN, True, False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True, False),
    ],
)
def test_layers_with_urls(name: str, media_type: str, *, is_at_source: bool, is_copied: bool) -> None:
    """Only foreign layers are not for registries. Machines may reach no URL, and a registry may have other layers."""
    base, own, settings = layer(f"{name} base", media_type), layer(name), config(name)
    entries = [descriptor(base, urls=["https://layers.example/base"]), descriptor(own)]
    document = {"mediaType": OCI_MANIFEST, "config": descriptor(settings), "layers": entries}
    held = (settings, own, base) if is_at_source else (settings, own)
    with MemorySource() as source, SmallRegistry() as destination:
        source.add(made(document, *held), "v1")
        route = make_route(source, destination, name, transfer="direct", signatures=False)
        assert counted(run_route(route)) == {"copied": 1}
        assert (str(base.digest) in destination.blobs) is is_copied
        assert str(own.digest) in destination.blobs


def test_a_policy_is_never_bypassed(
    source: RegistryProcess, destination: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """A mirrors file with both is refused; a route may also come from elsewhere."""
    images.push(source.url, name, "v1", images.multi_arch(name))
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    with pytest.raises(ConfigurationError) as caught:
        run_route(make_route(source, destination, name, transfer="direct", policy=policy))
    assert str(caught.value) == (
        "policy cannot be used with transfer: direct, because only skopeo checks policies; nothing was copied"
    )
    assert not [request for request in destination.requests() if name in request.path and request.method != "HEAD"]
