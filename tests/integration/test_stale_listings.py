"""A vendor's listing that is stale: the tag has moved, and the listed digest still exists.

Nothing but a HEAD of the tag shows it. A full check sends a few.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.routes.route import Route
from registry_sync.sync.reading.spot_check import SPOT_CHECKS
from registry_sync.sync.report import RouteReport
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, counted, make_route, result_of, run_route

TIME = datetime(2026, 1, 1, tzinfo=UTC)
REMEDY = (
    ", each seen twice. Its listing is wrong: write kind: distribution for this registry, so that each tag is read by "
    "itself"
)


def push(quay: QuayApi, registry: RegistryProcess, name: str, count: int) -> list[Image]:
    """Push images as the tags v00, v01 and so on, the last one last, and list them."""
    content = [images.bare_artifact(f"{name} {number}") for number in range(count)]
    for number, image in enumerate(content):
        images.push(registry.url, name, f"v{number:02}", image)
        quay.push(name, f"v{number:02}", TIME + timedelta(hours=number))
    return content


def heads(server: Interceptor) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.requests() if request.method == "HEAD"]


def full_check(route: Route, quay: QuayApi) -> RouteReport:
    quay.clear_requests()
    return run_route(route, window=FULL_CHECK, api_url=quay.url)


def test_a_stale_listing_of_the_source_fails_its_tag(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    with QuayApi(source.url) as quay:
        old = push(quay, source, name, 3)[1].digest
        route = make_route(quay, destination, name, source_kind="quay", transfer="direct", signatures=False)
        assert counted(run_route(route, api_url=quay.url)) == {"copied": 3}
        newer = images.bare_artifact(f"{name} newer")
        images.push(source.url, name, "v01", newer)
        quay.push(name, "v01", TIME + timedelta(hours=1), old)
        assert counted(run_route(route, api_url=quay.url)) == {"unchanged": 3}, "what no full check sees"
        report = full_check(route, quay)
        assert sorted(heads(quay)) == ["v00", "v01", "v01", "v02"]
        assert counted(report) == {"failed": 1, "unchanged": 2}
        assert result_of(report, "v01").reason == (
            f"{quay.host}, the source, lists this tag with {old.short}, and the tag itself has {newer.digest.short}"
            f"{REMEDY}"
        )
        assert result_of(report, "v01").error_class == "configuration"
        assert report.stale_tags == ("v01",)
        quay.clear_requests()
        later = run_route(route, api_url=quay.url, stale_tags=report.stale_tags)
        assert (heads(quay), later.stale_tags, counted(later)) == (
            ["v01", "v01"],
            ("v01",),
            {"failed": 1, "unchanged": 2},
        )
        quay.push(name, "v01", TIME + timedelta(hours=1), newer.digest)
        well = run_route(route, api_url=quay.url, stale_tags=later.stale_tags)
        assert (well.stale_tags, counted(well)) == ((), {"copied": 1, "unchanged": 2})


@pytest.mark.parametrize("there", ["another image", "nothing"])
def test_a_stale_listing_of_the_destination_fails_its_tag(
    source: RegistryProcess, destination: RegistryProcess, name: str, there: str
) -> None:
    with QuayApi(destination.url) as quay:
        content = push(quay, destination, name, 3)
        for number, image in enumerate(content):
            images.push(source.url, name, f"v{number:02}", image)
        other = images.bare_artifact(f"{name} other")
        if there == "nothing":
            quay.answer("HEAD", "/v01$", 404)
            quay.answer("GET", "/v01$", 404)
        else:
            images.push(destination.url, name, "v01", other)
            quay.push(name, "v01", TIME + timedelta(hours=1), content[1].digest)
        route = make_route(source, quay, name, destination_kind="quay", transfer="direct", signatures=False)
        report = run_route(route, window=FULL_CHECK)
        assert counted(report) == {"failed": 1, "unchanged": 2}
        seen = "does not exist" if there == "nothing" else f"has {other.digest.short}"
        assert result_of(report, "v01").reason == (
            f"{quay.host}, the destination, lists this tag with {content[1].digest.short}, and the tag itself {seen}"
            f"{REMEDY}"
        )


def test_a_push_in_between_is_not_a_mistake(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    with QuayApi(source.url) as quay:
        push(quay, source, name, 2)
        newer = images.bare_artifact(f"{name} newer")
        stale = images.bare_artifact(f"{name} 0").digest
        images.push(source.url, name, "v00", newer)
        quay.push(name, "v00", TIME, stale)
        quay.after("HEAD", "/v00$", lambda _: quay.push(name, "v00", TIME, newer.digest))
        route = make_route(quay, destination, name, source_kind="quay", transfer="direct", signatures=False)
        assert "failed" not in counted(full_check(route, quay))
        assert counted(full_check(route, quay))["copied"] == 1


@pytest.mark.parametrize("status", [403, 429, 500])
def test_tags_that_cannot_be_compared_are_a_note(
    source: RegistryProcess, destination: RegistryProcess, name: str, status: int
) -> None:
    with QuayApi(source.url) as quay:
        push(quay, source, name, 2)
        route = make_route(quay, destination, name, source_kind="quay", transfer="direct", signatures=False)
        run_route(route, api_url=quay.url)
        for method in ("HEAD", "GET"):
            quay.answer(method, "/manifests/v0", status, headers={"Retry-After": "7200"})
        report = full_check(route, quay)
        assert counted(report) == {"unchanged": 2}
        (note,) = [note for note in report.notes if "could not be compared" in note]
        assert note.startswith("2 tags of the source could not be compared with its listing: ")
        suspected = run_route(route, api_url=quay.url, stale_tags=["v01"])
        assert suspected.stale_tags == ("v01",)
        start = "the source had this tag wrong in its listing, and the tag cannot be compared with it now: "
        assert result_of(suspected, "v01").reason.startswith(start)


def test_a_rate_limit_ends_the_comparison(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    """Each further tag would wait for minutes. Two threads compare."""
    with QuayApi(source.url) as quay:
        push(quay, source, name, 20)
        route = make_route(quay, destination, name, source_kind="quay", transfer="direct", signatures=False)
        run_route(route, api_url=quay.url)
        quay.answer("HEAD", "/manifests/v", 429, headers={"Retry-After": "7200"})
        report = full_check(route, quay)
        assert counted(report) == {"unchanged": 20}
        assert 1 <= len(heads(quay)) <= 2
        (note,) = [note for note in report.notes if "could not be compared" in note]
        assert note.startswith("20 tags of the source could not be compared with its listing: ")


def test_a_full_check_sends_a_bounded_number_of_heads(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """And other runs send none."""
    with QuayApi(source.url) as quay:
        image = images.bare_artifact(name)
        for number in range(60):
            images.push(source.url, name, f"v{number:02}", image)
            quay.push(name, f"v{number:02}", TIME + timedelta(hours=number))
        route = make_route(quay, destination, name, source_kind="quay", transfer="direct", signatures=False)
        run_route(route, api_url=quay.url)
        assert heads(quay) == []
        full_check(route, quay)
        sent = heads(quay)
        assert len(sent) == len(set(sent)) == SPOT_CHECKS
        assert {f"v{number}" for number in range(50, 60)} < set(sent)


def test_without_a_listing_of_digests_nothing_is_compared(
    source: RegistryProcess, wire: Interceptor, name: str
) -> None:
    """Each tag was read by a HEAD already."""
    for number in range(3):
        images.push(source.url, name, f"v{number}", images.bare_artifact(f"{name} {number}"))
    route = make_route(source, wire, name, transfer="direct", signatures=False)
    run_route(route)
    wire.clear_requests()
    run_route(route, window=FULL_CHECK)
    assert sorted(heads(wire)) == ["v0", "v1", "v2"]
