"""Shapes of content that skopeo cannot copy: our own client copies their parts, and a policy refuses them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from registry_sync.oci.manifest import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry_sync.oci.reference import Digest
from registry_sync.registry.content.damaged_blobs import removal_advice
from registry_sync.sync.content import blob_copies
from testkit import images
from testkit.images import Blob, Image
from testkit.interceptor import Interceptor
from testkit.memory_source import MemorySource
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.scripted import Reply, ScriptedRequest
from testkit.sleeping_clock import SleepingClock
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog

BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"
OLLAMA = "application/vnd.ollama.image."
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def descriptor(blob: Blob, *, algorithm: str = "sha256", **fields: Any) -> dict[str, Any]:
    digest = Digest.of(blob.content, algorithm)
    return {"mediaType": blob.media_type, "digest": str(digest), "size": len(blob.content), **fields}


def made(document: dict[str, Any], *blobs: Blob, children: tuple[Image, ...] = ()) -> Image:
    content = json.dumps({"schemaVersion": 2, **document}, separators=(",", ":")).encode()
    return Image(content=content, media_type=document["mediaType"], blobs=blobs, children=children)


def manifest(media_type: str, config: Blob, *layers: Blob, algorithm: str = "sha256") -> Image:
    config_entry, *layer_entries = (descriptor(each, algorithm=algorithm) for each in (config, *layers))
    return made({"mediaType": media_type, "config": config_entry, "layers": layer_entries}, config, *layers)


def layer(name: str, media_type: str = images.OCI_LAYER) -> Blob:
    return Blob(images.layer({"a": name.encode()}).content, media_type)


def config(name: str, media_type: str = images.OCI_CONFIG, size_bytes: int = 0) -> Blob:
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    labels = {"name": name, "filler": "x" * size_bytes}
    return Blob(json.dumps({**document, "config": {"Labels": labels}}).encode(), media_type)


def build_cache(name: str) -> Image:
    blobs = layer(f"{name} 1"), layer(f"{name} 2"), Blob(b'{"layers": [], "records": []}', BUILDKIT)
    return made({"mediaType": OCI_INDEX, "manifests": [descriptor(blob) for blob in blobs]}, *blobs)


def docker_with_oci_layers(name: str) -> Image:
    return manifest(DOCKER_MANIFEST, config(name, images.DOCKER_CONFIG), layer(name))


def ollama_model(name: str) -> Image:
    parts = [Blob(f"{name} {kind}".encode(), f"{OLLAMA}{kind}") for kind in ("model", "template", "params")]
    return manifest(DOCKER_MANIFEST, config(name, images.DOCKER_CONFIG), *parts)


def large_config(name: str) -> Image:
    return manifest(OCI_MANIFEST, config(name, size_bytes=5 * 1024 * 1024), layer(name))


def sha512_blobs(name: str) -> Image:
    return manifest(OCI_MANIFEST, config(name), layer(name), algorithm="sha512")


def index_with_odd_child(name: str) -> Image:
    return images.index([images.image([images.layer({"b": name.encode()})]), docker_with_oci_layers(name)])


SHAPES: dict[str, tuple[Callable[[str], Image], str]] = {
    "build cache": (
        build_cache,
        f"it is an index of {images.OCI_LAYER!r}, as the caches of BuildKit are",
    ),
    "Docker manifest with OCI layers": (
        docker_with_oci_layers,
        f"it is of Docker's type with a layer of type {images.OCI_LAYER!r}",
    ),
    "ollama model": (ollama_model, f"it is of Docker's type with a layer of type '{OLLAMA}model'"),
    "large config": (large_config, "its config has {config_bytes} bytes, more than 4 MiB"),
    "sha512": (sha512_blobs, "it has digests by sha512"),
}


@pytest.fixture
def accepting_policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return path


def assert_whole(destination: RegistryProcess, name: str, reference: str | Digest, image: Image) -> None:
    """Read every manifest and blob of an image."""
    headers = {"Accept": image.media_type}
    response = requests.get(
        f"{destination.url}/v2/{name}/manifests/{reference}", headers=headers, timeout=PATIENCE_SECONDS
    )
    assert response.content == image.content
    for digest in set(re.findall(r"sha\d+:[0-9a-f]{64,128}", image.content.decode())) - {
        str(child.digest) for child in image.children
    }:
        blob = requests.get(f"{destination.url}/v2/{name}/blobs/{digest}", timeout=PATIENCE_SECONDS)
        assert str(Digest.of(blob.content, digest.partition(":")[0])) == digest
    for child in image.children:
        assert_whole(destination, name, child.digest, child)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"Retry-After": "1"}])
def test_a_429_to_an_upload_of_ours_pauses_the_destination_only(
    wire: Interceptor, name: str, own_temporary_directory: Path, headers: dict[str, str]
) -> None:
    wire.answer("PUT", "/blobs/uploads/", 429, b"slow down", headers, times=1)
    with MemorySource() as source:
        source.add(docker_with_oci_layers(name), "v1")
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    paused = [path.name for path in own_temporary_directory.glob("*/rate-*") if json.loads(path.read_text())[1] > 0]
    assert paused == [f"rate-{wire.host.replace(':', '_')}"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_skopeo_cannot_copy_is_copied(
    destination: RegistryProcess, name: str, skopeo_log: SkopeoLog, shape: str
) -> None:
    content = SHAPES[shape][0](name)
    with MemorySource() as source:
        source.add(content, "v1")
        route = make_route(source, destination, name)
        report = run_route(route)
        assert counted(report) == {"copied": 1}
        assert (
            report.sent_bytes == result_of(report, "v1").sent_bytes == sum(len(blob.content) for blob in content.blobs)
        )
        assert counted(run_route(route)) == {"unchanged": 1}
        source.add(content, "v2")
        again = run_route(route)
        assert (counted(again), again.sent_bytes) == ({"copied": 1, "unchanged": 1}, 0)
    assert not skopeo_log.copies
    assert_whole(destination, name, "v1", content)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_policy_refuses_it_and_names_skopeo(
    destination: RegistryProcess, name: str, accepting_policy: Path, shape: str
) -> None:
    make, obstacle = SHAPES[shape]
    content = make(name)
    obstacle = obstacle.format(config_bytes=len(content.blobs[0].content))
    with MemorySource() as source:
        source.add(content, "v1")
        result = result_of(run_route(make_route(source, destination, name, policy=accepting_policy)), "v1")
    assert result.error_class == "refused"
    assert result.reason == (
        f"skopeo cannot copy {content.digest.short}: {obstacle}; the policy allows nothing that skopeo has not checked"
    )
    assert images.resolve(destination.url, name, "v1") is None


def test_an_index_with_such_a_child_is_copied(destination: RegistryProcess, name: str) -> None:
    content = index_with_odd_child(name)
    with MemorySource() as source:
        source.add(content, "v1")
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    assert_whole(destination, name, "v1", content)


def test_an_index_with_such_a_child_is_refused_by_a_policy(
    destination: RegistryProcess, name: str, accepting_policy: Path
) -> None:
    with MemorySource() as source:
        source.add(index_with_odd_child(name), "v1")
        result = result_of(run_route(make_route(source, destination, name, policy=accepting_policy)), "v1")
    assert "the policy allows nothing that skopeo has not checked" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


def test_a_lost_layer_of_a_build_cache_is_sent_again(destination: RegistryProcess, name: str) -> None:
    content = build_cache(name)
    with MemorySource() as source:
        source.add(content, "v1")
        route = make_route(source, destination, name)
        run_route(route)
        destination.forget_blob(content.blobs[0].digest)
        destination.restart()
        source.add(content, "v2")
        assert counted(run_route(route)) == {"copied": 1, "unchanged": 1}
    assert_whole(destination, name, "v2", content)


def test_a_blob_of_another_size_at_the_destination_is_not_published(
    destination: RegistryProcess, wire: Interceptor, name: str
) -> None:
    content = build_cache(name)
    blob = content.blobs[0]
    images.push(destination.url, name, "other", images.image([blob]))
    wire.answer("HEAD", f"/blobs/{blob.digest}", 200, bytes(7))
    with MemorySource() as source:
        source.add(content, "v1")
        result = result_of(run_route(make_route(source, wire, name)), "v1")
    assert (result.outcome, result.error_class) == ("failed", "temporary")
    assert result.reason == (
        f"{blob.digest} is damaged in {wire.host}/{name}: it has 7 instead of {len(blob.content)} bytes; "
        f"{removal_advice('distribution', blob.digest)}"
    )
    assert images.resolve(destination.url, name, "v1") is None


def test_the_timeout_of_a_copy_ends_it(
    destination: RegistryProcess, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, content = SleepingClock(), build_cache(name)
    monkeypatch.setattr(blob_copies, "time", clock)

    def wait(request: ScriptedRequest) -> None:
        if "/blobs/" in request.target:
            clock.sleep(61)

    with MemorySource(wait) as source:
        source.add(content, "v1")
        route = make_route(source, destination, name, copy_timeout_minutes=1)
        result = result_of(run_route(route), "v1")
    assert (result.outcome, result.error_class) == ("failed", "temporary")
    assert "was ended: with the image's other blobs it took 60 s" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


def test_a_byte_order_mark_is_the_destinations_to_judge(destination: RegistryProcess, name: str) -> None:
    """docker-registry does not accept it. Others do."""
    plain = images.image([layer(name)])
    content = Image(content=b"\xef\xbb\xbf" + plain.content, media_type=plain.media_type, blobs=plain.blobs)
    with MemorySource() as source:
        source.add(content, "v1")
        result = result_of(run_route(make_route(source, destination, name)), "v1")
        assert result.error_class == "refused"
        assert result.reason.startswith(
            f"PUT http://{destination.host}/v2/{name}/manifests/{content.digest} answered 400 "
        )
        with Interceptor(destination.url) as wire:
            wire.answer("PUT", "/manifests/", 201)
            wire.answer("HEAD", "/manifests/v1", 404, times=1)
            wire.answer("HEAD", "/manifests/v1", 200, headers={"Docker-Content-Digest": str(content.digest)})
            assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}


def test_a_manifest_named_by_sha512_has_its_reason(destination: RegistryProcess, name: str) -> None:
    with MemorySource(algorithm="sha512") as source:
        digest = source.add(images.image([layer(name)]), "v1")
        result = result_of(run_route(make_route(source, destination, name)), "v1")
    assert result.error_class == "refused"
    assert result.reason.startswith(
        f"the destination stores no manifest under a digest by sha512 (PUT http://{destination.host}/v2/{name}/manifests/"
        f"{digest} answered 400 DIGEST_INVALID"
    )
    assert images.resolve(destination.url, name, "v1") is None


def test_a_token_that_skopeo_cannot_read_is_no_obstacle(destination: RegistryProcess, name: str) -> None:
    """``expires_in`` in quotes. The text of skopeo decides, because the shape is an ordinary one."""

    def hook(request: ScriptedRequest) -> Reply | None:
        if request.target.startswith("/token"):
            return Reply(body=b'{"token": "T", "expires_in": "300"}')
        if request.authorization != "Bearer T":
            challenge = f'Bearer realm="{source.url}/token",service="r"'
            return Reply(status=401, headers={"WWW-Authenticate": challenge})
        return None

    content = images.multi_arch(name)
    with MemorySource(hook) as source:
        source.add(content, "v1")
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    assert_whole(destination, name, "v1", content)


class TestForeignLayers:
    """The layers of Windows images have URLs. docker-registry allows none unless it is told to."""

    @pytest.fixture
    def source(self) -> Iterator[MemorySource]:
        with MemorySource() as source:
            yield source

    @staticmethod
    def windows(name: str, media_type: str = DOCKER_MANIFEST) -> Image:
        kind = (
            FOREIGN if media_type == DOCKER_MANIFEST else "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        )
        base, own = (
            layer(f"{name} base", kind),
            layer(name, images.DOCKER_LAYER if "docker" in kind else images.OCI_LAYER),
        )
        settings = config(name, images.DOCKER_CONFIG if "docker" in kind else images.OCI_CONFIG)
        entries = [descriptor(base, urls=["https://layers.example/base"]), descriptor(own)]
        document = {"mediaType": media_type, "config": descriptor(settings), "layers": entries}
        return made(document, settings, own)

    @pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, OCI_MANIFEST])
    @pytest.mark.parametrize("is_index", [False, True])
    def test_that_are_not_allowed_are_a_permanent_failure(
        self, source: MemorySource, destination: RegistryProcess, name: str, media_type: str, is_index: bool
    ) -> None:
        image = self.windows(name, media_type)
        source.add(images.index([images.image([layer(f"{name} linux")]), image]) if is_index else image, "v1")
        result = result_of(run_route(make_route(source, destination, name)), "v1")
        assert result.error_class == "refused"
        assert result.reason.startswith(
            f"the destination does not store {image.digest.short}, which has layers with URLs to download them from, "
            "as Windows images have; allow the URLs (docker-registry and distribution: "
            "validation.manifests.urls.allow), "
            f"or exclude the image (PUT http://{destination.host}/v2/{name}/manifests/{image.digest} answered "
        )
        unknown = Digest.of(layer(f"{name} base").content)
        assert f'MANIFEST_BLOB_UNKNOWN: blob unknown to registry: "{unknown}"' in result.reason
        put = [
            request
            for request in destination.requests()
            if request.method == "PUT" and request.path.endswith(str(image.digest))
        ]
        assert len(put) == 2, "one by skopeo, one by us"

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown"}]}'),
            (500, b'{"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": "invalid URL on layer"}]}'),
        ],
        ids=["Gitea", "distribution 3"],
    )
    def test_that_other_registries_refuse_are_a_permanent_failure(
        self, source: MemorySource, wire: Interceptor, name: str, *, status: int, body: bytes
    ) -> None:
        source.add(self.windows(name), "v1")
        wire.answer("PUT", "/manifests/", status, body)
        result = result_of(run_route(make_route(source, wire, name)), "v1")
        assert result.error_class == "refused"
        assert "validation.manifests.urls.allow" in result.reason

    def test_an_outage_stays_an_outage(self, source: MemorySource, wire: Interceptor, name: str) -> None:
        source.add(self.windows(name), "v1")
        wire.answer("PUT", "/manifests/sha256:", 503, b"come back later")
        result = result_of(run_route(make_route(source, wire, name)), "v1")
        assert result.error_class == "temporary"
        assert "has an outage" in result.reason

    def test_with_a_policy_nothing_is_put_by_us(
        self, source: MemorySource, wire: Interceptor, name: str, accepting_policy: Path
    ) -> None:
        source.add(self.windows(name), "v1")
        wire.answer("PUT", "/manifests/sha256:", 500)
        result = result_of(run_route(make_route(source, wire, name, policy=accepting_policy)), "v1")
        assert result.error_class == "refused"
        assert "validation.manifests.urls.allow" in result.reason
        assert (
            len([request for request in wire.requests() if request.method == "PUT" and "/manifests/" in request.path])
            == 1
        )
