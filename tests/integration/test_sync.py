"""Syncing a route without Airflow: real registries, the real skopeo, and faults at the wire between them."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from requests import Session

from registry_sync.errors import ConfigurationError, DeniedError, RateLimited, TemporaryError
from registry_sync.oci.index_walk import MAX_INDEX_DEPTH
from registry_sync.oci.reference import Digest
from registry_sync.registry.endpoint import Credentials
from registry_sync.routes.route import Route
from registry_sync.sync import publish
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.tags.rules import only_tags
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import Htpasswd, RegistryProcess
from testkit.routes import FULL_CHECK, asked, counted, make_route, result_of, run_route
from testkit.times import Due
from testkit.tls import CertificateAuthority
from testkit.token_server import TokenServer
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog

READER = Credentials(username="reader", secret="reads-only-7")
WRITER = Credentials(username="writer", secret="writes-too-9")
Server = RegistryProcess | Interceptor
pytestmark = pytest.mark.usefixtures("minimal_jitter")


def writes(server: Server, name: str) -> list[str]:
    return [each for each in asked(server, name) if each.split()[0] not in ("GET", "HEAD")]


def uploads(server: Server, name: str) -> list[str]:
    """Digests of the blobs that were uploaded to a repository."""
    return sorted(
        request.query.partition("digest=")[2].replace("%3A", ":").partition("&")[0]
        for request in server.requests()
        if request.method == "PUT" and request.path.startswith(f"/v2/{name}/blobs/uploads/") and request.status == 201
    )


def only_tag(report: RouteReport) -> TagResult:
    (result,) = report.tags
    return result


def an_image(text: str) -> Image:
    """A small image with a layer of its own, because skopeo caches where it has seen layers."""
    return images.image([images.layer({"message": text.encode()})])


CONTENTS = {
    "index": images.multi_arch("whole", ["linux/amd64", "linux/arm64", "linux/arm/v7"]),
    "docker-list": images.multi_arch("whole", format="docker"),
    "attestations": images.multi_arch("whole", attestations=True),
    "single": images.image([images.BASE_LAYER]),
    "single-docker": images.image([images.BASE_LAYER], format="docker"),
    "mixed": images.index([images.image([images.BASE_LAYER], format="docker"), images.image([], "linux/arm64")]),
    "helm-chart": images.artifact("chart"),
    "nested": images.nested_index("whole"),
    "artifact-type": images.index_with_descriptor_field("whole", "artifactType"),
    "data": images.index_with_descriptor_field("whole", "data"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_content_arrives_whole(source: RegistryProcess, destination: RegistryProcess, name: str, kind: str) -> None:
    content = CONTENTS[kind]
    images.push(source.url, name, "v1", content)
    report = run_route(make_route(source, destination, name))
    result = only_tag(report)
    assert (result.tag, result.outcome, result.reason) == ("v1", "copied", "missing at the destination")
    assert result.digest == content.digest
    assert result.error_class is None
    assert report.sent_bytes > 0
    assert counted(report) == {"copied": 1}
    assert images.resolve(destination.url, name, "v1") == content.digest
    platforms = images.pull_whole(destination.url, name, "v1")
    assert platforms == images.pull_whole(source.url, name, "v1")
    again = run_route(make_route(source, destination, name))
    assert counted(again) == {"unchanged": 1}
    assert again.tags == ()


def test_skopeo_is_looked_for_when_something_is_to_be_copied(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    images.push(source.url, name, "v1", an_image(name))
    run_route(make_route(source, destination, name))
    started = len(skopeo_log.at_once)
    assert started > 0
    assert counted(run_route(make_route(source, destination, name), window=FULL_CHECK)) == {"unchanged": 1}
    assert len(skopeo_log.at_once) == started


def test_an_index_that_skopeo_refuses_goes_child_by_child(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    content = images.nested_index(name)
    images.push(source.url, name, "v1", content)
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    inner = [child.digest for child in content.children]
    assert len(skopeo_log.copies) == 3
    for arguments, digest in zip(skopeo_log.copies, [content.digest, *inner], strict=True):
        assert arguments.endswith(f"docker://{source.host}/{name}@{digest} docker://{destination.host}/{name}@{digest}")
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64", "linux/s390x"}


def test_an_index_of_sixteen_levels_is_copied(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    images.push(source.url, name, "v1", images.deep_index(name, levels=MAX_INDEX_DEPTH))
    assert counted(run_route(make_route(source, destination, name))) == {"copied": 1}
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}


@pytest.mark.parametrize("levels", [MAX_INDEX_DEPTH + 1, 300])
@pytest.mark.parametrize("build", [images.deep_index, images.deep_index_with_wrong_types])
def test_an_index_nested_too_deeply_fails_alone(
    source: RegistryProcess, destination: RegistryProcess, name: str, build: Callable[..., images.Image], levels: int
) -> None:
    """The other tags of the repository are copied, and nothing is published under the deep one."""
    deep = build(name, levels=levels)
    images.push(source.url, name, "deep", deep)
    images.push(source.url, name, "v1", images.multi_arch(f"{name} good"))
    report = run_route(make_route(source, destination, name))
    assert counted(report) == {"copied": 1, "failed": 1}
    result = result_of(report, "deep")
    assert result.error_class == "refused"
    assert result.reason == (
        f"index {deep.digest} nests more than 16 levels deep, which is not supported; "
        "publish its images under an index with fewer levels"
    )
    assert images.resolve(destination.url, name, "deep") is None
    assert images.resolve(destination.url, name, "v1") is not None


def test_tags_of_one_digest_cost_one_copy(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    content = images.multi_arch(name, base=images.layer({"base": name.encode()}))
    for tag in ("v1", "v1.0", "latest"):
        images.push(source.url, name, tag, content)
    report = run_route(make_route(source, destination, name))
    assert counted(report) == {"copied": 3}
    assert [each.tag for each in report.tags if each.sent_bytes] == ["latest"]
    assert len(skopeo_log.copies) == 1
    blobs = {str(blob.digest) for child in content.children for blob in child.blobs}
    assert uploads(destination, name) == sorted(blobs)
    for tag in ("v1", "v1.0", "latest"):
        assert images.resolve(destination.url, name, tag) == content.digest


def test_a_repository_in_sync_costs_one_request_per_tag(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    for tag in ("v1", "v2"):
        for registry in (source, destination):
            images.push(registry.url, name, tag, images.multi_arch(tag))
    for registry in (source, destination):
        registry.clear_requests()
    report = run_route(make_route(source, destination, name))
    assert counted(report) == {"unchanged": 2}
    assert (report.tags, report.sent_bytes, report.notes, report.is_failed) == ((), 0, (), False)
    assert asked(source, name) == ["GET tags/list 200", "HEAD manifests/v1 200", "HEAD manifests/v2 200"]
    assert asked(destination, name) == ["HEAD manifests/v1 200", "HEAD manifests/v2 200"]
    assert len(source.requests()) == 3
    assert len(destination.requests()) == 2
    assert skopeo_log.copies == []


def test_existing_content_needs_only_its_tag(
    source: RegistryProcess,
    destination: RegistryProcess,
    name: str,
    skopeo_log: SkopeoLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish, "FRESH_SECONDS", PATIENCE_SECONDS)
    content = images.multi_arch(name)
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, "old-name", content)
    for registry in (source, destination):
        registry.clear_requests()
    result = only_tag(run_route(make_route(source, destination, name)))
    assert (result.outcome, result.sent_bytes) == ("copied", 0)
    manifests = (content, *content.children)
    referrers = [f"GET referrers/{manifest.digest} 404" for manifest in manifests]
    assert asked(source, name) == sorted([*referrers, "GET tags/list 200", "HEAD manifests/v1 200"])
    read = [f"GET manifests/{manifest.digest} 200" for manifest in manifests]
    checked = [f"HEAD blobs/{digest} 200" for digest in {blob.digest for blob in content.all_blobs()}]
    published = ["HEAD manifests/v1 200", "HEAD manifests/v1 404", "PUT manifests/v1 201"]
    assert asked(destination, name) == sorted([*read, *checked, *published])
    assert skopeo_log.copies == []
    assert images.resolve(destination.url, name, "v1") == content.digest


def test_a_repository_is_copied_under_its_new_name(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    content = images.multi_arch(name)
    images.push(source.url, name, "v1", content)
    report = run_route(make_route(source, destination, name, rename=f"mirrored/{name}"))
    assert report.source == f"{source.host}/{name}"
    assert report.destination == f"{destination.host}/mirrored/{name}"
    assert images.pull_whole(destination.url, f"mirrored/{name}", "v1") == {"linux/amd64", "linux/arm64"}
    assert asked(destination, name) == []


class TestMovedTag:
    @pytest.fixture(autouse=True)
    def moved(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        self.old, self.new = an_image(f"{name} old"), an_image(f"{name} new")
        images.push(destination.url, name, "latest", self.old)
        images.push(source.url, name, "latest", self.new)
        self.text = f"changed to {self.new.digest.short}, the destination has {self.old.digest.short}"

    def test_is_overwritten_by_default(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        result = only_tag(run_route(make_route(source, destination, name)))
        assert (result.outcome, result.reason, result.digest) == ("copied", self.text, self.new.digest)
        assert images.resolve(destination.url, name, "latest") == self.new.digest

    def test_is_kept_with_policy_keep(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        report = run_route(make_route(source, destination, name, on_moved_tag="keep"))
        assert counted(report) == {"skipped": 1}
        assert f"  latest: {self.text}; kept, because on_moved_tag is keep" in caplog.messages
        assert images.resolve(destination.url, name, "latest") == self.old.digest

    def test_fails_with_policy_fail(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        result = only_tag(run_route(make_route(source, destination, name, on_moved_tag="fail")))
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert result.reason == f"{self.text}; on_moved_tag is fail"
        assert images.resolve(destination.url, name, "latest") == self.old.digest


class TestASourceThatChangesMeanwhile:
    def test_a_tag_deleted_after_the_listing_is_skipped(
        self,
        source: RegistryProcess,
        source_wire: Interceptor,
        destination: RegistryProcess,
        name: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        images.push(source.url, name, "v1", an_image(name))
        source_wire.after("GET", "/tags/list$", lambda _: source.forget_tag(name, "v1"))
        assert counted(run_route(make_route(source_wire, destination, name))) == {"skipped": 1}
        assert "  v1: the source lists it, but has no manifest for it (deleted meanwhile?)" in caplog.messages
        # The destination is read at the same time. It has none either, so the source lost nothing.
        assert asked(destination, name) == ["GET tags/list 404", "HEAD manifests/v1 404"]

    def test_an_image_deleted_before_its_copy_is_skipped(
        self,
        source: RegistryProcess,
        source_wire: Interceptor,
        destination: RegistryProcess,
        name: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        doomed, other = an_image(name), an_image(f"{name} other")
        images.push(source.url, name, "v1", doomed)
        images.push(source.url, name, "v2", other)
        source_wire.after("HEAD", "/v1$", lambda _: images.delete_manifest(source.url, name, doomed.digest), times=1)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 1, "skipped": 1}
        assert "[1/2] v1 skipped: deleted at the source after it was listed" in caplog.messages
        assert not report.is_failed

    def test_image_deleted_during_its_copy(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        doomed = images.multi_arch(name)
        images.push(source.url, name, "v1", doomed)
        child = doomed.children[1].digest
        source_wire.after(
            "GET", f"/{doomed.digest}$", lambda _: images.delete_manifest(source.url, name, child), times=1
        )
        source_wire.after("GET", f"/{child}$", lambda _: source.forget_tag(name, "v1"), times=1)
        assert counted(run_route(make_route(source_wire, destination, name))) == {"skipped": 1}
        assert images.resolve(destination.url, name, "v1") is None

    def test_moved_tag_gets_the_planned_digest_and_follows_next_time(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        planned, newer = an_image(f"{name} planned"), an_image(f"{name} newer")
        images.push(source.url, name, "latest", planned)
        source_wire.after("HEAD", "/latest$", lambda _: _push(source, name, "latest", newer), times=1)
        first = only_tag(run_route(make_route(source_wire, destination, name)))
        assert (first.outcome, first.digest) == ("copied", planned.digest)
        assert images.resolve(destination.url, name, "latest") == planned.digest
        second = only_tag(run_route(make_route(source_wire, destination, name)))
        assert (second.outcome, second.digest) == ("copied", newer.digest)
        assert images.resolve(destination.url, name, "latest") == newer.digest

    def test_moved_tag_whose_old_image_is_gone_is_tried_again(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        planned, newer = an_image(f"{name} planned"), an_image(f"{name} newer")
        images.push(source.url, name, "latest", planned)

        def replace(_: object) -> None:
            images.delete_manifest(source.url, name, planned.digest)
            images.push(source.url, name, "latest", newer)

        source_wire.after("HEAD", "/latest$", replace, times=1)
        result = only_tag(run_route(make_route(source_wire, destination, name)))
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == (
            f"changed at the source during the copy, to {newer.digest.short}; the retry copies that"
        )
        assert images.resolve(destination.url, name, "latest") is None


def _push(registry: RegistryProcess, name: str, tag: str, content: Image) -> None:
    images.push(registry.url, name, tag, content)


def test_an_incomplete_image_at_the_source_is_reported(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    content = images.multi_arch(name)
    images.push(source.url, name, "v1", content)
    missing = content.children[1].digest
    images.delete_manifest(source.url, name, missing)
    result = only_tag(run_route(make_route(source, destination, name)))
    assert (result.outcome, result.error_class) == ("failed", "refused")
    assert result.reason.startswith(
        f"the image is incomplete at the source: source {source.host}/{name} does not have it (skopeo: "
    )
    assert "manifest unknown" in result.reason
    assert images.resolve(destination.url, name, "v1") is None


def test_an_empty_repository_says_so(
    source_wire: Interceptor,
    destination: RegistryProcess,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    source_wire.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": None}).encode())
    report = run_route(make_route(source_wire, destination, name))
    assert counted(report) == {}
    assert report.notes == ("the source repository has no tags",)
    assert not report.is_failed
    assert "Plan: no tags" in caplog.messages
    assert caplog.messages[-1].endswith(f"{report.source} → {report.destination}: the source repository has no tags")


def test_a_missing_source_repository_is_reported(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_route(make_route(source, destination, name))
    assert str(caught.value) == (
        f"the source has no repository {source.host}/{name}; check its name in the mirrors file, and that it has at "
        "least one tag "
        f"(GET {source.url}/v2/{name}/tags/list answered 404 NAME_UNKNOWN: repository name not known to registry: "
        f'{{"name": "{name}"}})'
    )


def test_a_digest_shaped_tag_is_skipped(
    source: RegistryProcess,
    source_wire: Interceptor,
    destination: RegistryProcess,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    content = an_image(name)
    images.push(source.url, name, "v1", content)
    tags = [str(content.digest), "v1"]
    source_wire.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": tags}).encode())
    report = run_route(make_route(source_wire, destination, name))
    assert counted(report) == {"copied": 1, "skipped": 1}
    assert f"  {content.digest}: not a valid OCI tag, so it cannot be pushed" in caplog.messages


def test_rules_and_this_runs_choice_both_hold(
    source: RegistryProcess, destination: RegistryProcess, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for tag in ("v1", "v2", "v2-dev", "other"):
        images.push(source.url, name, tag, an_image(f"{name} {tag}"))
    rules = {"include": ("v*",), "exclude": ("*-dev",)}
    report = run_route(make_route(source, destination, name, tags=rules), only_tags=only_tags(["v2*"]))
    assert counted(report) == {"copied": 1, "skipped": 3}
    assert only_tag(report).tag == "v2"
    attrition = "listed 4 → include 3 → exclude 2 → requested 1"
    assert report.notes == (attrition,)
    assert caplog.messages[0] == f"{source.host}/{name}: {attrition}; everything (all tags)"
    assert caplog.messages[1:5] == [
        "Plan: 1 to copy, 3 skipped",
        "  other: matches none of 'v*'",
        "  v1: matches none of 'v2*'",
        "  v2-dev: excluded by '*-dev'",
    ]
    assert "HEAD manifests/other 200" not in asked(source, name)


def test_a_choice_that_leaves_no_tag_is_noted(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    images.push(source.url, name, "v1", an_image(name))
    report = run_route(make_route(source, destination, name), only_tags=only_tags(["v9*"]))
    assert counted(report) == {"skipped": 1}
    assert report.notes == ("listed 1 → requested 0", "no tag is mirrored, all 1 were skipped")


def test_a_dry_run_changes_nothing(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    images.push(source.url, name, "v1", an_image(name))
    images.push(source.url, name, "v2", moved := an_image(f"{name} new"))
    images.push(destination.url, name, "v2", an_image(f"{name} old"))
    for registry in (source, destination):
        registry.clear_requests()
    report = run_route(make_route(source, destination, name), dry_run=True)
    assert counted(report) == {"would_copy": 2}
    assert (report.dry_run, report.is_failed, report.sent_bytes) == (True, False, 0)
    assert [(tag.tag, tag.outcome) for tag in report.tags] == [("v1", "would_copy"), ("v2", "would_copy")]
    assert report.tags[1].digest == moved.digest
    assert {each.method for each in [*source.requests(), *destination.requests()]} == {"GET", "HEAD"}
    assert skopeo_log.copies == []


class TestOneBadTag:
    def test_a_refused_tag_does_not_stop_the_others(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        for tag in ("v1", "v2", "v3"):
            images.push(source.url, name, tag, images.multi_arch(f"{name} {tag}"))
        body = b'{"errors": [{"code": "DENIED", "message": "the project is closed"}]}'
        wire.answer("PUT", "/manifests/v2$", 409, body)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 2, "failed": 1}
        (failed,) = report.failed_tags
        assert (failed.tag, failed.error_class) == ("v2", "refused")
        assert failed.reason == f"PUT {wire.url}/v2/{name}/manifests/v2 answered 409 DENIED: the project is closed"
        assert images.resolve(destination.url, name, "v1") is not None
        assert images.resolve(destination.url, name, "v2") is None
        assert images.resolve(destination.url, name, "v3") is not None
        wire.clear_rules()
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 1, "unchanged": 2}

    def test_an_unreadable_tag_does_not_stop_the_others(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, an_image(f"{name} {tag}"))
        source_wire.answer("HEAD", "/manifests/v1$", 500)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 1, "failed": 1}
        (failed,) = report.failed_tags
        assert (failed.tag, failed.error_class) == ("v1", "temporary")
        assert failed.reason == (
            f"cannot be read at the source: HEAD {source_wire.url}/v2/{name}/manifests/v1 answered 500"
        )

    def test_an_unreadable_tag_at_the_destination_is_not_overwritten(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        images.push(source.url, name, "v1", an_image(name))
        wire.answer("HEAD", "/manifests/v1$", 502)
        result = only_tag(run_route(make_route(source, wire, name)))
        assert result.reason == (
            f"cannot be read at the destination: HEAD {wire.url}/v2/{name}/manifests/v1 answered 502"
        )
        assert writes(destination, name) == []

    def test_many_refused_tags_in_a_row_do_not_stop_the_others(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        """Otherwise the good tags after them would never be copied."""
        bad = [f"a{number}" for number in range(7)]
        for tag in [*bad, "good"]:
            images.push(source.url, name, tag, content := an_image(f"{name} {tag}"))
            if tag in bad:
                source_wire.truncate("GET", f"/blobs/{content.blobs[1].digest}$", 10)
        report = run_route(make_route(source_wire, destination, name, parallel_copies=1))
        assert counted(report) == {"copied": 1, "failed": 7}
        assert {failed_tag.error_class for failed_tag in report.failed_tags} == {"temporary"}

    def test_many_unreadable_tags_do_not_stop_the_others(
        self, source: RegistryProcess, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        for tag in [*(f"a{number}" for number in range(7)), "good"]:
            images.push(source.url, name, tag, an_image(name))
        source_wire.answer("HEAD", "/manifests/a.$", 500)
        report = run_route(make_route(source_wire, destination, name))
        assert counted(report) == {"copied": 1, "failed": 7}


class TestARegistryThatIsDown:
    def test_is_a_temporary_error_as_source(self, destination: RegistryProcess, name: str) -> None:
        with RegistryProcess() as gone:
            pass
        with pytest.raises(TemporaryError) as caught:
            run_route(make_route(gone, destination, name))
        assert str(caught.value) == f"http://{gone.host} cannot be reached: [Errno 111] Connection refused"

    @pytest.mark.parametrize("tags", [1, 30])
    def test_is_a_temporary_error_as_destination(self, source: RegistryProcess, name: str, tags: int) -> None:
        for number in range(tags):
            images.push(source.url, name, f"v{number}", an_image(name))
        with RegistryProcess() as gone:
            pass
        with pytest.raises(TemporaryError) as caught:
            run_route(make_route(source, gone, name))
        assert str(caught.value) == f"http://{gone.host} cannot be reached: [Errno 111] Connection refused"

    def test_fails_the_remaining_tags_when_it_stops_as_destination(
        self, source: RegistryProcess, name: str, skopeo_log: SkopeoLog
    ) -> None:
        for number in range(20):
            images.push(source.url, name, f"v{number:02}", an_image(f"{name} {number}"))
        with RegistryProcess() as going, Interceptor(going.url) as wire:
            wire.after("PUT", "/manifests/v01$", lambda _: going.stop(), times=1)
            report = run_route(make_route(source, wire, name, parallel_copies=1))
        assert counted(report) == {"copied": 1, "failed": 19}
        assert len(skopeo_log.copies) == 2
        reasons = {failed_tag.tag: failed_tag.reason for failed_tag in report.failed_tags}
        assert reasons["v01"] == f"HEAD {wire.url}/v2/{name}/manifests/v01 answered 502"
        assert reasons["v19"].startswith(
            f"not tried, because of: GET {wire.url}/v2/ answered 502 no answer from the registry: "
        )
        assert len({reason for tag, reason in reasons.items() if tag >= "v06"}) == 1
        assert {failed_tag.error_class for failed_tag in report.failed_tags} == {"temporary"}
        assert report.retry_at is None


class TestDenied:
    def test_a_wrong_password_for_the_source_is_denied(self, destination: RegistryProcess, name: str) -> None:
        with RegistryProcess(auth=Htpasswd(users={READER.username: READER.secret})) as locked:
            wrong = Credentials(username=READER.username, secret="a-wrong-guess")
            with pytest.raises(DeniedError) as caught:
                run_route(make_route(locked, destination, name), source_credentials=wrong)
            assert str(caught.value).startswith(
                f"GET {locked.url}/v2/{name}/tags/list answered 401 UNAUTHORIZED: authentication required"
            )
        assert "a-wrong-guess" not in str(caught.value)

    def test_a_wrong_password_for_the_destination_is_denied(self, source: RegistryProcess, name: str) -> None:
        images.push(source.url, name, "v1", an_image(name))
        wrong = Credentials(username=WRITER.username, secret="a-wrong-guess")
        with (
            TokenServer({WRITER.username: WRITER.secret}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as locked,
            pytest.raises(DeniedError) as caught,
        ):
            run_route(make_route(source, locked, name), destination_credentials=wrong)
        realm = tokens.realm.removeprefix("http://").removesuffix("/token")
        assert str(caught.value) == (
            f"{realm} rejects the login of 'writer' to {locked.host}: 401 UNAUTHORIZED: incorrect username or password"
        )

    def test_a_user_who_may_only_pull_is_denied(self, source: RegistryProcess, name: str) -> None:
        images.push(source.url, name, "v1", an_image(name))
        images.push(source.url, name, "v2", images.multi_arch(name))
        with (
            TokenServer({WRITER.username: WRITER.secret}, grants={WRITER.username: {"*": ["pull"]}}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as locked,
        ):
            report = run_route(make_route(source, locked, name), destination_credentials=WRITER)
        assert counted(report) == {"failed": 2}
        for failed_tag in report.failed_tags:
            assert failed_tag.error_class == "denied"
            assert failed_tag.reason.startswith(f"destination {locked.host}/{name} ")
            assert "denied: requested access to the resource is denied" in failed_tag.reason


def test_a_read_only_destination_refuses_each_tag(source: RegistryProcess, name: str) -> None:
    images.push(source.url, name, "v1", an_image(name))
    images.push(source.url, name, "v2", images.multi_arch(name))
    with RegistryProcess(read_only=True) as frozen:
        report = run_route(make_route(source, frozen, name))
    assert counted(report) == {"failed": 2}
    for failed_tag in report.failed_tags:
        assert failed_tag.error_class == "refused"
        assert failed_tag.reason.startswith(
            f"destination {frozen.host}/{name} takes no pushes: it is read-only, or a cache; "
        )
        assert "405" in failed_tag.reason


class TestLogInsOfTheirOwn:
    """Each side gets its own password, and only that."""

    def test_each_side_uses_its_own_certificate_authority(self, tmp_path: Path, name: str) -> None:
        ours, theirs = (CertificateAuthority.create(tmp_path / each) for each in ("ours", "theirs"))
        content = images.multi_arch(name, attestations=True)
        with (
            RegistryProcess(auth=Htpasswd(users={READER.username: READER.secret}), tls=ours.issue()) as here,
            RegistryProcess(auth=Htpasswd(users={WRITER.username: WRITER.secret}), tls=theirs.issue()) as there,
            session_of(READER) as reads,
            session_of(WRITER) as is_writer,
        ):
            images.push(here.url, name, "v1", content, session=reads, ca_file=ours.ca_file)
            report = run_route(
                behind_tls(make_route(here, there, name), ours, theirs),
                source_credentials=READER,
                destination_credentials=WRITER,
            )
            assert counted(report) == {"copied": 1}
            platforms = images.pull_whole(there.url, name, "v1", session=is_writer, ca_file=theirs.ca_file)
        assert platforms == {"linux/amd64", "linux/arm64"}

    def test_a_missing_authority_is_reported(self, tmp_path: Path, destination: RegistryProcess, name: str) -> None:
        ours, other = (CertificateAuthority.create(tmp_path / each) for each in ("ours", "other"))
        with RegistryProcess(tls=ours.issue()) as here:
            route = make_route(here, destination, name)
            with pytest.raises(ConfigurationError) as caught:
                run_route(replace(behind_tls(route, other, other), destination=route.destination))
        assert str(caught.value) == (
            f"{here.url} shows a certificate that is not accepted (unable to get local issuer certificate); give its "
            "registry a ca_file, or have the certificate renewed"
        )

    @pytest.mark.parametrize("token_side", ["source", "destination"])
    def test_one_side_may_use_tokens_and_the_other_passwords(self, name: str, token_side: str) -> None:
        content = images.multi_arch(name)
        with_token, with_password = (READER, WRITER) if token_side == "source" else (WRITER, READER)
        with (
            TokenServer({with_token.username: with_token.secret}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as token_registry,
            RegistryProcess(auth=Htpasswd(users={with_password.username: with_password.secret})) as password_registry,
            session_of(with_password) as session,
        ):
            ends = {token_registry: tokens.session(name), password_registry: session}
            here, there = ends if token_side == "source" else reversed(ends)
            images.push(here.url, name, "v1", content, session=ends[here])
            assert counted(
                run_route(make_route(here, there, name), source_credentials=READER, destination_credentials=WRITER)
            ) == {"copied": 1}
            platforms = images.pull_whole(there.url, name, "v1", session=ends[there])
            ends[token_registry].close()
            assert {request.user for request in tokens.requests()} == {with_token.username}
        assert platforms == {"linux/amd64", "linux/arm64"}


@contextmanager
def session_of(credentials: Credentials) -> Iterator[Session]:
    with Session() as session:
        session.trust_env = False
        session.auth = (credentials.username, credentials.secret)
        yield session


def behind_tls(route: Route, source: CertificateAuthority, destination: CertificateAuthority) -> Route:
    return replace(
        route,
        source=replace(route.source, tls=True, ca_file=source.ca_file),
        destination=replace(route.destination, tls=True, ca_file=destination.ca_file),
    )


class TestVerify:
    def test_another_digest_after_the_push_fails_the_tag(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content, other = an_image(name), Digest.of(b"other")
        images.push(source.url, name, "v1", content)
        headers = {"Docker-Content-Digest": str(other)}
        wire.after("PUT", "/v1$", lambda _: wire.answer("HEAD", "/v1$", 200, headers=headers), times=1)
        result = only_tag(run_route(make_route(source, wire, name)))
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == (
            f"published, but the destination's tag has {other.short} instead of {content.digest.short}"
        )

    def test_a_missing_tag_after_the_push_fails_the_tag(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        content = an_image(name)
        images.push(source.url, name, "v1", content)
        wire.after("PUT", "/v1$", lambda _: destination.forget_tag(name, "v1"), times=1)
        result = only_tag(run_route(make_route(source, wire, name)))
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == f"published, but the destination's tag does not exist; expected {content.digest.short}"


def test_lost_content_is_sent_again(
    source: RegistryProcess, destination: RegistryProcess, name: str, skopeo_log: SkopeoLog
) -> None:
    """The destination has the manifest, but one of its blobs is lost."""
    content = an_image(name)
    images.push(source.url, name, "v1", content)
    images.push(destination.url, name, "before", content)
    lost = content.blobs[1].digest
    destination.forget_blob(lost)
    result = only_tag(run_route(make_route(source, destination, name)))
    assert (result.outcome, result.sent_bytes > 0) == ("copied", True)
    assert len(skopeo_log.copies) == 1
    assert uploads(destination, name).count(str(lost)) == 2
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64"}


class TestADestinationThatTakesNoPushByDigest:
    @pytest.fixture(autouse=True)
    def refuses(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        self.content = an_image(name)
        images.push(source.url, name, "v1", self.content)
        body = b'{"errors": [{"code": "TAG_INVALID", "message": "no push by digest here"}]}'
        wire.answer("PUT", "/manifests/sha256:", 400, body)

    def test_gets_a_single_image_by_its_tag(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
        assert images.resolve(destination.url, name, "v1") == self.content.digest
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64"}

    def test_an_outage_is_not_taken_for_a_refusal(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        wire.answer("PUT", "/manifests/v1$", 503)
        result = only_tag(run_route(make_route(source, wire, name)))
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == f"PUT {wire.url}/v2/{name}/manifests/v1 answered 503"


class TestRateLimit:
    def test_on_reads_ends_the_run(
        self, source: RegistryProcess, source_wire: Interceptor, name: str, wire: Interceptor
    ) -> None:
        images.push(source.url, name, "v1", an_image(name))
        source_wire.answer("HEAD", "/v1$", 429, headers={"Retry-After": "7200"})
        due = Due(timedelta(hours=2))
        with pytest.raises(RateLimited) as caught:
            run_route(make_route(source_wire, wire, name))
        assert str(caught.value) == f"HEAD {source_wire.url}/v2/{name}/manifests/v1 answered 429"
        assert due.is_at(caught.value.retry_at)

    def test_on_writes_leaves_the_other_tags_for_later(
        self, source: RegistryProcess, wire: Interceptor, name: str, skopeo_log: SkopeoLog
    ) -> None:
        for tag in ("v1", "v2", "v3"):
            images.push(source.url, name, tag, an_image(f"{name} {tag}"))
        images.push(source.url, name, "v2-too", an_image(f"{name} v2"))
        wire.answer("PUT", "/manifests/v2", 429, headers={"Retry-After": "7200"})
        due = Due(timedelta(hours=2))
        report = run_route(make_route(source, wire, name, parallel_copies=1))
        assert counted(report) == {"copied": 1, "failed": 3}
        assert report.retry_at is not None
        assert due.is_at(report.retry_at)
        assert [(failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags] == [
            ("v2", "rate_limited", f"PUT {wire.url}/v2/{name}/manifests/v2 answered 429"),
            ("v2-too", "rate_limited", f"not tried, because of: PUT {wire.url}/v2/{name}/manifests/v2 answered 429"),
            ("v3", "rate_limited", f"not tried, because of: PUT {wire.url}/v2/{name}/manifests/v2 answered 429"),
        ]
        assert [write for write in writes(wire, name) if write.startswith("PUT manifests/v")] == [
            "PUT manifests/v1 201",
            "PUT manifests/v2 429",
        ]
        assert len(skopeo_log.copies) == 2


class TestManyImages:
    def test_copies_stay_within_the_limit_and_the_first_runs_alone(
        self,
        source: RegistryProcess,
        source_wire: Interceptor,
        destination: RegistryProcess,
        name: str,
        skopeo_log: SkopeoLog,
    ) -> None:
        for number in range(7):
            images.push(source.url, name, f"v{number}", an_image(f"{name} {number}"))
        source_wire.delay("GET", "/blobs/", 0.5)
        report = run_route(make_route(source_wire, destination, name, parallel_copies=3))
        assert counted(report) == {"copied": 7}
        assert skopeo_log.at_once[:2] == [1, 1]
        assert 2 <= max(skopeo_log.at_once) <= 3
        assert len([each for each in threading.enumerate() if each.name.startswith("registry_sync")]) <= 3

    def test_images_may_have_tags_beside_their_index(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """As with v1, v1-amd64 and v1-arm64. Two writers of one digest would fail at docker-registry."""
        base = images.layer({"base": name.encode()})
        for number in range(8):
            content = images.multi_arch(f"{name} {number}", base=base)
            images.push(source.url, name, f"v{number}", content)
            for child, architecture in zip(content.children, ("amd64", "arm64"), strict=True):
                images.push(source.url, name, f"v{number}-{architecture}", child)
        report = run_route(make_route(source, destination, name, parallel_copies=8))
        assert counted(report) == {"copied": 24}, report.failed_tags
        assert len(uploads(destination, name)) == len(set(uploads(destination, name)))

    def test_a_shared_layer_goes_once(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        base = images.layer({"base": name.encode()})
        contents = [images.multi_arch(f"{name} {number}", base=base) for number in range(6)]
        for number, each in enumerate(contents):
            images.push(source.url, name, f"v{number}", each)
        assert counted(run_route(make_route(source, destination, name, parallel_copies=6))) == {"copied": 6}
        assert uploads(destination, name).count(str(base.digest)) == 1
        blobs = {str(blob.digest) for content in contents for child in content.children for blob in child.blobs}
        assert uploads(destination, name) == sorted(blobs)


def test_a_long_copy_logs_its_progress(
    source: RegistryProcess,
    destination: RegistryProcess,
    source_wire: Interceptor,
    name: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish, "PROGRESS_SECONDS", 0.3)
    caplog.set_level(logging.INFO)
    content = images.image([images.big_layer(1_500_000, seed=len(name))])
    images.push(source.url, name, "v1", content)
    source_wire.slow("GET", "/blobs/", 1_000_000)
    assert counted(run_route(make_route(source_wire, destination, name))) == {"copied": 1}
    told = [message for message in caplog.messages if " sent, " in message]
    assert len(told) >= 2
    pattern = rf"0 of 1 tags, [0-9.]+ [kM]?B sent, [0-9.]+ [kM]?B/s, copying v1 {content.digest.short}"
    assert all(re.fullmatch(pattern, each) for each in told), told
    assert len(set(told)) == len(told)
    (done,) = [message for message in caplog.messages if message.startswith("[1/1] ")]
    assert re.fullmatch(rf"\[1/1\] v1 copied {content.digest}, 1\.[56] MB in [0-9.]+ s \([0-9.]+ [kM]B/s\)", done)
