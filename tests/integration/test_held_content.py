"""Content that a destination reports as present: checked before a tag is put on it, sent again where it is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from registry_sync.registry.content.damaged_blobs import removal_advice
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.small_registry import SmallRegistry
from tests.integration.conftest import SkopeoLog


def a_new_tag_on_old_content(source: RegistryProcess, destination: RegistryProcess, name: str, content: Image) -> None:
    """Mirror a tag, then give its image a second tag at the source."""
    images.push(source.url, name, "v1", content)
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    images.push(source.url, name, "v2", content)


def lose(destination: RegistryProcess, lost: images.Blob | Image) -> None:
    destination.forget_blob(lost.digest)
    destination.restart()


PARTS: dict[str, Callable[[Image], images.Blob | Image]] = {
    "layer": lambda image: image.blobs[-1],
    "config": lambda image: image.blobs[0],
}
CHILD_PARTS: dict[str, Callable[[Image], images.Blob | Image]] = {
    "layer of a child": lambda index: index.children[0].blobs[-1],
    "config of a child": lambda index: index.children[1].blobs[0],
    "child": lambda index: index.children[1],
}
NESTED_PARTS: dict[str, Callable[[Image], images.Blob | Image]] = {
    "layer": lambda index: index.children[0].children[1].blobs[-1],
    "index": lambda index: index.children[1],
}


@pytest.mark.parametrize("part", PARTS)
def test_a_lost_part_of_an_image_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str, part: str
) -> None:
    content = images.image([images.layer({"a": name.encode()})])
    a_new_tag_on_old_content(source, destination, name, content)
    lose(destination, PARTS[part](content))
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1, "unchanged": 1}
    images.pull_whole(destination.url, name, "v2")


@pytest.mark.parametrize("part", CHILD_PARTS)
def test_a_lost_part_of_an_index_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str, part: str
) -> None:
    content = images.multi_arch(name)
    a_new_tag_on_old_content(source, destination, name, content)
    lose(destination, CHILD_PARTS[part](content))
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1, "unchanged": 1}
    assert images.pull_whole(destination.url, name, "v2") == {"linux/amd64", "linux/arm64"}


@pytest.mark.parametrize("part", NESTED_PARTS)
def test_a_lost_part_of_a_nested_index_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str, part: str
) -> None:
    content = images.nested_index(name)
    a_new_tag_on_old_content(source, destination, name, content)
    lose(destination, NESTED_PARTS[part](content))
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1, "unchanged": 1}
    images.pull_whole(destination.url, name, "v2")


def test_a_lost_layer_under_a_new_index_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """The index is new, and nested, so that skopeo cannot copy it whole; one of its images is there."""
    inner = images.multi_arch(name)
    images.push(source.url, name, "v1", inner)
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    lose(destination, inner.children[0].blobs[-1])
    images.push(source.url, name, "v2", images.index([inner, images.multi_arch(f"{name} two")]))
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1, "unchanged": 1}
    images.pull_whole(destination.url, name, "v2")


def test_a_lost_layer_of_a_signature_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    content, signature = images.multi_arch(name), images.cosign_signature(images.multi_arch(name))
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, images.cosign_tag(content), signature)
    images.push(destination.url, name, None, signature)
    lose(destination, signature.blobs[-1])
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 2}
    images.pull_whole(destination.url, name, images.cosign_tag(content))


class TestRequests:
    def test_each_blob_is_asked_for_once_for_all_tags(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
    ) -> None:
        """Three images share a layer; two of them have two new tags each."""
        contents = [images.multi_arch(f"{name} {number}") for number in range(3)]
        for number, content in enumerate(contents):
            images.push(source.url, name, f"v{number}", content)
        run_route(make_route(source, destination, name))
        for number, content in enumerate(contents[:2]):
            for tag in ("new", "newer"):
                images.push(source.url, name, f"{tag}{number}", content)
        destination.clear_requests()
        started = len(skopeo_log.copies)
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 4, "unchanged": 3}
        blobs = {blob.digest for content in contents[:2] for blob in content.all_blobs()}
        heads = Counter(request.path for request in destination.requests() if "/blobs/" in request.path)
        assert heads == {f"/v2/{name}/blobs/{digest}": 1 for digest in blobs}
        children = Counter(request.path for request in destination.requests() if request.method == "GET")
        expected = [digest for content in contents[:2] for digest in (content, *content.children)]
        assert children == {f"/v2/{name}/manifests/{each.digest}": 1 for each in expected}
        assert len(skopeo_log.copies) == started

    def test_unchanged_tags_cost_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        images.push(source.url, name, "v1", images.multi_arch(name))
        run_route(make_route(source, destination, name))
        destination.clear_requests()
        assert counted(run_route(make_route(source, destination, name))) == {"unchanged": 1}
        assert [(request.method, request.path) for request in destination.requests()] == [
            ("HEAD", f"/v2/{name}/manifests/v1")
        ]

    def test_a_lost_layer_of_two_images_is_sent_once(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        base = images.layer({"base": name.encode()})
        contents = [images.image([base, images.layer({"a": f"{name} {number}".encode()})]) for number in range(2)]
        for number, content in enumerate(contents):
            images.push(source.url, name, f"v{number}", content)
        run_route(make_route(source, destination, name))
        for number, content in enumerate(contents):
            images.push(source.url, name, f"new{number}", content)
        lose(destination, base)
        destination.clear_requests()
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 2, "unchanged": 2}
        assert len([request for request in destination.requests() if request.method == "POST"]) == 1
        for number in range(2):
            images.pull_whole(destination.url, name, f"new{number}")


@pytest.mark.parametrize("status", [403, 405, 400])
def test_a_refused_head_lets_skopeo_decide(
    source: RegistryProcess,
    destination: RegistryProcess,
    wire: Interceptor,
    name: str,
    skopeo_log: SkopeoLog,
    *,
    status: int,
) -> None:
    content = images.image([images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, None, content)
    wire.answer("HEAD", "/blobs/", status, times=2)
    assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    assert len(skopeo_log.copies) == 1
    images.pull_whole(destination.url, name, "v1")


def test_a_layer_of_another_size_is_not_published(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
) -> None:
    content = images.image([layer := images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, None, content)
    wire.answer("HEAD", f"/blobs/{layer.digest}", 200, bytes(7))
    result = result_of(run_route(make_route(source, wire, name)), "v1")
    assert (result.outcome, result.error_class) == ("failed", "temporary")
    assert result.reason == (
        f"{wire.host}/{name} has {content.digest.short}, but {layer.digest} in it is damaged there: it has 7 instead "
        f"of {len(layer.content)} bytes; {removal_advice('distribution', layer.digest)}"
    )
    assert images.resolve(destination.url, name, "v1") is None


def test_a_head_without_a_length_is_enough(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, skopeo_log: SkopeoLog
) -> None:
    content = images.image([images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, None, content)
    wire.answer("HEAD", "/blobs/", 200)
    assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    assert not skopeo_log.copies


@pytest.mark.parametrize("status", [403, 405, 412])
def test_a_refused_manifest_of_the_destination_is_read_at_the_source(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, *, status: int
) -> None:
    """JFrog and Harbor refuse to show what is not there yet, or what a policy lets nobody pull."""
    images.push(source.url, name, "v1", content := images.multi_arch(name))
    for method in ("GET", "HEAD"):
        wire.answer(method, "/manifests/sha256:", status)
    assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == content.digest
    images.pull_whole(destination.url, name, "v1")


@pytest.mark.parametrize("status", [400, 413, 418, 451])
def test_a_blob_that_the_source_refuses_publishes_nothing(
    source: RegistryProcess, source_wire: Interceptor, name: str, *, status: int
) -> None:
    """The destination, as some do, accepts manifests without looking for their blobs."""
    content = images.image([layer := images.layer({"a": name.encode()})])
    images.push(source.url, name, "v1", content)
    source_wire.answer("GET", f"/blobs/{layer.digest}", status)
    with SmallRegistry() as destination:
        result = result_of(run_route(make_route(source_wire, destination, name)), "v1")
        assert destination.tags(name) == {}
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert result.reason.startswith(f"source {source_wire.host}/{name} refuses it as it is (skopeo: ")
