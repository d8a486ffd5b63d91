"""Routes of tags in ``names`` only: no listing of the source, where a registry refuses it or has too many tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from registry_sync.errors import ConfigurationError
from registry_sync.sync.report import RouteReport
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, asked, counted, make_route, run_route

UNSIGNED: dict[str, Any] = {"signatures": False}


@pytest.fixture
def hidden(source: RegistryProcess) -> Iterator[Interceptor]:
    """The source, in front of which requests can be refused."""
    with Interceptor(source.url) as interceptor:
        yield interceptor


def refuse_listings(hidden: Interceptor, status: int) -> None:
    hidden.answer("GET", "/tags/list", status, b'{"errors": [{"code": "UNSUPPORTED", "message": "no"}]}')


def listings(server: RegistryProcess | Interceptor, name: str) -> int:
    return len([each for each in asked(server, name) if "tags/list" in each])


def failures(report: RouteReport) -> list[tuple[str, str | None, str]]:
    return [(failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags]


def test_a_named_tag_costs_one_head_at_the_source_and_no_listing(
    hidden: Interceptor, destination: RegistryProcess, name: str
) -> None:
    images.push(hidden.url, name, "v1", images.multi_arch(name))
    route = make_route(hidden, destination, name, tags={"names": ("v1",)}, **UNSIGNED)
    assert counted(run_route(route)) == {"copied": 1}
    hidden.clear_requests()
    destination.clear_requests()
    report = run_route(route, window=FULL_CHECK)
    assert (counted(report), report.notes) == ({"unchanged": 1}, ())
    assert asked(hidden, name) == ["HEAD manifests/v1 200"]
    assert asked(destination, name) == ["HEAD manifests/v1 200"]


def test_pinned_tags_cost_a_head_of_their_digest_while_they_are_missing_only(
    hidden: Interceptor, destination: RegistryProcess, name: str
) -> None:
    content = images.multi_arch(name)
    images.push(hidden.url, name, None, content)
    route = make_route(hidden, destination, name, tags={"names": (f"mine@{content.digest}",)}, **UNSIGNED)
    hidden.clear_requests()
    assert counted(run_route(route)) == {"copied": 1}
    assert f"HEAD manifests/{content.digest} 200" in asked(hidden, name)
    assert listings(hidden, name) == 0
    hidden.clear_requests()
    assert counted(run_route(route)) == {"unchanged": 1}
    assert asked(hidden, name) == []


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
@pytest.mark.parametrize("names", [1, 25])
def test_where_listings_are_refused_named_tags_are_mirrored(
    hidden: Interceptor, destination: RegistryProcess, name: str, status: int, names: int
) -> None:
    """ivanilves/lstags#222: ECR permits pulls, and not ListImages. docker/hub-feedback#2190: 500 for one repository."""
    content, tags = images.multi_arch(name), tuple(f"v{number}" for number in range(names))
    for tag in tags:
        images.push(hidden.url, name, tag, content)
    refuse_listings(hidden, status)
    hidden.clear_requests()
    report = run_route(make_route(hidden, destination, name, tags={"names": tags}, **UNSIGNED))
    assert counted(report) == {"copied": names}
    assert bool(listings(hidden, name)) is (names > 20)
    note = "the source's tags cannot be listed, so each tag in names was read by itself ("
    assert [each for each in report.notes if each.startswith(note)] == list(report.notes)
    assert len(report.notes) == (names > 20)


