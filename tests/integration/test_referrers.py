"""The referrers API: what a registry answers about one digest is about that digest, and holds no image back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from registry_sync.errors import ReferrersUnavailable
from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.manifest import OCI_INDEX
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.wire import paging
from testkit import images
from testkit.clients import connect
from testkit.images import Image
from testkit.interceptor import ANY, Interceptor
from testkit.referrers_api import ReferrersApi
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.scripted import Reply, ScriptedServer
from testkit.small_registry import SmallRegistry

pytestmark = pytest.mark.usefixtures("recorded_pauses")

ODD = Digest.of(b"odd")
INDEX = {"Content-Type": OCI_INDEX}
NOT_PERMITTED = " (not permitted with these credentials, or it does not exist)"


@pytest.fixture
def api(source: RegistryProcess) -> Iterator[ReferrersApi]:
    with ReferrersApi(source) as opened:
        yield opened


def push(source: RegistryProcess, name: str, tag: str) -> tuple[Image, Image]:
    """An image without children, and an SBOM attached to it."""
    content = images.image([images.layer({"a": f"{name} {tag}".encode()})])
    sbom = images.bare_artifact(f"sbom {tag}", subject=content)
    images.push(source.url, name, tag, content)
    images.push(source.url, name, None, sbom)
    return content, sbom


def push_list(source: RegistryProcess, name: str, subject: Image, sbom: Image) -> None:
    """The list that clients keep under a tag for registries without the API."""
    images.push(source.url, name, referrers_tag(subject.digest), images.referrers_list([sbom]))


NO_API = [
    (404, b"404 page not found", {}),
    (404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}', {}),
    (400, b"", {}),
    (405, b"", {}),
    (406, b"", {}),
    (410, b"", {}),
    (501, b"", {}),
    (204, b"", {}),
    (200, b"", {}),
    (200, b"<html>Welcome</html>", {"Content-Type": "text/html"}),
    (200, b"{}", {}),
    (200, b"[]", {}),
    (200, b'{"schemaVersion": 2, "manifests": null}', INDEX),
]

UNAVAILABLE = [
    (401, b"", {}, f"answered 401{NOT_PERMITTED}"),
    (403, b"no", {}, f"answered 403 no{NOT_PERMITTED}"),
    (412, b"blocked", {}, "answered 412 blocked"),
    (422, b"", {}, "answered 422"),
    (451, b"", {}, "answered 451"),
    (429, b"", {"Retry-After": "7200"}, "answered 429"),
    (429, b"", {}, "answered 429"),
    (500, b"", {}, "answered 500"),
    (503, b"busy", {"Retry-After": "1"}, "answered 503 busy"),
]


class TestClient:
    @pytest.mark.parametrize(("status", "body", "headers"), NO_API)
    def test_no_list_is_an_answer_about_one_digest(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        odd = Reply(status=status, body=body, headers=headers)
        some = Reply(body=b'{"schemaVersion": 2, "manifests": []}', headers=INDEX)
        with ScriptedServer(lambda shown: odd if shown.target.endswith(str(ODD)) else some) as server:
            with connect(DistributionClient, server) as asked:
                found = asked.list_referrers(Repository(server.host, "team/app"), ODD)
                assert found is None if b"null" not in body else found is not None and found.children == ()
                assert asked.list_referrers(Repository(server.host, "team/app"), Digest.of(b"other")) is not None
            assert len(server.shown) == 2

    @pytest.mark.parametrize(("status", "body", "headers", "text"), UNAVAILABLE)
    def test_what_cannot_be_read_has_an_error_of_its_own(
        self, status: int, body: bytes, headers: Mapping[str, str], text: str
    ) -> None:
        odd = Reply(status=status, body=body, headers=headers)
        with ScriptedServer(lambda _: odd) as server, connect(DistributionClient, server) as asked:
            with pytest.raises(ReferrersUnavailable) as caught:
                asked.list_referrers(Repository(server.host, "team/app"), ODD)
            assert str(caught.value) == f"GET {server.url}/v2/team/app/referrers/{ODD} {text}"
            assert len(server.shown) == (3 if status >= 500 else 1)


@pytest.mark.parametrize("case", [NO_API[0], NO_API[-4], NO_API[-1]], ids=["404", "HTML", "null"])
def test_one_digest_without_a_list_says_nothing_about_the_others(
    source: RegistryProcess,
    api: ReferrersApi,
    destination: RegistryProcess,
    name: str,
    case: tuple[int, bytes, Mapping[str, str]],
) -> None:
    (odd, _), *others = [push(source, name, tag) for tag in ("v0", "v1", "v2")]
    api.answer("GET", f"/referrers/{odd.digest}", *case)
    report = run_route(make_route(api, destination, name, parallel_copies=1))
    assert counted(report) == {"copied": 5}
    assert report.notes == ()
    for _, sbom in others:
        assert images.resolve(destination.url, name, sbom.digest) == sbom.digest


@pytest.mark.parametrize(
    "case", [UNAVAILABLE[1], UNAVAILABLE[2], UNAVAILABLE[5], UNAVAILABLE[7]], ids=["403", "412", "429", "500"]
)
def test_what_cannot_be_read_is_a_note(
    source: RegistryProcess,
    api: ReferrersApi,
    destination: RegistryProcess,
    name: str,
    case: tuple[int, bytes, Mapping[str, str], str],
) -> None:
    """Neither a failure nor a rate limit of the registry. The list under a tag is copied all the same."""
    (odd, kept), *others = [push(source, name, tag) for tag in ("v0", "v1")]
    push_list(source, name, odd, kept)
    api.answer("GET", f"/referrers/{odd.digest}", *case[:3])
    report = run_route(make_route(api, destination, name, parallel_copies=1))
    assert counted(report) == {"copied": 4}
    (note,) = report.notes
    assert note == (
        f"the referrers of 1 images could not be read: GET {api.url}/v2/{name}/referrers/{odd.digest} {case[3]}; "
        "signatures and SBOMs attached to them may be missing at the destination"
    )
    for _, sbom in ((odd, kept), *others):
        assert images.resolve(destination.url, name, sbom.digest) == sbom.digest


@pytest.mark.parametrize("tags", [{}, {"names": ("v1",)}], ids=["listed", "names"])
def test_an_api_that_is_newer_than_the_referrers_does_not_hide_them(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str, tags: Mapping[str, Any]
) -> None:
    """Harbor has the API since 2.8. What was listed under the tag before stays there alone."""
    content, sbom = push(source, name, "v1")
    push_list(source, name, content, sbom)
    api.answer("GET", f"/referrers/{content.digest}", 200, b'{"schemaVersion": 2, "manifests": []}', INDEX)
    report = run_route(make_route(api, destination, name, tags=tags))
    assert counted(report) == {"copied": 2}
    assert report.notes == ()
    assert images.resolve(destination.url, name, sbom.digest) == sbom.digest


def test_the_lists_of_the_api_and_of_the_tag_are_both_copied(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    content, by_api = push(source, name, "v1")
    by_tag = images.bare_artifact("listed under the tag alone")
    images.push(source.url, name, None, by_tag)
    images.push(source.url, name, referrers_tag(content.digest), images.referrers_list([by_api, by_tag]))
    report = run_route(make_route(api, destination, name))
    assert counted(report) == {"copied": 3}
    for referrer in (by_api, by_tag):
        assert images.resolve(destination.url, name, referrer.digest) == referrer.digest
    asked = [request.path for request in api.requests() if request.path.endswith(f"/{referrers_tag(content.digest)}")]
    assert len(asked) == 1


def test_a_tag_that_cannot_be_read_does_not_hide_what_the_api_lists(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    content, sbom = push(source, name, "v1")
    listed = images.referrers_list([sbom])
    images.push(source.url, name, referrers_tag(content.digest), listed)
    api.after(  # the first GET finds out that it is no image
        "GET",
        path := f"/v2/{name}/manifests/{listed.digest}",
        lambda _: api.answer("GET", path, 403),
        times=1,
    )
    report = run_route(make_route(api, destination, name))
    assert counted(report) == {"copied": 2, "failed": 1}
    assert result_of(report, referrers_tag(content.digest)).reason == (
        f"attached to {content.digest.short}, cannot be copied: GET {api.url}{path} answered 403{NOT_PERMITTED}"
    )
    assert images.resolve(destination.url, name, sbom.digest) == sbom.digest


def test_a_damaged_list_and_a_broken_connection_are_notes(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    first, second = (push(source, name, tag)[0] for tag in ("v0", "v1"))
    api.answer("GET", f"/referrers/{first.digest}", 200, b'{"manifests": [{"mediaType": "x"}]}', INDEX)
    api.reset("GET", f"/referrers/{second.digest}")
    report = run_route(make_route(api, destination, name))
    assert counted(report) == {"copied": 2}
    (note,) = report.notes
    assert note.startswith("the referrers of 2 images could not be read: ")


def test_a_redirect_to_a_web_page_elsewhere_is_not_followed(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """GHCR redirects to GitHub's pages, which rate-limit: https://github.com/artifacthub/hub/issues/4785."""
    content, sbom = push(source, name, "v1")
    push_list(source, name, content, sbom)
    with ScriptedServer(lambda _: Reply(status=429)) as elsewhere, Interceptor(source.url) as wire:
        wire.answer("GET", "/referrers/", 303, headers={"Location": f"{elsewhere.url}/-/v2/packages/x"})
        report = run_route(make_route(wire, destination, name))
        assert elsewhere.shown == []
    assert counted(report) == {"copied": 2}
    assert report.notes == ()
    assert images.resolve(destination.url, name, sbom.digest) == sbom.digest


