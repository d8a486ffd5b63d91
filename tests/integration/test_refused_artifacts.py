"""Attached artifacts that a destination refuses for good: red in every run, at the cost of the refused ones alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route
from registry_sync.sync.artifacts.lacking import MAX_LACKING, LackingArtifact, LackingArtifacts
from registry_sync.sync.report import RouteReport
from registry_sync.sync.window import ALL_TAGS, Window
from registry_sync.tags.rules import only_tags
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.referrers_api import ReferrersApi
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, asked, counted, make_route, result_of, run_route

SIGNATURE = r"/sha256-[0-9a-f]{64}\.sig$"


@pytest.fixture
def source_api(source: RegistryProcess) -> Iterator[ReferrersApi]:
    with ReferrersApi(source) as api:
        yield api


def push_signed(source: RegistryProcess, name: str, count: int) -> list[Image]:
    """Push small images with a signature each, as the tags v0, v1 and so on."""
    content = [images.bare_artifact(f"{name} {number}") for number in range(count)]
    for number, image in enumerate(content):
        images.push(source.url, name, f"v{number}", image)
        images.push(source.url, name, images.cosign_tag(image), images.cosign_signature(image))
    return content


def next_run(route: Route, before: RouteReport, window: Window = ALL_TAGS) -> RouteReport:
    """A run that builds on the last one."""
    return run_route(route, window=window, lacking=before.lacking)


def requests(*servers: Interceptor | RegistryProcess, path: str) -> int:
    return sum(path in request.path for server in servers for request in server.requests())


REFUSALS = [
    (403, b'{"errors": [{"code": "DENIED", "message": "no signatures here"}]}', {}),
    (400, b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no signatures here"}]}', {}),
    (412, b'{"errors": [{"code": "PRECONDITION", "message": "configured as immutable"}]}', {}),
    (413, b"<html>too large</html>", {"Content-Type": "text/html"}),
]


def test_only_what_was_refused_is_tried_again(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    """Of twelve images, the signatures of four are refused in each run, each in another way."""
    content = push_signed(source, name, 12)
    refused = {f"v{number}": content[number] for number in range(4)}
    for image, (status, body, headers) in zip(refused.values(), REFUSALS, strict=True):
        wire.answer("PUT", f"/{images.cosign_tag(image)}$", status, body, headers)
    route = make_route(source_api, wire, name, transfer="direct")
    first = run_route(route)
    lacking = LackingArtifacts.first_of(
        LackingArtifact(name=images.cosign_tag(image), subject=image.digest, image=image.digest)
        for image in refused.values()
    )
    assert (first.lacking, first.lacks_only_artifacts) == (lacking, True)
    for _ in range(2):
        source_api.clear_requests()
        again = next_run(route, first)
        assert (again.lacking, counted(again)) == (lacking, {"failed": 3, "locked": 1, "unchanged": 12})
        assert requests(source_api, path="/referrers/") == 4
        others = [line.split("manifests/")[0] for line in asked(source_api, name) if "manifests/sha256" in line]
        assert others == 4 * ["GET "] + 4 * ["HEAD "]  # of the refused signatures
    wire.clear_rules()
    accepted = next_run(route, again)
    assert (counted(accepted), accepted.lacking) == ({"copied": 4, "unchanged": 12}, LackingArtifacts())


def test_a_destination_that_refuses_all_of_them_costs_a_bounded_number(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    """When it accepts those that are stored, a full check copies the others."""
    push_signed(source, name, 15)
    wire.answer("PUT", SIGNATURE, 403)
    route = make_route(source_api, wire, name, transfer="direct")
    first = run_route(route)
    assert (len(first.lacking.artifacts), first.lacking.is_partial) == (MAX_LACKING, True)
    source_api.clear_requests()
    wire.clear_requests()
    second = next_run(route, first)
    assert (second.lacking, counted(second)) == (first.lacking, {"failed": MAX_LACKING, "unchanged": 15})
    assert requests(source_api, path="/referrers/") == MAX_LACKING
    assert requests(wire, path=".sig") == 2 * MAX_LACKING  # a HEAD and a PUT of each
    assert not second.lacking.needs_full_check
    wire.clear_rules()
    third = next_run(route, second)
    assert counted(third) == {"copied": MAX_LACKING, "unchanged": 15}
    assert third.lacking.needs_full_check
    last = next_run(route, third, FULL_CHECK)
    assert (counted(last), bool(last.lacking)) == ({"copied": 5, "unchanged": 15}, False)


def test_a_refused_referrer_of_a_platform_image_stays_red(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    """Also in a full check, which looks at the digests of tags alone."""
    content = images.multi_arch(name)
    child = content.children[0]
    sbom = images.bare_artifact("sbom", subject=child)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, None, sbom)
    wire.answer("PUT", f"/{sbom.digest}$", 403)
    route = make_route(source_api, wire, name)
    report = run_route(route)
    for window in (ALL_TAGS, FULL_CHECK, ALL_TAGS):
        report = next_run(route, report, window)
        assert [result.tag for result in report.failed_tags] == [str(sbom.digest)]
        (artifact,) = report.lacking.artifacts
        assert (artifact.subject, artifact.image) == (child.digest, content.digest)
    wire.clear_rules()
    assert result_of(next_run(route, report), str(sbom.digest)).outcome == "copied"


def test_unstored_referrers_of_platform_images_are_found_by_the_full_check(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    content = images.multi_arch(name)
    child = content.children[0]
    images.push(source.url, name, "v1", content)
    for number in range(MAX_LACKING + 2):
        images.push(source.url, name, None, images.bare_artifact(f"sbom {number}", subject=child))
    route = make_route(source_api, wire, name)
    for number in range(MAX_LACKING + 2):
        wire.answer("PUT", f"/{images.bare_artifact(f'sbom {number}', subject=child).digest}$", 403)
    first = run_route(route)
    unstored = LackingArtifacts(is_partial=True)
    assert first.lacking.is_partial
    wire.clear_rules()
    last = run_route(route, window=FULL_CHECK, lacking=unstored)
    assert (counted(last), bool(last.lacking)) == ({"copied": MAX_LACKING + 2, "unchanged": 1}, False)


@pytest.mark.parametrize("change", ["moved", "excluded"])
def test_an_image_that_is_not_mirrored_any_more_turns_nothing_red(
    source: RegistryProcess, wire: Interceptor, name: str, change: str
) -> None:
    push_signed(source, name, 1)
    wire.answer("PUT", SIGNATURE, 403)
    first = run_route(make_route(source, wire, name, transfer="direct"))
    assert len(first.lacking.artifacts) == 1
    images.push(source.url, name, "v1", new := images.bare_artifact(f"{name} new"))
    if change == "moved":
        images.push(source.url, name, "v0", new)
    rules = {"exclude": ("v0",)} if change == "excluded" else {}
    report = next_run(make_route(source, wire, name, transfer="direct", tags=rules), first)
    assert (report.failed_tags, bool(report.lacking)) == ((), False)


def test_a_run_that_cannot_look_keeps_them(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    """The source does not show its referrers in this run, which is a note for images without known ones."""
    content = images.bare_artifact(name)
    sbom = images.bare_artifact("sbom", subject=content)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, None, sbom)
    wire.answer("PUT", f"/{sbom.digest}$", 403)
    with Interceptor(source_api.url) as here:
        route = make_route(here, wire, name, transfer="direct")
        first = run_route(route)
        here.answer("GET", "/referrers/", 500)
        second = next_run(route, first)
        result = result_of(second, str(sbom.digest))
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason.startswith("it failed in an earlier run, and cannot be looked for now: ")
        assert second.lacking == first.lacking
        here.clear_rules()
        wire.clear_rules()
        assert result_of(next_run(route, second), str(sbom.digest)).outcome == "copied"


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_a_rate_limit_keeps_them(source: RegistryProcess, wire: Interceptor, name: str, method: str) -> None:
    push_signed(source, name, 3)
    wire.answer("PUT", SIGNATURE, 403)
    route = make_route(source, wire, name, transfer="direct")
    first = run_route(route)
    wire.clear_rules()
    wire.answer(method, SIGNATURE, 429, headers={"Retry-After": "7200"})
    limited = next_run(route, first)
    assert limited.retry_at is not None
    assert {artifact.subject for artifact in limited.lacking.artifacts} == subjects(first)
    wire.clear_rules()
    assert counted(next_run(route, limited)) == {"copied": 3, "unchanged": 3}


def subjects(report: RouteReport) -> set[Digest]:
    return {artifact.subject for artifact in report.lacking.artifacts}


def test_without_a_tag_in_the_window_one_head_shows_that_the_image_is_still_there(
    source: RegistryProcess, wire: Interceptor, name: str
) -> None:
    content = push_signed(source, name, 3)
    wire.answer("PUT", SIGNATURE, 403)
    route = make_route(source, wire, name, transfer="direct")
    first = run_route(route)
    wire.clear_requests()
    report = run_route(route, only_tags=only_tags(["v0"]), lacking=first.lacking)
    assert report.lacking == first.lacking
    heads = [request for request in asked(wire, name) if re.match(r"HEAD manifests/(v|sha256:)", request)]
    digests = sorted(f"HEAD manifests/{image.digest} 200" for image in content)
    assert sorted(heads) == [*digests, "HEAD manifests/v0 200"]


def test_another_tag_of_the_image_keeps_them(source: RegistryProcess, wire: Interceptor, name: str) -> None:
    """A tag that moves on, such as ``latest``, says nothing about another one that has the image."""
    (content,) = push_signed(source, name, 1)
    images.push(source.url, name, "a", content)
    images.push(source.url, name, "z", content)
    wire.answer("PUT", SIGNATURE, 403)
    route = make_route(source, wire, name, transfer="direct")
    first = run_route(route)
    new = images.bare_artifact(f"{name} new")
    for tag in ("a", "z"):
        images.push(source.url, name, tag, new)
    report = run_route(route, only_tags=only_tags(["a", "z"]), lacking=first.lacking)
    assert [result.tag for result in report.failed_tags] == [images.cosign_tag(content)]
    assert subjects(report) == subjects(first)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_tag_that_cannot_be_read_keeps_them(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str, side: str
) -> None:
    content = images.bare_artifact(name)
    sbom = images.bare_artifact("sbom", subject=content)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, "v2", images.bare_artifact(f"{name} other"))
    images.push(source.url, name, None, sbom)
    wire.answer("PUT", f"/{sbom.digest}$", 403)
    with Interceptor(source_api.url) as here:
        route = make_route(here, wire, name, transfer="direct")
        first = run_route(route)
        for method in ("HEAD", "GET"):
            (here if side == "source" else wire).answer(method, "/manifests/v1$", 403)
        report = next_run(route, first)
    assert {result.tag for result in report.failed_tags} >= {"v1", str(sbom.digest)}
    assert subjects(report) == subjects(first)


def test_a_run_that_did_not_compare_the_tag_does_not_keep_them_for_ever(
    source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
) -> None:
    """The image stays at the destination without a tag. The next complete look shows that nothing needs it."""
    content = images.bare_artifact(name)
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, "v2", new := images.bare_artifact(f"{name} new"))
    images.push(source.url, name, None, sbom := images.bare_artifact("sbom", subject=content))
    wire.answer("PUT", f"/{sbom.digest}$", 403)
    route = make_route(source_api, wire, name, transfer="direct")
    partial = run_route(route, only_tags=only_tags(["v2"]), lacking=run_route(route).lacking)
    assert len(partial.lacking.artifacts) == 1
    images.push(source.url, name, "v1", new)
    assert counted(next_run(route, partial)) == {"copied": 1, "unchanged": 1}
    last = next_run(route, partial)
    assert (counted(last), bool(last.lacking)) == ({"unchanged": 2}, False)