def test_signatures_are_found_by_their_names(
    source: RegistryProcess, hidden: Interceptor, destination: RegistryProcess, name: str
) -> None:
    """An index and its two images may each have three tags. All are looked up where something is copied only."""
    content = images.multi_arch(name)
    signature, sbom = images.cosign_tag(content), images.cosign_tag(content.children[0], "sbom")
    images.push(hidden.url, name, "v1", content)
    images.push(hidden.url, name, signature, images.cosign_signature(content))
    refuse_listings(hidden, 403)
    hidden.clear_requests()
    route = make_route(hidden, destination, name, tags={"names": ("v1",)})
    assert counted(run_route(route)) == {"copied": 2}
    assert images.resolve(destination.url, name, signature) == images.cosign_signature(content).digest
    heads = [each for each in asked(hidden, name) if each.startswith("HEAD manifests/sha256-")]
    assert len([head for head in heads if ".sig " in head or ".att " in head or ".sbom " in head]) == 12
    hidden.clear_requests()
    images.push(source.url, name, sbom, images.artifact("sbom"))
    assert counted(run_route(route)) == {"unchanged": 1}
    assert asked(hidden, name) == ["HEAD manifests/v1 200"]
    assert counted(run_route(route, window=FULL_CHECK)) == {"copied": 1, "unchanged": 1}
    assert images.resolve(destination.url, name, sbom) is not None


def test_a_name_that_the_source_lacks_fails_and_the_others_are_mirrored(
    hidden: Interceptor, destination: RegistryProcess, name: str
) -> None:
    images.push(hidden.url, name, "v1", images.multi_arch(name))
    report = run_route(make_route(hidden, destination, name, tags={"names": ("v1", "gone")}))
    assert (report.counts["copied"], failures(report)) == (
        1,
        [("gone", "configuration", "names lists it, but the source has no such tag; correct the name, or remove it")],
    )


@pytest.mark.parametrize("status", [404, 403, 500])
@pytest.mark.parametrize("has_rules", [False, True])
def test_a_name_that_cannot_be_read_fails_alone_beside_pinned_ones(
    hidden: Interceptor, destination: RegistryProcess, name: str, status: int, has_rules: bool
) -> None:
    """Also where it is the only one without a digest."""
    name = f"{name}-{status}-{has_rules}".lower()
    image = images.multi_arch(name)
    images.push(hidden.url, name, "v1", image)
    for method in ("HEAD", "GET"):
        hidden.answer(method, f"/{name}/manifests/v2$", status, b"")
    pinned = f"mine@{image.digest}"
    tags: Any = ({"names": ("v2",)}, {"names": (pinned,)}) if has_rules else {"names": ("v2", pinned)}
    report = run_route(make_route(hidden, destination, name, tags=tags))
    assert (report.counts["copied"], [tag for tag, _, _ in failures(report)]) == (1, ["v2"])
    assert images.resolve(destination.url, name, "mine") == image.digest


@pytest.mark.parametrize("names", [("v1", "v2"), tuple(f"v{number:02}" for number in range(25))])
def test_a_repository_that_does_not_exist_is_said(
    hidden: Interceptor, destination: RegistryProcess, name: str, names: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_route(make_route(hidden, destination, name, tags={"names": names}))
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    assert str(caught.value).startswith(
        f"{hidden.host}/{name} has none of the tags in names ({shown}); check the name of the repository in the "
        f"mirrors "
        "file, and the tags"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"tags": {"names": ("v1",), "include": ("v*",)}},
        {"tags": ({"names": ("v1",)}, {"include": ("v*",)})},
        {"tags": {"names": ("v1",)}, "prune": {"tags": "gone_at_source"}},
    ],
    ids=["include", "rules", "prune"],
)
def test_routes_that_need_more_than_names_are_listed(
    hidden: Interceptor, destination: RegistryProcess, name: str, settings: dict[str, Any]
) -> None:
    images.push(hidden.url, name, "v1", images.multi_arch(name))
    hidden.clear_requests()
    assert counted(run_route(make_route(hidden, destination, name, **settings))) == {"copied": 1}
    assert listings(hidden, name) == 1


def test_a_registry_that_refuses_everything_is_not_taken_for_an_empty_one(
    hidden: Interceptor, destination: RegistryProcess, name: str
) -> None:
    images.push(hidden.url, name, "v1", images.multi_arch(name))
    hidden.answer("HEAD", "/manifests/", 500, b"")
    hidden.answer("GET", "/manifests/", 500, b"")
    report = run_route(make_route(hidden, destination, name, tags={"names": ("v1",)}, **UNSIGNED))
    ((tag, error_class, _),) = failures(report)
    assert (tag, error_class) == ("v1", "temporary")
