"""Registries that answer a HEAD of a manifest by 404 and a GET by 200.

Reports: https://github.com/andrey-pohilko/registry-cli/issues/43, https://github.com/nicholas-fedor/watchtower/issues/667.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.routes import counted, make_route, result_of, run_route
from testkit.small_registry import SmallRegistry

NAME = "team/app"
MOVERS = pytest.mark.parametrize("transfer", ["direct", "skopeo"])


def pushed(registry: SmallRegistry, *tags: str) -> dict[str, Image]:
    """An image for each tag, with a layer of its own."""
    found = {tag: images.image([images.layer({"a": tag.encode()})]) for tag in tags}
    for tag, content in found.items():
        images.push(registry.url, NAME, tag, content)
    return found


@pytest.fixture
def source() -> Iterator[SmallRegistry]:
    with SmallRegistry() as registry:
        yield registry


@pytest.fixture
def destination() -> Iterator[SmallRegistry]:
    with SmallRegistry() as registry:
        yield registry


@pytest.fixture
def broken(source: SmallRegistry) -> Iterator[Interceptor]:
    """The source, without HEAD."""
    with Interceptor(source.url) as wire:
        wire.answer("HEAD", "/manifests/", 404)
        yield wire


@MOVERS
def test_an_incomplete_image_is_not_taken_for_a_deleted_tag(
    source: SmallRegistry, broken: Interceptor, destination: SmallRegistry, transfer: str
) -> None:
    *_, lost = pushed(source, "v1", "v2")["v1"].all_blobs()
    del source.blobs[str(lost.digest)]
    report = run_route(make_route(broken, destination, NAME, transfer=transfer))
    assert counted(report) == {"copied": 1, "failed": 1}
    assert result_of(report, "v1").reason.startswith("the image is incomplete at the source: ")


def test_names_and_pins_are_found(source: SmallRegistry, broken: Interceptor, destination: SmallRegistry) -> None:
    content = pushed(source, "v1", "v2")
    for number, names in enumerate([("v1",), ("v1", f"v2@{content['v2'].digest}")]):
        route = make_route(
            broken, destination, NAME, rename=f"{NAME}{number}", transfer="direct", tags={"names": names}
        )
        assert counted(run_route(route)) == {"copied": number + 1}


def test_a_published_tag_is_verified(source: SmallRegistry, destination: SmallRegistry) -> None:
    content = pushed(source, "v1")
    with Interceptor(destination.url) as wire:
        wire.answer("HEAD", "/manifests/", 404)
        assert counted(run_route(make_route(source, wire, NAME, transfer="direct"))) == {"copied": 1}
    assert destination.tags(NAME) == {"v1": content["v1"].digest}


def test_a_tag_that_the_listing_lacks_is_not_pruned(
    source: SmallRegistry, broken: Interceptor, destination: SmallRegistry
) -> None:
    """A tag that is deleted while a listing is read moves another one to a page that was read before."""
    for registry in (source, destination):
        pushed(registry, "v1", "v2", "v3")
    broken.answer("GET", "/tags/list", 200, b'{"tags": ["v1", "v3"]}')
    prune: dict[str, Any] = {"tags": "gone_at_source", "max_percent": 50, "dry_run": False}
    route = make_route(broken, destination, NAME, transfer="direct", prune=prune)
    assert counted(run_route(route)) == {"unchanged": 2}
    del source.stored[NAME].tags["v2"]
    assert counted(run_route(route)) == {"unchanged": 2, "would_delete": 1}