def test_a_redirect_to_the_api_of_another_host_is_followed(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    """As registry.k8s.io redirects. That host is asked once."""
    content, sbom = push(source, name, "v1")
    failing, _ = push(source, name, "v2")
    api.answer("GET", f"/referrers/{failing.digest}", 503)
    with Interceptor(source.url) as wire:
        for subject in (content, failing):
            target = f"{api.url}/v2/{name}/referrers/{subject.digest}"
            wire.answer("GET", f"/referrers/{subject.digest}", 307, headers={"Location": target})
        report = run_route(make_route(wire, destination, name))
    assert images.resolve(destination.url, name, sbom.digest) == sbom.digest
    assert counted(report) == {"copied": 3}
    (note,) = report.notes
    assert note.startswith("the referrers of 1 images could not be read: GET ")
    assert [request.status for request in api.requests() if "referrers" in request.path].count(503) == 1


@pytest.mark.parametrize("status", [404, 200])
def test_a_later_page_that_fails_is_a_note(
    source: RegistryProcess, destination: RegistryProcess, name: str, status: int
) -> None:
    content, _ = push(source, name, "v1")
    for number in range(3):
        images.push(source.url, name, None, images.bare_artifact(f"more {number}", subject=content))
    with ReferrersApi(source, page_size=2) as api:
        api.after("GET", "/referrers/", lambda _: api.answer("GET", "/referrers/", status, b"<html>"), times=1)
        report = run_route(make_route(api, destination, name))
    assert counted(report) == {"copied": 1}
    assert len(report.notes) == 1


def test_a_destination_that_may_have_the_api_gets_the_list_too(
    source: RegistryProcess, api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    content, _ = push(source, name, "v1")
    with Interceptor(destination.url) as wire:
        wire.answer(ANY, "/referrers/", 403)
        assert counted(run_route(make_route(api, wire, name))) == {"copied": 2}
    assert images.resolve(destination.url, name, referrers_tag(content.digest)) is not None


class TestTagsOfArtifactsThatAreDenied:
    """JFrog answers 403 for a tag that is not there: https://github.com/sigstore/cosign/issues/2973."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_are_written_at_a_destination_that_does_not_list_them(
        self, source: RegistryProcess, name: str, *, status: int
    ) -> None:
        content, sbom = push(source, name, "v1")
        push_list(source, name, content, sbom)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        with SmallRegistry(missing_status=status) as destination:
            assert counted(run_route(make_route(source, destination, name))) == {"copied": 3}
            assert set(destination.tags(name)) == {"v1", images.cosign_tag(content), referrers_tag(content.digest)}

    def test_are_not_overwritten_at_a_destination_that_lists_them(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content, sbom = push(source, name, "v1")
        push_list(source, name, content, sbom)
        tag = referrers_tag(content.digest)
        images.push(destination.url, name, tag, images.index([images.bare_artifact("their own")]))
        before = images.resolve(destination.url, name, tag)
        wire.answer(ANY, f"/manifests/{tag}", 403)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 2, "failed": 1}
        assert result_of(report, tag).error_class == "denied"
        assert images.resolve(destination.url, name, tag) == before

    @pytest.mark.parametrize("status", [400, 401, 403, 451])
    def test_are_noted_where_no_listing_of_the_source_shows_them(
        self, source: RegistryProcess, destination: RegistryProcess, source_wire: Interceptor, name: str, *, status: int
    ) -> None:
        content, _ = push(source, name, "v1")
        source_wire.answer(ANY, "/manifests/sha256-", status)
        report = run_route(make_route(source_wire, destination, name, tags={"names": ("v1",)}))
        assert counted(report) == {"copied": 1}
        where = f"http://{source_wire.host}/v2/{name}/manifests/{images.cosign_tag(content)}"
        problem = f"GET {where} answered {status}{NOT_PERMITTED if status in (401, 403) else ''}"
        seen = f"the artifact tags of 1 images could not be read: {problem}"
        lost = "signatures and SBOMs attached to them may be missing at the destination"
        assert report.notes == (f"{seen}; {lost}",)

    def test_hold_no_image_back_when_the_list_itself_is_denied(
        self, source: RegistryProcess, destination: RegistryProcess, source_wire: Interceptor, name: str
    ) -> None:
        content, sbom = push(source, name, "v1")
        push_list(source, name, content, sbom)
        tag = referrers_tag(content.digest)
        source_wire.answer("GET", f"/manifests/{images.resolve(source.url, name, tag)}", 403)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert result_of(report, tag).error_class == "denied"
        assert images.resolve(destination.url, name, "v1") == content.digest


def test_more_pages_than_are_read_are_a_note(
    source: RegistryProcess, destination: RegistryProcess, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 1)
    content, _ = push(source, name, "v1")
    for number in range(3):
        images.push(source.url, name, None, images.bare_artifact(f"more {number}", subject=content))
    with ReferrersApi(source, page_size=2) as api:
        report = run_route(make_route(api, destination, name))
    assert counted(report) == {"copied": 1}
    (note,) = report.notes
    assert note.startswith("the referrers of 1 images could not be read: ")
    assert "the listing has more than 1 pages, or does not end; signatures and SBOMs attached to them may be" in note
