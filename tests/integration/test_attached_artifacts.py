"""Attached artifacts are copied with their image: cosign's tags, and OCI 1.1 referrers with and without their API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from registry_sync.oci.artifact_tags import referrers_tag
from registry_sync.oci.manifest import ACCEPT
from registry_sync.oci.reference import Digest
from registry_sync.sync import publish
from registry_sync.sync.report import RouteReport
from registry_sync.sync.route import sync_route
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.view import RouteView
from registry_sync.sync.window import PUSHED, Window
from registry_sync.tags.rules import only_tags
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.quay_api import QuayApi
from testkit.referrers_api import ReferrersApi
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, asked, counted, make_route, result_of, run_route
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog

BACKUP_TAG = "{{ tag }}-was-{{ digest_short }}"


@pytest.fixture
def source_api(source: RegistryProcess) -> Iterator[ReferrersApi]:
    with ReferrersApi(source) as api:
        yield api


@pytest.fixture
def destination_api(destination: RegistryProcess) -> Iterator[ReferrersApi]:
    with ReferrersApi(destination) as api:
        yield api


def get(server: RegistryProcess | Interceptor, name: str, reference: str | Digest) -> requests.Response:
    return requests.get(
        f"{server.url}/v2/{name}/manifests/{reference}", headers={"Accept": ACCEPT}, timeout=PATIENCE_SECONDS
    )


def listed(server: RegistryProcess | Interceptor, name: str, reference: str | Digest) -> list[dict[str, Any]]:
    """Entries of an index."""
    entries: list[dict[str, Any]] = json.loads(get(server, name, reference).content)["manifests"]
    return entries


def push_list(registry: RegistryProcess, name: str, subject: Image, *referrers: Image) -> Image:
    """Push the referrers list that a client keeps under a tag where the registry has no API."""
    content = images.index([])
    document = json.loads(content.content)
    document["manifests"] = [
        {
            "mediaType": referrer.media_type,
            "digest": str(referrer.digest),
            "size": len(referrer.content),
            "artifactType": json.loads(referrer.content).get("artifactType", "application/vnd.example"),
            "annotations": {"org.example.name": "kept"},
        }
        for referrer in referrers
    ]
    body = json.dumps(document).encode()
    images.push(registry.url, name, None, content)
    index = Image(content=body, media_type=content.media_type)
    images.push(registry.url, name, referrers_tag(subject.digest), index)
    return index


class TestCosignTags:
    def test_follow_their_image_and_its_children(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        child = content.children[0]
        kept = {
            images.cosign_tag(content): images.cosign_signature(content),
            images.cosign_tag(content, "att"): images.artifact("att"),
            images.cosign_tag(content, "sbom"): images.bare_artifact("sbom"),
            images.cosign_tag(child): images.cosign_signature(child),
        }
        images.push(source.url, name, "v1", content)
        for tag, each in kept.items():
            images.push(source.url, name, tag, each)
        report = run_route(make_route(source, destination, name))
        assert counted(report) == {"copied": 5}
        for tag, each in kept.items():
            assert images.resolve(destination.url, name, tag) == each.digest
            images.pull_whole(destination.url, name, tag)
        result = result_of(report, images.cosign_tag(child))
        assert (result.outcome, result.reason) == ("copied", f"attached to {child.digest.short}")
        assert result.digest == kept[images.cosign_tag(child)].digest

    def test_follow_selected_images_only(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        for tag in ("v1", "dev"):
            images.push(source.url, name, tag, content := images.multi_arch(f"{name} {tag}"))
            images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        report = run_route(make_route(source, destination, name, tags={"include": ("v*",)}))
        assert counted(report) == {"copied": 2, "skipped": 1}
        assert images.resolve(destination.url, name, images.cosign_tag(content)) is None

    def test_an_artifact_tag_in_names_is_an_ordinary_tag(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Some users tag an image by its own digest."""
        content = images.image([images.layer({"a": name.encode()})])
        tag = referrers_tag(content.digest)
        images.push(source.url, name, tag, content)
        images.push(source.url, name, "v1", content)
        assert counted(run_route(make_route(source, destination, name, tags={"names": (tag,)}))) == {"copied": 1}
        assert images.resolve(destination.url, name, tag) == content.digest

    @pytest.mark.parametrize("signatures", [True, False])
    def test_tags_in_names_are_images_whatever_their_form(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, signatures: bool
    ) -> None:
        """The tags look like a signature, a list of referrers, and a backup."""
        content = images.image([images.layer({"a": name.encode()})])
        tags = (images.cosign_tag(content), referrers_tag(content.digest), f"v1-was-{content.digest.encoded[:12]}")
        for tag in tags:
            images.push(source.url, name, tag, content)
        rules = {"names": tags}
        route = make_route(source, destination, name, signatures=signatures, backup_tag=BACKUP_TAG, tags=rules)
        assert counted(run_route(route)) == {"copied": 3}
        assert {images.resolve(destination.url, name, tag) for tag in tags} == {content.digest}

    def test_stay_behind_when_signatures_is_false(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        source.clear_requests()
        assert counted(run_route(make_route(source, destination, name, signatures=False))) == {
            "copied": 1,
            "skipped": 1,
        }
        assert f"  {images.cosign_tag(content)}: attached to an image, and signatures is false" in caplog.messages
        assert not [request for request in source.requests() if "referrers" in request.path]

    def test_a_signature_of_a_signature_is_copied(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content, sbom = images.image([images.layer({"a": name.encode()})]), images.bare_artifact(name)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content, "sbom"), sbom)
        images.push(source.url, name, images.cosign_tag(sbom), images.cosign_signature(sbom))
        assert counted(run_route(make_route(source, destination, name))) == {"copied": 3}
        assert images.resolve(destination.url, name, images.cosign_tag(sbom)) is not None

    def test_arrive_before_the_tag(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 2}
        puts = [request.path.rpartition("/")[2] for request in wire.requests() if request.method == "PUT"]
        assert [put for put in puts if put in ("v1", images.cosign_tag(content))] == [
            images.cosign_tag(content),
            "v1",
        ]

    def test_the_tag_waits_when_they_fail_temporarily(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content = images.multi_arch(name)
        tag = images.cosign_tag(content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, images.cosign_signature(content))
        wire.answer("PUT", f"/{tag}$", 503)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"failed": 1}
        assert result_of(report, "v1").error_class == "temporary"
        assert result_of(report, "v1").reason == (
            f"the artifacts attached to {content.digest.short} were not copied: "
            f"PUT {wire.url}/v2/{name}/manifests/{tag} "
            "answered 503"
        )
        assert images.resolve(destination.url, name, "v1") is None
        wire.clear_rules()
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 2}
        assert images.resolve(destination.url, name, tag) is not None

    def test_another_try_continues_where_one_ended(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        """The SBOM arrived and its own signature did not."""
        content, sbom = images.image([images.layer({"a": name.encode()})]), images.bare_artifact(name)
        tag = images.cosign_tag(sbom)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content, "sbom"), sbom)
        images.push(source.url, name, tag, images.cosign_signature(sbom))
        wire.answer("PUT", f"/{tag}$", 503)
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 1, "failed": 1}
        wire.clear_rules()
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 2}
        assert images.resolve(destination.url, name, tag) is not None

    def test_the_image_is_mirrored_when_they_are_refused(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content = images.multi_arch(name)
        tag = images.cosign_tag(content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, images.cosign_signature(content))
        body = b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no such tags here"}]}'
        wire.answer("PUT", f"/{tag}$", 400, body)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 1, "failed": 1}
        assert result_of(report, tag).reason == (
            f"attached to {content.digest.short}, cannot be copied: PUT {wire.url}/v2/{name}/manifests/{tag} "
            "answered 400 MANIFEST_INVALID: no such tags here"
        )
        assert images.resolve(destination.url, name, "v1") == content.digest

    def test_signatures_of_the_destination_are_kept_by_policy(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        tag, own = images.cosign_tag(content), images.cosign_signature(content, "ours")
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, images.cosign_signature(content, "theirs"))
        images.push(destination.url, name, tag, own)
        route = make_route(source, destination, name, on_moved_tag={"sha256-*": "keep", "*": "follow"})
        assert counted(run_route(route)) == {"copied": 1}
        assert images.resolve(destination.url, name, tag) == own.digest

    @pytest.mark.parametrize("settings", [{"on_moved_tag": {"sha256-*": "keep"}}, {"backup_tag": BACKUP_TAG}])
    def test_a_signature_pushed_to_the_destination_meanwhile_is_not_overwritten(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, settings: dict[str, Any]
    ) -> None:
        """It was missing when the route was read. The next try finds it, and keeps it or makes a backup."""
        content = images.multi_arch(name)
        tag, own = images.cosign_tag(content), images.cosign_signature(content, "ours")
        theirs = images.cosign_signature(content, "theirs")
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, theirs)

        def push(_: Request) -> None:
            images.push(destination.url, name, tag, own)

        with Interceptor(source.url) as here:
            here.after("GET", f"/blobs/{theirs.blobs[1].digest}$", push, times=1)
            route = make_route(here, destination, name, **settings)
            assert result_of(run_route(route), "v1").reason == (
                f"the artifacts attached to {content.digest.short} were not copied: the destination's "
                f"tag was pushed since planning and has {own.digest.short}; the retry plans again"
            )
            assert images.resolve(destination.url, name, tag) == own.digest
            assert not run_route(route).is_failed
        kept = f"{tag}-was-{own.digest.encoded[:12]}" if "backup_tag" in settings else tag
        assert images.resolve(destination.url, name, kept) == own.digest

    def test_an_overwritten_signature_has_a_backup_first(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content, tag, theirs, own = with_another_signature(source, destination, name)
        kept = f"{tag}-was-{own.digest.encoded[:12]}"
        report = run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG))
        assert counted(report) == {"copied": 2}
        assert result_of(report, tag).reason == (
            f"attached to {content.digest.short}; {moved(theirs, own)}, kept as {kept}"
        )
        puts = [request.path.rpartition("/")[2] for request in wire.requests() if request.method == "PUT"]
        assert [put for put in puts if put in (kept, tag, "v1")] == [kept, tag, "v1"]
        assert images.resolve(destination.url, name, kept) == own.digest
        assert images.resolve(destination.url, name, tag) == theirs.digest

    def test_a_run_with_an_older_listing_does_not_restore_an_older_signature(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Adding a signature changes the tag, and another run may have copied the newer one meanwhile."""
        monkeypatch.setattr(publish, "FRESH_SECONDS", 0.0)
        content = images.multi_arch(name)
        tag, older, newer = images.cosign_tag(content), *(images.cosign_signature(content, each) for each in "ab")
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, older)

        def sign_and_run(_: Request) -> None:
            images.push(source.url, name, tag, newer)
            assert counted(run_route(make_route(source, destination, name))) == {"copied": 2}

        with Interceptor(source.url) as here:
            here.after("GET", f"/manifests/{older.digest}$", sign_and_run, times=1)
            report = run_route(make_route(here, destination, name))
        assert counted(report) == {"failed": 1}
        assert result_of(report, "v1").reason == (
            f"the artifacts attached to {content.digest.short} were not copied: the tag changed at "
            "source and destination since planning (another run?): the destination's tag now has "
            f"{newer.digest.short}; the retry compares them again"
        )
        assert images.resolve(destination.url, name, tag) == newer.digest
        assert counted(run_route(make_route(source, destination, name))) == {"unchanged": 1}

    @pytest.mark.parametrize(("status", "error_class"), [(418, "refused"), (507, "temporary")])
    def test_a_backup_that_fails_stops_the_overwrite(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        status: int,
        error_class: str,
    ) -> None:
        """A permanent failure fails only the signature. For a temporary one the image waits."""
        content, tag, theirs, own = with_another_signature(source, destination, name)
        kept = f"{tag}-was-{own.digest.encoded[:12]}"
        wire.answer("PUT", f"/{re.escape(kept)}$", status, b"no more")
        report = run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG))
        why = (
            f"{moved(theirs, own)}, kept as {kept}: the backup failed, so the tag was not overwritten "
            f"(PUT {wire.url}/v2/{name}/manifests/{kept} answered {status} no more)"
        )
        if error_class == "refused":
            assert counted(report) == {"copied": 1, "failed": 1}
            assert result_of(report, tag).reason == f"attached to {content.digest.short}, cannot be copied: {why}"
        else:
            assert counted(report) == {"failed": 1}
            assert (
                result_of(report, "v1").reason
                == f"the artifacts attached to {content.digest.short} were not copied: {why}"
            )
        assert {each.error_class for each in report.tags if each.outcome == "failed"} == {error_class}
        assert images.resolve(destination.url, name, tag) == own.digest

    def test_a_signature_with_policy_fail_fails(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content, tag, theirs, own = with_another_signature(source, destination, name)
        policies = {"sha256-*": "fail", "*": "follow"}
        report = run_route(make_route(source, destination, name, on_moved_tag=policies))
        assert counted(report) == {"copied": 1, "failed": 1}
        result = result_of(report, tag)
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert result.reason == (
            f"attached to {content.digest.short}; {moved(theirs, own)}; on_moved_tag is fail for 'sha256-*'"
        )
        assert images.resolve(destination.url, name, tag) == own.digest

    def test_a_locked_signature_is_reported_as_locked(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content, tag, _, own = with_another_signature(source, destination, name)
        body = b'{"errors": [{"code": "TAG_IMMUTABLE", "message": "tag is immutable"}]}'
        wire.answer("PUT", f"/{tag}$", 409, body)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 1, "locked": 1}
        result = result_of(report, tag)
        assert (result.outcome, result.error_class) == ("locked", "locked")
        assert result.reason == (
            f"attached to {content.digest.short}, cannot be copied: PUT {wire.url}/v2/{name}/manifests/{tag} "
            "answered 409 TAG_IMMUTABLE: tag is immutable"
        )
        assert images.resolve(destination.url, name, tag) == own.digest


def with_another_signature(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> tuple[Image, str, Image, Image]:
    """An image at the source whose signature differs at the destination."""
    content = images.multi_arch(name)
    tag = images.cosign_tag(content)
    theirs, own = (images.cosign_signature(content, each) for each in ("theirs", "ours"))
    images.push(source.url, name, "v1", content)
    images.push(source.url, name, tag, theirs)
    images.push(destination.url, name, tag, own)
    return content, tag, theirs, own


def moved(here: Image, there: Image) -> str:
    return f"changed to {here.digest.short}, the destination has {there.digest.short}"


class TestSharedChildren:
    """Two indexes that share an image, copied at the same time: both wait for that image's signature."""

    @pytest.fixture
    def child(self, source: RegistryProcess, name: str) -> Image:
        """A signed image of ``a`` and ``b``. They are copied after ``first``, as the first digest is copied alone."""
        whole = images.multi_arch(name)
        child = whole.children[0]
        images.push(source.url, name, "a", whole)
        images.push(source.url, name, "b", images.index([child, images.image([], labels={"of": name})]))
        images.push(source.url, name, "0", images.image([], labels={"first": name}))
        images.push(source.url, name, images.cosign_tag(child), images.cosign_signature(child))
        return child

    def test_tags_are_published_after_the_signature_of_a_shared_child(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, child: Image
    ) -> None:
        tag = images.cosign_tag(child)
        seen = dict[str, Digest | None]()
        wire.delay("PUT", f"/{tag}$", 1.5)

        def look(request: Request) -> None:
            seen[request.path.rpartition("/")[2]] = images.resolve(destination.url, name, tag)

        wire.after("PUT", "/manifests/[ab]$", look)
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 4}
        signature = images.cosign_signature(child).digest
        assert seen == {"a": signature, "b": signature}

    def test_tags_are_not_published_without_the_signature_of_a_shared_child(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, child: Image
    ) -> None:
        tag = images.cosign_tag(child)
        wire.answer("PUT", f"/{tag}$", 507, b"disk full")
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 1, "failed": 2}
        assert {(each.tag, each.reason) for each in report.tags if each.outcome == "failed"} == {
            (
                each,
                (
                    f"the artifacts attached to {child.digest.short} were not copied: "
                    f"PUT {wire.url}/v2/{name}/manifests/{tag} "
                    "answered 507 disk full"
                ),
            )
            for each in ("a", "b")
        }
        assert [images.resolve(destination.url, name, each) for each in ("a", "b")] == [None, None]


