"""Some platforms of an image: the index that is made, and that the next run finds it in sync for no more requests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import requests

from registry_sync.oci.manifest import ACCEPT, parse_manifest
from registry_sync.oci.platforms import filter_index
from registry_sync.oci.reference import Digest
from registry_sync.oci.reserved_tags import platform_cache_tag
from registry_sync.sync.reading.platform_cache import MAX_CACHED_DIGESTS
from registry_sync.sync.window import Window
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import asked, counted, make_route, result_of, run_route
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog

MEMORY_TAG = platform_cache_tag("team")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

BOTH = ("linux/amd64", "linux/arm64")
FIVE = ("linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x", "windows/amd64")


def subset(whole: Image, platforms: tuple[str, ...] = BOTH) -> Digest:
    return filter_index(parse_manifest(whole.content, whole.media_type), platforms).manifest.digest


def get(registry: RegistryProcess, name: str, reference: str | Digest) -> requests.Response:
    return requests.get(
        f"{registry.url}/v2/{name}/manifests/{reference}", headers={"Accept": ACCEPT}, timeout=PATIENCE_SECONDS
    )


@pytest.mark.parametrize("format", ["oci", "docker"])
def test_a_platform_index_is_in_sync_in_the_next_run(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog, format: images.Format
) -> None:
    whole = images.multi_arch(name, FIVE, format, attestations=format == "oci")
    images.push(source.url, name, "v1", whole)
    route = make_route(source, destination, name, platforms=BOTH)
    made = subset(whole)
    result = result_of(run_route(route), "v1")
    assert (result.outcome, result.digest) == ("copied", made)
    assert result.reason == (f"missing at the destination; platform index made from {whole.digest.short}")
    assert images.resolve(destination.url, name, "v1") == made
    assert images.pull_whole(destination.url, name, "v1") == set(BOTH)
    assert get(destination, name, "v1").headers["Content-Type"] == whole.media_type
    dropped = [child.digest for child in whole.children if child.platform in FIVE and child.platform not in BOTH]
    assert [images.resolve(destination.url, name, each) for each in dropped] == [None, None, None]
    assert len(skopeo_log.copies) == (4 if format == "oci" else 2)
    for registry in (source, destination):
        registry.clear_requests()
    assert counted(run_route(route)) == {"unchanged": 1}
    assert asked(source, name) == ["GET tags/list 200", "HEAD manifests/v1 200"]
    memory = images.resolve(destination.url, name, MEMORY_TAG)
    assert asked(destination, name)[:2] == [f"GET manifests/{memory} 200", f"HEAD manifests/{MEMORY_TAG} 200"]
    assert "HEAD manifests/v1 200" in asked(destination, name)
    assert len(skopeo_log.copies) == (4 if format == "oci" else 2)


def test_a_tag_that_is_new_or_has_moved_costs_one_read(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    old, new, other = (images.multi_arch(f"{name} {each}", FIVE) for each in ("old", "new", "other"))
    images.push(source.url, name, "latest", old)
    route = make_route(source, destination, name, platforms=BOTH)
    run_route(route)
    images.push(source.url, name, "latest", new)
    images.push(source.url, name, "v2", other)
    images.push(source.url, name, "v1", old)
    source.clear_requests()
    report = run_route(route)
    assert counted(report) == {"copied": 3}
    assert [each for each in asked(source, name) if each.startswith(f"GET manifests/{old.digest}")] == []
    for each in (new, other):
        assert asked(source, name).count(f"GET manifests/{each.digest} 200") == 1
    assert result_of(report, "latest").reason == (
        f"changed to {subset(new).short}, the destination has {subset(old).short}; platform index "
        f"made from {new.digest.short}"
    )
    assert images.resolve(destination.url, name, "latest") == subset(new)
    assert images.resolve(destination.url, name, "v1") == subset(old)


def test_a_lost_platform_cache_costs_reads_and_no_copy(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    for tag in ("v1", "v2"):
        images.push(source.url, name, tag, images.multi_arch(f"{name} {tag}", FIVE))
    route = make_route(source, destination, name, platforms=BOTH)
    run_route(route)
    destination.forget_tag(name, MEMORY_TAG)
    copies = len(skopeo_log.copies)
    source.clear_requests()
    assert counted(run_route(route)) == {"unchanged": 2}
    assert len([each for each in asked(source, name) if each.startswith("GET manifests/")]) == 2
    assert len(skopeo_log.copies) == copies
    source.clear_requests()
    assert counted(run_route(route)) == {"unchanged": 2}
    assert [each for each in asked(source, name) if each.startswith("GET manifests/")] == []


def test_other_platforms_make_another_index(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    whole = images.multi_arch(name, FIVE)
    images.push(source.url, name, "v1", whole)
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == whole.digest
    for platforms in (BOTH, ("linux/s390x",)):
        route = make_route(source, destination, name, platforms=platforms)
        assert counted(run_route(route)) == {"copied": 1}
        assert images.pull_whole(destination.url, name, "v1") == set(platforms)
        assert counted(run_route(route)) == {"unchanged": 1}


def test_a_foreign_platform_cache_is_replaced(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    whole = images.multi_arch(name, FIVE)
    images.push(source.url, name, "v1", whole)
    images.push(
        destination.url,
        name,
        MEMORY_TAG,
        images.index([], annotations={"registry_sync.platforms": ",".join(BOTH), "a": "b"}),
    )
    route = make_route(source, destination, name, platforms=BOTH)
    assert counted(run_route(route)) == {"copied": 1}
    document = get(destination, name, MEMORY_TAG).json()
    assert document["annotations"] == {"registry_sync.platforms": ",".join(BOTH), str(whole.digest): str(subset(whole))}


def test_a_destination_may_refuse_the_platform_cache(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    images.push(source.url, name, "v1", images.multi_arch(name, FIVE))
    with Interceptor(destination.url) as wire:
        wire.answer("PUT", f"/{MEMORY_TAG}$", 403, b'{"errors": [{"code": "DENIED", "message": "no such tag"}]}')
        report = run_route(make_route(source, wire, name, platforms=BOTH))
        assert counted(report) == {"copied": 1}
        (note,) = report.notes
        assert note == (
            f"{wire.host}/{name} refuses the platform cache 'registry_sync-platforms.team', so every run reads the "
            f"platforms again (PUT {wire.url}/v2/{name}/manifests/{MEMORY_TAG} answered 403 DENIED: no such tag "
            "(not permitted "
            "with these credentials, or it does not exist))"
        )


@pytest.mark.parametrize("status", [429, 503])
def test_an_outage_does_not_refuse_the_platform_cache(
    source: RegistryProcess, destination: RegistryProcess, name: str, status: int
) -> None:
    images.push(source.url, name, "v1", images.multi_arch(name, FIVE))
    with Interceptor(destination.url) as wire:
        wire.answer("PUT", f"/{MEMORY_TAG}$", status, b"", {"Retry-After": "7200"})
        report = run_route(make_route(source, wire, name, platforms=BOTH))
        assert counted(report) == {"copied": 1}
        assert report.notes[0].startswith(
            f"the platform cache 'registry_sync-platforms.team' could not be written to {wire.host}/{name}; the next "
            f"run that can writes it ("
        )


def test_two_mirrors_with_different_platforms_have_two_caches(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """Both write to one repository, with different tags."""
    for tag in ("v1", "v2"):
        images.push(source.url, name, tag, images.multi_arch(f"{name} {tag}", FIVE))
    one = make_route(source, destination, name, platforms=BOTH, tags={"include": ("v1",)})
    other = make_route(source, destination, name, platforms=("linux/s390x",), tags={"include": ("v2",)})
    routes = (one, replace(other, mirror="other"))
    for route in routes:
        assert counted(run_route(route)) == {"copied": 1, "skipped": 1}
    source.clear_requests()
    destination.clear_requests()
    for route in routes:
        assert counted(run_route(route)) == {"unchanged": 1, "skipped": 1}
    for registry in (source, destination):
        assert [each for each in asked(registry, name) if each.startswith(("PUT", "GET manifests/v"))] == []
    assert len([each for each in asked(source, name) if each.startswith("GET manifests/")]) == 0
    for tag, platforms in (("v1", set(BOTH)), ("v2", {"linux/s390x"})):
        assert images.pull_whole(destination.url, name, tag) == platforms


def test_a_full_platform_cache_is_not_written_by_every_run(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    images.push(source.url, name, "v1", images.multi_arch(name, FIVE))
    known = {f"sha256:{number:064x}": f"sha256:{number:064x}" for number in range(MAX_CACHED_DIGESTS)}
    memory = images.index([], annotations={"registry_sync.platforms": ",".join(BOTH), **known})
    images.push(destination.url, name, MEMORY_TAG, memory)
    route, window = make_route(source, destination, name, platforms=BOTH), Window(reason="scheduled", start=NOON)
    assert counted(run_route(route, window=window)) == {"copied": 1}
    destination.clear_requests()
    assert counted(run_route(route, window=window)) == {"unchanged": 1}
    assert [each for each in asked(destination, name) if each.startswith("PUT")] == []
    assert images.resolve(destination.url, name, MEMORY_TAG) == memory.digest


def test_content_that_the_source_refuses_is_requested_again(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """It says nothing about the content, which is what is remembered."""
    whole = images.multi_arch(name, FIVE)
    images.push(source.url, name, "v1", whole)
    with Interceptor(source.url) as wire:
        wire.answer("GET", f"/{whole.digest}$", 405, times=1)
        route = make_route(wire, destination, name, platforms=BOTH)
        result = result_of(run_route(route), "v1")
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert result.reason == f"GET {wire.url}/v2/{name}/manifests/{whole.digest} answered 405"
        assert counted(run_route(route)) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == subset(whole)


def test_a_wrong_platform_cache_publishes_nothing(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    whole, wrong = images.multi_arch(name, FIVE), Digest.of(name.encode())
    images.push(source.url, name, "v1", whole)
    note = {"registry_sync.platforms": ",".join(BOTH), str(whole.digest): str(wrong)}
    images.push(destination.url, name, MEMORY_TAG, images.index([], annotations=note))
    route = make_route(source, destination, name, platforms=BOTH)
    result = result_of(run_route(route), "v1")
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert result.reason == (
        f"the platform index of {whole.digest.short} is {subset(whole).short}, but the platform cache has "
        f"{wrong.short}; "
        "delete the tag 'registry_sync-platforms.team' at the destination to rebuild the cache"
    )
    assert images.resolve(destination.url, name, "v1") is None
    destination.forget_tag(name, MEMORY_TAG)
    assert counted(run_route(route)) == {"copied": 1}


def test_an_index_with_all_platforms_chosen_keeps_its_digest(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    whole = images.multi_arch(name, attestations=True)
    images.push(source.url, name, "v1", whole)
    source.clear_requests()
    result = result_of(run_route(make_route(source, destination, name, platforms=BOTH)), "v1")
    assert (result.digest, result.reason) == (whole.digest, "missing at the destination")
    assert len(skopeo_log.copies) == 1
    assert images.resolve(destination.url, name, "v1") == whole.digest


class TestSingleImages:
    def test_single_images_are_copied_for_chosen_platforms_only(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        name: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO")
        here = images.image([images.layer({"a": name.encode()})], "linux/arm64")
        images.push(source.url, name, "arm", here)
        images.push(source.url, name, "mainframe", images.image([images.layer({"a": b"z"})], "linux/s390x"))
        images.push(source.url, name, "chart", images.artifact(name))
        route = make_route(source, destination, name, platforms=BOTH)
        assert counted(run_route(route)) == {"copied": 2, "skipped": 1}
        why = "the image is for linux/s390x only, and platforms has linux/amd64, linux/arm64"
        assert f"  mainframe: {why}" in caplog.messages
        assert images.resolve(destination.url, name, "arm") == here.digest
        source.clear_requests()
        assert counted(run_route(route)) == {"unchanged": 2, "skipped": 1}
        assert {each.split()[0] for each in asked(source, name)[1:]} == {"HEAD"}
        assert caplog.messages.count(f"  mainframe: {why}") == 2

    def test_a_repository_of_other_platforms_only_fails(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """As rules that select nothing do. The platforms are read once, whatever the outcome."""
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.image([images.layer({"a": tag.encode()})], "linux/s390x"))
        for _ in range(2):
            source.clear_requests()
            report = run_route(make_route(source, destination, name, platforms=BOTH))
            assert counted(report) == {"failed": 1, "skipped": 1}
            assert result_of(report, "v1").reason == (
                "platforms leaves none of the 2 selected tags: the image is for linux/s390x only, and platforms has "
                "linux/amd64, linux/arm64; correct it, or write min_tags: 0 if that is right"
            )
        assert {each.split()[0] for each in asked(source, name)[1:]} == {"HEAD"}
        for allowed in ({"tags": {"min_tags": 0}}, {"tags": {"names": ("v1",), "min_tags": 0}}):
            report = run_route(make_route(source, destination, name, platforms=BOTH, **allowed))
            assert not report.is_failed
        route = replace(make_route(source, destination, name, platforms=BOTH), is_discovered=True)
        assert counted(run_route(route)) == {"skipped": 2}


class TestAPlatformThatIsMissing:
    def test_is_named_and_the_others_are_mirrored(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        whole = images.multi_arch(name, ("linux/amd64", "linux/s390x"))
        images.push(source.url, name, "v1", whole)
        report = run_route(make_route(source, destination, name, platforms=BOTH))
        assert result_of(report, "v1").reason == (
            f"missing at the destination; platform index made from {whole.digest.short}; it has no linux/arm64"
        )
        assert report.notes == ("1 tags lack a chosen platform: v1 (linux/arm64)",)
        for _ in range(2):
            again = run_route(make_route(source, destination, name, platforms=BOTH))
            assert counted(again) == {"unchanged": 1}
            assert again.notes == report.notes
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64"}

    def test_fails_when_none_is_left(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        images.push(source.url, name, "v1", images.multi_arch(name, ("linux/s390x", "windows/amd64")))
        route = make_route(source, destination, name, platforms=BOTH)
        for _ in range(2):
            source.clear_requests()
            result = result_of(run_route(route), "v1")
            assert (result.outcome, result.error_class) == ("failed", "refused")
            assert result.reason == (
                "the image has none of the platforms linux/amd64, linux/arm64; it has linux/s390x, windows/amd64"
            )
        assert asked(source, name) == ["GET tags/list 200", "HEAD manifests/v1 200"]


def test_a_platform_index_is_made_of_an_index_that_skopeo_refuses(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """Its descriptors have ``artifactType``, which stays in the platform index."""
    children = images.index_with_descriptor_field(name, "artifactType").children
    images.push(source.url, name, "v1", images.index(children))
    run_route(make_route(source, destination, name, platforms=("linux/arm64",)))
    (entry,) = json.loads(get(destination, name, "v1").content)["manifests"]
    assert entry["artifactType"] == "application/vnd.example+json"
    assert images.pull_whole(destination.url, name, "v1") == {"linux/arm64"}


def test_a_missing_child_at_the_source_fails_its_tag(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """The source's tag is compared with the source's digest, not with that of the platform index."""
    whole = images.multi_arch(name, FIVE)
    images.push(source.url, name, "v1", whole)
    gone = whole.children[0].digest
    with Interceptor(source.url) as wire:
        wire.after("GET", f"/{whole.digest}$", lambda _: images.delete_manifest(source.url, name, gone), times=1)
        result = result_of(run_route(make_route(wire, destination, name, platforms=BOTH)), "v1")
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert result.reason.startswith("the image is incomplete at the source: GET ")


def test_a_dry_run_reads_and_writes_nothing(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    images.push(source.url, name, "v1", images.multi_arch(name, FIVE))
    destination.clear_requests()
    report = run_route(make_route(source, destination, name, platforms=BOTH), dry_run=True)
    assert counted(report) == {"would_copy": 1}
    assert {request.method for request in destination.requests()} == {"HEAD"}
