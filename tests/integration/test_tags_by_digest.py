"""Tags of the form ``sha256-<digest>``: images that are named after themselves, and lists of referrers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from registry_sync.oci.artifact_tags import referrers_tag
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import asked, counted, make_route, run_route
from testkit.small_registry import SmallRegistry

IMAGES = [images.image([], labels={"number": str(number)}) for number in range(3)]
TAGS = {referrers_tag(content.digest): content for content in IMAGES}


def push(registry: RegistryProcess | SmallRegistry, name: str, tags: dict[str, Image]) -> None:
    for tag, content in tags.items():
        images.push(registry.url, name, tag, content)


def referrers_of(content: Image, text: str) -> dict[str, Image]:
    """A list of referrers under its tag, as registries without the API have it."""
    return {referrers_tag(content.digest): images.index([images.artifact(text)])}


@pytest.mark.parametrize(
    "settings",
    [{}, {"signatures": False}, {"tags": {"include": ("sha256-*",)}}, {"tags": {"exclude": ("v*",)}}],
)
def test_images_that_are_tagged_by_their_own_digest_are_mirrored(
    source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str, settings: dict[str, Any]
) -> None:
    """As oc-mirror v2 tags everything that it mirrors."""
    push(source, name, TAGS)
    report = run_route(make_route(source_wire, destination, name, **settings))
    assert counted(report) == {"copied": 3}
    assert {images.resolve(destination.url, name, tag) for tag in TAGS} == {content.digest for content in IMAGES}
    heads = [request for request in asked(source_wire, name) if request.startswith("HEAD manifests/sha256-")]
    assert len(heads) == 3


def test_a_listing_with_digests_costs_no_request(destination: RegistryProcess, name: str) -> None:
    with RegistryProcess() as behind, QuayApi(behind.url) as quay:
        push(behind, name, TAGS)
        for tag in TAGS:
            quay.push(name, tag, datetime(2026, 1, 1, tzinfo=UTC))
        route = make_route(quay, destination, name, source_kind="quay")
        assert counted(run_route(route, api_url=quay.url)) == {"copied": 3}
        assert [request.path for request in quay.requests() if request.method == "HEAD"] == []


def test_a_list_of_referrers_and_a_signature_are_no_images(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    image = IMAGES[0]
    push(
        source,
        name,
        {"v1": image, **referrers_of(image, name), images.cosign_tag(image): images.cosign_signature(image)},
    )
    report = run_route(make_route(source, destination, name, tags={"include": ("v*", "sha256-*")}))
    assert [result.tag for result in report.tags if result.reason == "missing at the destination"] == ["v1"]
    without = run_route(
        make_route(source, destination, name, signatures=False, tags={"include": ("sha256-*",), "min_tags": 0})
    )
    assert counted(without) == {"skipped": 3}


@pytest.mark.parametrize("signatures", [True, False])
@pytest.mark.parametrize(
    "content",
    [IMAGES[2], images.multi_arch("renamed"), images.index([IMAGES[2]], "docker")],
    ids=["image", "OCI index", "Docker list"],
)
def test_images_that_are_tagged_by_another_digest_are_mirrored(
    source: RegistryProcess, destination: RegistryProcess, name: str, content: Image, signatures: bool
) -> None:
    """Such as by the digest of their config, or by that of an index before it was reduced to some platforms."""
    name = f"{name}-{content.digest.encoded[:8]}-{signatures}".lower()
    odd, of_no_image = referrers_tag(IMAGES[1].digest), referrers_of(images.image([], labels={"gone": "1"}), name)
    push(source, name, {"v1": IMAGES[0], odd: content, **of_no_image})
    report = run_route(make_route(source, destination, name, signatures=signatures))
    assert [result.tag for result in report.tags] == [odd, "v1"]
    assert images.resolve(destination.url, name, odd) == content.digest


def test_lists_of_listed_images_are_not_read(destination: RegistryProcess, name: str) -> None:
    with RegistryProcess() as behind, QuayApi(behind.url) as quay:
        push(behind, name, {"v1": IMAGES[0], **referrers_of(IMAGES[0], name)})
        for tag in ("v1", referrers_tag(IMAGES[0].digest)):
            quay.push(name, tag, datetime(2026, 1, 1, tzinfo=UTC))
        push(destination, name, {"v1": IMAGES[0]})
        route = make_route(quay, destination, name, source_kind="quay", signatures=False)
        assert counted(run_route(route, api_url=quay.url)) == {"unchanged": 1, "skipped": 1}
        assert [request.path for request in quay.requests() if "/manifests/" in request.path] == []


def test_one_that_cannot_be_read_fails_visibly(
    source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    push(source, name, TAGS)
    odd = referrers_tag(IMAGES[0].digest)
    for method in ("HEAD", "GET"):
        source_wire.answer(method, f"/manifests/{odd}$", 403)
    report = run_route(make_route(source_wire, destination, name))
    assert counted(report) == {"copied": 2, "failed": 1}
    assert [result.tag for result in report.failed_tags] == [odd]


@pytest.mark.parametrize("rules", ["gone_at_source", "not_selected"])
def test_pruning_deletes_such_images_and_no_lists(source: RegistryProcess, name: str, rules: str) -> None:
    name = f"{name}-{rules.replace('_', '')}"
    push(source, name, {"v1": IMAGES[0]})
    prune = {"tags": rules, "max_percent": 100, "dry_run": False}
    with SmallRegistry() as registry:
        kept = {"v1": IMAGES[0], **referrers_of(IMAGES[0], name), images.cosign_tag(IMAGES[2]): IMAGES[1]}
        gone = referrers_tag(IMAGES[1].digest)
        push(registry, name, {**kept, gone: IMAGES[1]})
        route = make_route(source, registry, name, prune=prune)
        first = run_route(route)
        assert [result.tag for result in first.tags if result.outcome == "would_delete"] == [gone]
        assert counted(run_route(route, planned=first.planned_deletions))["deleted"] == 1
        assert set(registry.tags(name)) == set(kept)
