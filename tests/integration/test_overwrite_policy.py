"""Changed tags: backups before they are overwritten, policies by pattern, and tags that are locked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from registry_sync.config.registry import Registry
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from testkit import images
from testkit.acr_api import AcrApi
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.registry import RegistryProcess
from testkit.routes import asked, counted, make_route, result_of, run_route
from testkit.settings import route_settings

BACKUP_TAG = "{{ tag }}-was-{{ digest_short }}"
pytestmark = pytest.mark.usefixtures("minimal_jitter")


def move(source: RegistryProcess, destination: RegistryProcess, name: str, *tags: str) -> tuple[Image, Image]:
    """Give tags different images at destination and source, and return both."""
    old, new = images.multi_arch(f"{name} old"), images.multi_arch(f"{name} new")
    for tag in tags:
        images.push(destination.url, name, tag, old)
        images.push(source.url, name, tag, new)
    for registry in (source, destination):
        registry.clear_requests()
    return old, new


def push(registry: RegistryProcess, name: str, tag: str, content: Image) -> None:
    images.push(registry.url, name, tag, content)


def moved(old: Image, new: Image) -> str:
    return f"changed to {new.digest.short}, the destination has {old.digest.short}"


def backup_of(tag: str, image: Image) -> str:
    return f"{tag}-was-{image.digest.encoded[:12]}"


def in_order(wire: Interceptor, method: str) -> list[str]:
    return [request.path.rpartition("/")[2] for request in wire.requests() if request.method == method]


class TestBackup:
    def test_is_made_before_the_tag_is_overwritten(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        old, new = move(source, destination, name, "latest")
        images.push(source.url, name, "fresh", new)
        kept = backup_of("latest", old)
        seen_at_overwrite = list[Any]()

        def look(_: Request) -> None:
            seen_at_overwrite.append(images.resolve(destination.url, name, kept))

        wire.after("PUT", "/manifests/(latest|sha256)", look)
        report = run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG))
        assert counted(report) == {"copied": 2}
        assert result_of(report, "latest").reason == f"{moved(old, new)}, kept as {kept}"
        assert images.resolve(destination.url, name, "latest") == new.digest
        assert images.resolve(destination.url, name, kept) == old.digest
        assert images.pull_whole(destination.url, name, kept) == {"linux/amd64", "linux/arm64"}
        assert seen_at_overwrite == [old.digest] * len(seen_at_overwrite) != []
        assert in_order(wire, "PUT")[0] == kept

    def test_is_no_tag_to_mirror_or_to_back_up(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        old, new = move(source, destination, name, "latest")
        route = make_route(source, destination, name, backup_tag=BACKUP_TAG)
        run_route(route)
        stray = backup_of("latest", old)
        images.push(source.url, name, stray, new)
        destination.clear_requests()
        report = run_route(route)
        assert counted(report) == {"unchanged": 1, "skipped": 1}
        assert asked(destination, name) == ["HEAD manifests/latest 200"]
        assert images.resolve(destination.url, name, stray) == old.digest

    @pytest.mark.parametrize(
        ("status", "body", "error_class", "outcome"),
        [(507, b"disk full", "temporary", "failed"), (422, b"no more", "refused", "failed")],
    )
    def test_failing_stops_the_overwrite(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        status: int,
        body: bytes,
        error_class: str,
        outcome: str,
    ) -> None:
        old, new = move(source, destination, name, "latest")
        images.push(source.url, name, "fresh", new)
        kept = backup_of("latest", old)
        wire.answer("PUT", f"/manifests/{kept}$", status, body)
        report = run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG))
        assert counted(report) == {"copied": 1, outcome: 1}
        result = result_of(report, "latest")
        assert (result.outcome, result.error_class) == (outcome, error_class)
        assert result.reason == (
            f"{moved(old, new)}, kept as {kept}: the backup failed, so the tag was not overwritten "
            f"(PUT {wire.url}/v2/{name}/manifests/{kept} answered {status} {body.decode()})"
        )
        assert images.resolve(destination.url, name, "latest") == old.digest
        assert "latest" not in in_order(wire, "PUT")

    def test_that_does_not_arrive_stops_the_overwrite(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        old, new = move(source, destination, name, "latest")
        kept = backup_of("latest", old)
        wire.answer("PUT", f"/manifests/{kept}$", 201)
        result = result_of(run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG)), "latest")
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == (
            f"{moved(old, new)}, kept as {kept}: the backup failed, so the tag was not overwritten "
            f"(the backup was published, but its tag does not exist; expected {old.digest.short})"
        )
        assert images.resolve(destination.url, name, "latest") == old.digest

    def test_with_another_image_under_its_tag_is_not_overwritten(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        old, new = move(source, destination, name, "latest")
        kept = backup_of("latest", old)
        images.push(destination.url, name, kept, new)
        result = result_of(run_route(make_route(source, destination, name, backup_tag=BACKUP_TAG)), "latest")
        assert (result.outcome, result.error_class) == ("failed", "refused")
        assert result.reason.endswith(
            f"(the backup tag already exists and has {new.digest.short}; write a distinct backup_tag)"
        )
        assert images.resolve(destination.url, name, "latest") == old.digest

    def test_of_a_concurrent_push_waits_for_the_next_try(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        old, new = move(source, destination, name, "latest")
        theirs = images.multi_arch(f"{name} theirs")
        wire.after("HEAD", "/latest$", lambda _: push(destination, name, "latest", theirs), times=1)
        route = make_route(source, wire, name, backup_tag=BACKUP_TAG)
        result = result_of(run_route(route), "latest")
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == (
            f"{moved(old, new)}, kept as {backup_of('latest', old)}: the backup failed, so the tag was not "
            f"overwritten (the destination's tag has {theirs.digest.short} now; the retry plans again)"
        )
        assert counted(run_route(route)) == {"copied": 1}
        assert images.resolve(destination.url, name, backup_of("latest", theirs)) == theirs.digest

    def test_existing_already_costs_two_requests(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        old, _ = move(source, destination, name, "latest")
        images.push(destination.url, name, backup_of("latest", old), old)
        report = run_route(make_route(source, wire, name, backup_tag=BACKUP_TAG))
        assert counted(report) == {"copied": 1}
        assert in_order(wire, "HEAD")[:3] == ["latest", "latest", backup_of("latest", old)]
        assert backup_of("latest", old) not in in_order(wire, "PUT")

    def test_is_only_said_in_a_dry_run(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
        old, new = move(source, destination, name, "latest")
        report = run_route(make_route(source, destination, name, backup_tag=BACKUP_TAG), dry_run=True)
        result = result_of(report, "latest")
        reason = f"{moved(old, new)}, kept as {backup_of('latest', old)}"
        assert (result.outcome, result.reason) == ("would_copy", reason)
        assert {request.method for request in destination.requests()} == {"HEAD"}

    def test_works_for_images_that_swap_their_tags(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Each image is backed up while other tags change to it."""
        one, other = images.multi_arch(f"{name} one"), images.multi_arch(f"{name} other")
        tags = [f"t{number}" for number in range(8)]
        for number, tag in enumerate(tags):
            images.push(destination.url, name, tag, (one, other)[number % 2])
            images.push(source.url, name, tag, (other, one)[number % 2])
        report = run_route(make_route(source, destination, name, backup_tag=BACKUP_TAG))
        assert counted(report) == {"copied": 8}
        for number, tag in enumerate(tags):
            was = (one, other)[number % 2]
            assert images.resolve(destination.url, name, backup_of(tag, was)) == was.digest


