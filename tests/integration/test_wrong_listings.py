"""A vendor's listing with a digest that its registry does not have.

Reports: docker/hub-feedback#1925, docker/hub-feedback#2046.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_sync.oci.reference import Digest
from testkit import images
from testkit.images import Image
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route

MOVERS = pytest.mark.parametrize("transfer", ["direct", "skopeo"])
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def an_image(text: str) -> Image:
    return images.image([images.layer({"a": text.encode()})], labels={"name": text})


@MOVERS
@pytest.mark.parametrize("tags", [["v1"], ["v1", "v2", "v3"]])
def test_a_digest_that_is_listed_only_fails_its_tag_for_good(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str, tags: list[str]
) -> None:
    """The listing is read once more, however many tags it has wrong; the other tags are copied."""
    listed = {tag: an_image(f"{name} {tag} listed").digest for tag in tags}
    with QuayApi(source.url) as quay:
        for tag in [*tags, "well"]:
            images.push(source.url, name, tag, an_image(f"{name} {tag}"))
            quay.push(name, tag, TIME, listed.get(tag))
        report = run_route(make_route(quay, destination, name, source_kind="quay", transfer=transfer))
        pages = sum(request.path.endswith("/tag/") for request in quay.requests())
    assert counted(report) == {"copied": 1, "failed": len(tags)}
    assert pages == 2
    for tag in tags:
        result = result_of(report, tag)
        own = an_image(f"{name} {tag}").digest
        start, _, end = result.reason.partition(" (")
        assert start == (
            f"{quay.host} lists this tag with {listed[tag].short}, and the tag itself has {own.short}; the listed "
            "image cannot be read"
        )
        assert end.endswith(
            "). Its listing is wrong: write kind: distribution for this registry, so that each tag is read by itself"
        )
        assert result.error_class == "refused"


@MOVERS
def test_by_the_remedy_the_tag_is_copied(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str
) -> None:
    images.push(source.url, name, "v1", own := an_image(name))
    with QuayApi(source.url) as quay:
        quay.push(name, "v1", TIME, Digest.of(b"listed"))
        report = run_route(make_route(quay, destination, name, source_kind="distribution", transfer=transfer))
    assert counted(report) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == own.digest


@MOVERS
def test_a_tag_that_moved_meanwhile_is_tried_again(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str
) -> None:
    images.push(source.url, name, "v1", newer := an_image(name))
    with QuayApi(source.url) as quay:
        quay.push(name, "v1", TIME, Digest.of(b"listed"))
        quay.after("HEAD", "/manifests/v1$", lambda _: quay.push(name, "v1", TIME, newer.digest))
        route = make_route(quay, destination, name, source_kind="quay", transfer=transfer)
        result = result_of(run_route(route), "v1")
        assert result.error_class == "temporary"
        assert result.reason == f"changed at the source during the copy, to {newer.digest.short}; the retry copies that"
        assert counted(run_route(route)) == {"copied": 1}


@MOVERS
def test_a_listed_tag_that_the_registry_does_not_have_is_skipped(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str
) -> None:
    images.push(source.url, name, "well", an_image(name))
    with QuayApi(source.url) as quay:
        quay.push(name, "well", TIME)
        quay.push(name, "v1", TIME, Digest.of(b"listed"))
        report = run_route(make_route(quay, destination, name, source_kind="quay", transfer=transfer))
    assert counted(report) == {"copied": 1, "skipped": 1}