class TestRequests:
    def test_a_route_in_sync_costs_none(
        self, source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        route = make_route(source_api, destination, name)
        run_route(route)
        source_api.clear_requests()
        destination.clear_requests()
        assert counted(run_route(route)) == {"unchanged": 1}
        assert asked(source_api, name) == ["GET tags/list 200", "HEAD manifests/v1 200"]
        assert asked(destination, name) == ["HEAD manifests/v1 200"]

    def test_a_new_digest_costs_one_per_manifest(
        self, source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        run_route(make_route(source_api, destination, name))
        digests = [content.digest, *(child.digest for child in content.children)]
        referrers = [each for each in asked(source_api, name) if "referrers" in each]
        assert referrers == sorted(f"GET referrers/{digest} 200" for digest in digests)

    def test_a_source_without_the_api_costs_the_same(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """The answer about one digest says nothing about others."""
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        source.clear_requests()
        run_route(make_route(source, destination, name))
        digests = [content.digest, *(child.digest for child in content.children)]
        referrers = [each for each in asked(source, name) if "referrers" in each]
        assert referrers == sorted(f"GET referrers/{digest} 404" for digest in digests)


class TestReferrers:
    def test_are_copied_with_the_api_on_both_sides(
        self,
        source: RegistryProcess,
        source_api: ReferrersApi,
        destination: RegistryProcess,
        destination_api: ReferrersApi,
        name: str,
    ) -> None:
        content = images.multi_arch(name)
        sbom = images.bare_artifact("sbom", subject=content)
        of_child = images.artifact("scan", subject=content.children[1])
        of_sbom = images.bare_artifact("signature", subject=sbom)
        images.push(source.url, name, "v1", content)
        for each in (sbom, of_child, of_sbom):
            images.push(source.url, name, None, each)
        report = run_route(make_route(source_api, destination_api, name))
        assert counted(report) == {"copied": 4}
        assert result_of(report, str(of_sbom.digest)).reason == f"attached to {sbom.digest.short}"
        for each in (sbom, of_child, of_sbom):
            assert images.resolve(destination.url, name, each.digest) == each.digest
            images.pull_whole(destination.url, name, each.digest)
        url = f"{destination_api.url}/v2/{name}/referrers/{content.digest}"
        assert [manifest["digest"] for manifest in requests.get(url, timeout=PATIENCE_SECONDS).json()["manifests"]] == [
            str(sbom.digest)
        ]
        assert images.resolve(destination.url, name, referrers_tag(content.digest)) is None

    def test_a_destination_without_the_api_gets_the_list_under_its_tag(
        self, source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        first, second = (images.bare_artifact(text, subject=content) for text in ("first", "second"))
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, first)
        run_route(make_route(source_api, destination, name))
        (entry,) = listed(destination, name, referrers_tag(content.digest))
        assert entry == {
            "mediaType": first.media_type,
            "digest": str(first.digest),
            "size": len(first.content),
            "artifactType": "application/vnd.example.sbom",
        }
        images.push(source.url, name, None, second)
        assert counted(run_route(make_route(source_api, destination, name))) == {"unchanged": 1}
        late = run_route(make_route(source_api, destination, name), window=FULL_CHECK)
        assert counted(late) == {"copied": 1, "unchanged": 1}
        found = {each["digest"] for each in listed(destination, name, referrers_tag(content.digest))}
        assert found == {str(first.digest), str(second.digest)}

    @pytest.mark.parametrize("named", ["its image", "its digest"])
    def test_one_that_comes_later_is_copied_when_an_event_names_its_image(
        self,
        source: RegistryProcess,
        source_api: ReferrersApi,
        destination: RegistryProcess,
        destination_api: ReferrersApi,
        name: str,
        named: str,
    ) -> None:
        """Cosign 3 pushes a signature by digest alone. The CI reports the image again, by its tag or its digest."""
        content, other = (images.image([], labels={"text": f"{name} {tag}"}) for tag in ("v1", "v2"))
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, "v2", other)
        route = make_route(source_api, destination_api, name)
        run_route(route)
        late, of_other = (images.bare_artifact(f"late {image.digest}", subject=image) for image in (content, other))
        images.push(source.url, name, None, late)
        images.push(source.url, name, None, of_other)
        tag = "v1" if named == "its image" else f"sha256-{content.digest.encoded}"
        report = run_route(route, only_tags=only_tags([tag]), window=PUSHED)
        assert result_of(report, str(late.digest)).reason == f"attached to {content.digest.short}"
        assert images.resolve(destination.url, name, late.digest) == late.digest
        assert images.resolve(destination.url, name, of_other.digest) is None
        again = run_route(route, only_tags=only_tags([tag]), window=PUSHED)
        assert "copied" not in counted(again)

    def test_what_the_destination_lists_by_itself_stays_in_the_list(
        self, source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        own, theirs = (images.bare_artifact(text, subject=content) for text in ("own", "theirs"))
        images.push(destination.url, name, None, own)
        push_list(destination, name, content, own)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, theirs)
        run_route(make_route(source_api, destination, name))
        entries = listed(destination, name, referrers_tag(content.digest))
        assert [entry["digest"] for entry in entries] == [str(own.digest), str(theirs.digest)]
        assert entries[0]["annotations"] == {"org.example.name": "kept"}

    @pytest.mark.parametrize("has_subject", [True, False])
    def test_a_refused_cosign_tag_is_skipped_if_it_has_a_subject(
        self, source: RegistryProcess, wire: Interceptor, name: str, *, has_subject: bool
    ) -> None:
        content = images.multi_arch(name)
        tag, signature = (
            images.cosign_tag(content),
            images.bare_artifact(name, subject=content if has_subject else None),
        )
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, tag, signature)
        for target in (signature.digest, tag):
            wire.answer("PUT", f"/manifests/{target}$", 405, b'{"errors": [{"code": "UNSUPPORTED"}]}')
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 1, "skipped" if has_subject else "failed": 1}

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (405, b'{"errors": [{"code": "UNSUPPORTED", "message": "The operation is unsupported."}]}'),
            (400, b'{"errors": [{"code": "MANIFEST_INVALID", "message": "unknown field subject"}]}'),
            (415, b""),
        ],
    )
    def test_a_registry_that_cannot_hold_referrers_gets_the_images(
        self,
        source: RegistryProcess,
        source_api: ReferrersApi,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        *,
        status: int,
        body: bytes,
    ) -> None:
        """ECR without OCI 1.1 answers 405 UNSUPPORTED: https://github.com/aws/containers-roadmap/issues/2783."""
        content = images.multi_arch(name)
        sboms = [images.bare_artifact(f"{name} {number}", subject=content) for number in range(2)]
        images.push(source.url, name, "v1", content)
        for sbom in sboms:
            images.push(source.url, name, None, sbom)
            wire.answer("PUT", f"/manifests/{sbom.digest}$", status, body)
        report = run_route(make_route(source_api, wire, name))
        assert counted(report) == {"copied": 1, "skipped": 2}
        assert not report.is_failed
        (note,) = (each for each in report.notes if "artifacts" in each)
        more = ", or takes no pushes (is it read-only?)" if status == 405 else "; zot accepts Docker's types only with"
        assert note.startswith(
            "2 attached artifacts (signatures, for example) were skipped: attached to "
            f"{content.digest.short}, cannot be copied: the destination cannot hold referrers (destination "
            f"{wire.host}/{name} does not accept a manifest of this type or with these fields{more} "
        )
        assert images.resolve(destination.url, name, "v1") == content.digest

    @pytest.mark.parametrize("is_itself", [True, False])
    def test_an_image_where_the_list_should_be_is_not_overwritten(
        self,
        source: RegistryProcess,
        source_api: ReferrersApi,
        destination: RegistryProcess,
        name: str,
        is_itself: bool,
    ) -> None:
        """Some users tag an image by its own digest."""
        content = images.multi_arch(name)
        tag, image = referrers_tag(content.digest), content if is_itself else images.image([])
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, images.bare_artifact(name, subject=content))
        images.push(destination.url, name, tag, image)
        report = run_route(make_route(source_api, destination, name))
        place = f"attached to {content.digest.short}, cannot be copied: {destination.host}/{name}:{tag}"
        if is_itself:
            assert counted(report) == {"copied": 2, "skipped": 1}
            assert report.notes[-1] == (
                f"1 attached artifacts (signatures, for example) were skipped: {place} is the image itself, so that "
                "the destination can hold no list of its referrers (GitLab reads such a tag as the digest)"
            )
        else:
            assert counted(report) == {"copied": 2, "failed": 1}
            reason = f"{place} is an image, not a list of referrers; give that image another tag"
            assert result_of(report, tag).reason == reason
        assert images.resolve(destination.url, name, tag) == image.digest

    def test_a_destinations_list_of_missing_artifacts_is_replaced(
        self, source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        gone, theirs = (images.bare_artifact(f"{name} {text}", subject=content) for text in ("gone", "theirs"))
        images.push(destination.url, name, None, gone)
        push_list(destination, name, content, gone)
        images.delete_manifest(destination.url, name, gone.digest)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, theirs)
        assert counted(run_route(make_route(source_api, destination, name))) == {"copied": 2}
        entries = listed(destination, name, referrers_tag(content.digest))
        assert [entry["digest"] for entry in entries] == [str(theirs.digest)]

    @pytest.mark.parametrize("has_api", [True, False])
    def test_a_source_that_has_a_list_under_a_tag(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        destination_api: ReferrersApi,
        name: str,
        skopeo_log: SkopeoLog,
        has_api: bool,
    ) -> None:
        """Versions of skopeo before 1.15 cannot copy a list with ``artifactType`` in entries, so it is made again."""
        content = images.multi_arch(name)
        sbom = images.bare_artifact("sbom", subject=content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, sbom)
        push_list(source, name, content, sbom)
        report = run_route(make_route(source, destination_api if has_api else destination, name))
        assert counted(report) == {"copied": 2}
        assert len(skopeo_log.copies) == 2
        images.pull_whole(destination.url, name, sbom.digest)
        tag = images.resolve(destination.url, name, referrers_tag(content.digest))
        assert (tag is None) == has_api
        if not has_api:
            assert listed(destination, name, referrers_tag(content.digest))[0]["annotations"] == {
                "org.example.name": "kept"
            }

    def test_all_pages_are_read(self, source: RegistryProcess, destination_api: ReferrersApi, name: str) -> None:
        content = images.image([images.layer({"a": name.encode()})])
        images.push(source.url, name, "v1", content)
        for number in range(5):
            images.push(source.url, name, None, images.bare_artifact(f"{number}", subject=content))
        with ReferrersApi(source, page_size=2) as paged:
            report = run_route(make_route(paged, destination_api, name))
        assert counted(report) == {"copied": 6}

    def test_a_type_that_the_destination_never_takes_is_skipped(
        self, source: RegistryProcess, source_api: ReferrersApi, wire: Interceptor, name: str
    ) -> None:
        """Aliyun answers so to artifacts with an empty config."""
        content = images.multi_arch(name)
        sbom = images.bare_artifact("sbom", subject=content)
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, None, sbom)
        message = "unknown manifest class for application/vnd.oci.empty.v1+json"
        body = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
        wire.answer("PUT", f"/{sbom.digest}$", 403, body)
        report = run_route(make_route(source_api, wire, name))
        assert counted(report) == {"copied": 1, "skipped": 1}
        (note,) = report.notes
        assert note.startswith(
            f"1 attached artifacts (signatures, for example) were skipped: attached to {content.digest.short}, "
            "cannot be copied: "
            f"destination {wire.host}/{name} does not accept artifacts of this type (skopeo: "
        )
        assert not [request for request in wire.requests() if referrers_tag(content.digest) in request.path]