def test_each_pattern_has_its_own_policy(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    old, new = move(source, destination, name, "latest", "v1", "main")
    policies = {"latest": "follow", "/v[0-9]+/": "fail", "*": "keep"}
    report = run_route(make_route(source, destination, name, on_moved_tag=policies))
    assert counted(report) == {"copied": 1, "skipped": 1, "failed": 1}
    assert result_of(report, "latest").outcome == "copied"
    assert result_of(report, "v1").reason == f"{moved(old, new)}; on_moved_tag is fail for '/v[0-9]+/'"
    assert images.resolve(destination.url, name, "main") == old.digest


def to_azure(source: RegistryProcess, azure: AcrApi, name: str, **settings: Any) -> Route:
    return Route(
        mirror="team",
        source=Registry(name="origin", host=source.host, tls=False),
        destination=Registry(name="azure", host=azure.host, tls=False, kind="acr"),
        source_repository=Repository(source.host, name),
        destination_repository=Repository(azure.host, name),
        settings=route_settings(**settings),
    )


class TestLockedByListing:
    @pytest.fixture
    def azure(self, source: RegistryProcess, name: str) -> Iterator[AcrApi]:
        """Three moved tags, so that listing is fewer requests than looking at each; one of them is locked."""
        with RegistryProcess() as registry, AcrApi(registry) as azure:
            self.old, self.new = move(source, registry, name, "v1", "v2", "v3")
            azure.lock(name, "v2")
            yield azure

    def test_is_decided_without_a_write(self, source: RegistryProcess, azure: AcrApi, name: str) -> None:
        report = run_route(to_azure(source, azure, name))
        assert counted(report) == {"copied": 2, "locked": 1}
        result = result_of(report, "v2")
        assert (result.outcome, result.error_class) == ("locked", "locked")
        assert result.reason == f"{moved(self.old, self.new)}, where it is locked"
        assert result.digest == self.new.digest
        written = [request.path for request in azure.requests() if request.method == "PUT"]
        assert [path for path in written if path.endswith("/v2")] == []
        assert images.resolve(azure.url, name, "v2") == self.old.digest

    def test_is_no_matter_where_the_tag_is_kept(self, source: RegistryProcess, azure: AcrApi, name: str) -> None:
        report = run_route(to_azure(source, azure, name, on_moved_tag={"v2": "keep"}))
        assert counted(report) == {"copied": 2, "skipped": 1}
        assert not report.is_failed

    def test_a_tag_in_sync_is_not_affected(self, source: RegistryProcess, azure: AcrApi, name: str) -> None:
        images.push(source.url, name, "v2", self.old)
        assert counted(run_route(to_azure(source, azure, name))) == {"copied": 2, "unchanged": 1}

    def test_needs_no_backup(self, source: RegistryProcess, azure: AcrApi, name: str) -> None:
        assert counted(run_route(to_azure(source, azure, name, backup_tag=BACKUP_TAG))) == {"copied": 2, "locked": 1}
        assert images.resolve(azure.url, name, backup_of("v2", self.old)) is None
        assert images.resolve(azure.url, name, backup_of("v1", self.old)) == self.old.digest


AZURE = "The operation is disallowed on this registry, repository or image."


class TestLockedByRefusal:
    @pytest.mark.parametrize(
        ("status", "code", "message"),
        [
            (412, "PRECONDITION", "Failed to process request due to 'app:v1' configured as immutable."),
            (
                400,
                "TAG_INVALID",
                "The image tag 'v1' already exists and cannot be overwritten.",
            ),
            (405, "REGISTRY_DISALLOWED_OPERATION", AZURE),
            (403, "DENIED", "The requested tag already exists and cannot be overwritten"),
            (409, "TAG_IMMUTABLE", "tag is immutable"),
        ],
    )
    def test_is_an_outcome_of_its_own(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        status: int,
        code: str,
        message: str,
    ) -> None:
        old, new = move(source, destination, name, "v1")
        images.push(source.url, name, "v2", new)
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        wire.answer("PUT", "/manifests/v1$", status, body)
        report = run_route(make_route(source, wire, name))
        assert counted(report) == {"copied": 1, "locked": 1}
        result = result_of(report, "v1")
        assert (result.outcome, result.error_class) == ("locked", "locked")
        assert result.reason == f"PUT {wire.url}/v2/{name}/manifests/v1 answered {status} {code}: {message}"
        assert in_order(wire, "PUT").count("v1") == 1
        assert images.resolve(destination.url, name, "v1") == old.digest

    @pytest.mark.usefixtures("recorded_pauses")
    @pytest.mark.parametrize(("status", "code"), [(412, ""), (400, "TAG_INVALID"), (403, "TAG_IMMUTABLE")])
    def test_is_no_failure_of_a_tag_whose_first_push_had_no_response(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        status: int,
        code: str,
    ) -> None:
        """The registry stored it, so the attempt after that is refused."""
        path, body = "/manifests/v1$", json.dumps({"errors": [{"code": code}]}).encode()
        images.push(source.url, name, "v1", content := images.multi_arch(name))
        wire.after("PUT", path, lambda _: wire.answer("PUT", path, status, body), times=1)
        wire.lose("PUT", path, times=1)
        assert counted(run_route(make_route(source, wire, name))) == {"copied": 1}
        assert in_order(wire, "PUT").count("v1") == 2
        assert images.resolve(destination.url, name, "v1") == content.digest

    def test_never_happens_where_the_tag_is_kept(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        move(source, destination, name, "v1")
        wire.answer("PUT", "/manifests/v1$", 412)
        assert counted(run_route(make_route(source, wire, name, on_moved_tag="keep"))) == {"skipped": 1}
        assert in_order(wire, "PUT") == []

    def test_survives_a_report_over_json(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        move(source, destination, name, "v1")
        wire.answer("PUT", "/manifests/v1$", 412)
        report = run_route(make_route(source, wire, name))
        assert RouteReport.from_json(json.loads(json.dumps(report.to_json()))) == report