class TestLate:
    """Artifacts that are pushed after their image was mirrored."""

    def test_a_signature_pushed_in_the_window_is_copied(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        content = images.multi_arch(name)
        tag = images.cosign_tag(content.children[0])
        with QuayApi(source.url) as quay:
            images.push(source.url, name, "v1", content)
            quay.push(name, "v1", noon)
            route = make_route(quay, destination, name, source_kind="quay")
            first = Window(reason="scheduled", start=noon - timedelta(hours=1), end=noon + timedelta(hours=1))
            assert counted(run_route(route, window=first, api_url=quay.url)) == {"copied": 1}
            images.push(source.url, name, tag, images.cosign_signature(content.children[0]))
            unknown = images.multi_arch(f"{name} not mirrored")
            images.push(source.url, name, images.cosign_tag(unknown), images.cosign_signature(unknown))
            for each in (tag, images.cosign_tag(unknown)):
                quay.push(name, each, noon + timedelta(hours=2))
            second = Window(reason="scheduled", start=noon + timedelta(hours=1), end=noon + timedelta(hours=3))
            report = run_route(route, window=second, api_url=quay.url)
        assert counted(report) == {"copied": 1}
        assert result_of(report, tag).outcome == "copied"
        assert images.resolve(destination.url, name, images.cosign_tag(unknown)) is None

    def test_a_signature_older_than_the_window_of_its_image_is_copied(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """As after a promotion: image and signature are old, and one tag is new."""
        noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        content = images.multi_arch(name)
        with QuayApi(source.url) as quay:
            for tag, each, at in (
                ("v1", content, noon),
                (images.cosign_tag(content), images.cosign_signature(content), noon - timedelta(days=9)),
                *((f"old-{each}", content, noon - timedelta(days=8)) for each in range(120)),
            ):
                images.push(source.url, name, tag, each)
                quay.push(name, tag, at)
            route = make_route(quay, destination, name, source_kind="quay", tags={"include": ("v*",)})
            window = Window(reason="scheduled", start=noon - timedelta(hours=1), end=noon + timedelta(hours=1))
            report = run_route(route, window=window, api_url=quay.url)
        assert counted(report)["copied"] == 2
        assert images.resolve(destination.url, name, images.cosign_tag(content)) is not None

    def test_a_full_check_finds_it_without_push_times(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        route = make_route(source, destination, name)
        run_route(route)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        assert counted(run_route(route)) == {"unchanged": 1}
        assert counted(run_route(route, window=FULL_CHECK)) == {"copied": 1, "unchanged": 1}
        assert counted(run_route(route, window=FULL_CHECK)) == {"unchanged": 1}

    def test_a_late_signature_that_fails_is_reported_and_its_image_stays(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        route = make_route(source, wire, name)
        run_route(route)
        tag = images.cosign_tag(content)
        images.push(source.url, name, tag, images.cosign_signature(content))
        wire.answer("PUT", f"/{tag}$", 429, headers={"Retry-After": "7200"})
        views = list[RouteView]()

        def sync_and_view(session: Session, scope: RouteScope) -> RouteReport:
            synced = sync_route(session, scope)
            views.append(synced.view)
            return synced.report

        report = run_route(route, window=FULL_CHECK, run=sync_and_view)
        assert counted(report) == {"failed": 1, "unchanged": 1}
        assert result_of(report, referrers_tag(content.digest)).error_class == "rate_limited"
        assert report.retry_at is not None
        wire.clear_rules()
        run_route(route, window=FULL_CHECK, run=sync_and_view)
        assert [view.has_artifacts for view in views] == [False, True]


def test_platforms_keep_the_signatures_of_children(
    source: RegistryProcess, source_api: ReferrersApi, destination: RegistryProcess, name: str
) -> None:
    """The signature of the whole index does not fit the platform index. Signatures of children are copied."""
    whole = images.multi_arch(name, ["linux/amd64", "linux/s390x"])
    chosen, other = whole.children
    images.push(source.url, name, "v1", whole)
    for each in (whole, chosen, other):
        images.push(source.url, name, images.cosign_tag(each), images.cosign_signature(each))
    run_route(make_route(source_api, destination, name, platforms=("linux/amd64",)))
    found = [images.resolve(destination.url, name, images.cosign_tag(each)) for each in (whole, chosen, other)]
    assert found == [None, images.cosign_signature(chosen).digest, None]


ARTIFACTS = {
    "helm-chart": images.artifact("chart"),
    "any-config": images.artifact("any", config_type="application/vnd.example.config.v1+json", layer_type="text/plain"),
    "oci-1-1": images.bare_artifact("bare"),
    "with-subject": images.bare_artifact("refers", subject=images.image([])),
}


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_artifacts_that_are_not_images_are_mirrored(
    source: RegistryProcess, destination: RegistryProcess, name: str, kind: str
) -> None:
    images.push(source.url, name, "v1", ARTIFACTS[kind])
    assert counted(run_route(make_route(source, destination, name, platforms=("linux/amd64",)))) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == ARTIFACTS[kind].digest
    images.pull_whole(destination.url, name, "v1")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
    ],
)
def test_unknown_types_are_refused(destination: RegistryProcess, name: str, media_type: str) -> None:
    """The digest of a schema 1 manifest covers only a part of its bytes."""
    content = b'{"schemaVersion": 1}'
    digest = Digest.of(b"the part that is signed" if "docker" in media_type else content)
    headers = {"Content-Type": media_type, "Docker-Content-Digest": str(digest)}
    with Interceptor(destination.url) as wire:
        wire.answer("GET", "/tags/list$", 200, b'{"tags": ["v1"]}')
        for method in ("HEAD", "GET"):
            wire.answer(method, "/manifests/", 200, content, headers)
        result = result_of(run_route(make_route(wire, destination, name)), "v1")
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert result.reason == f"manifest {digest.short} is of type {media_type!r}, which cannot be mirrored unchanged"
