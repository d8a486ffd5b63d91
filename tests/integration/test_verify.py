"""Deep checks: content that a destination lost or damaged is found, repaired, or reported with advice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED, OK, UNANSWERED, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport, TagResult
from registry_sync.sync.route import verify_route
from registry_sync.sync.verification.deep_check import DeepCheck, DeepCheckRequest, deep_check_of_route
from registry_sync.tags.rules import only_tags
from registry_sync.text_table import human_bytes
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, run_route

pytestmark = pytest.mark.timeout(120)

EVERYTHING = DeepCheck(reason="requested", read_bytes=10_000_000)
SIZES = DeepCheck(reason="requested", read_bytes=0)
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def wire(destination: RegistryProcess) -> Iterator[Interceptor]:
    with Interceptor(destination.url) as interceptor:
        yield interceptor


def synced(source: RegistryProcess, destination: RegistryProcess, name: str, **settings: Any) -> tuple[Route, Image]:
    """A route with one tag in sync, of an image for two platforms."""
    image, route = images.multi_arch(name), make_route(source, destination, name, **settings)
    for registry in (source, destination):
        images.push(registry.url, name, "v1", image)
    return route, image


def via(route: Route, wire: Interceptor) -> Route:
    """The same route through an interceptor in front of its destination."""
    return make_route(_Host(route.source.host), wire, route.source_repository.name)


class _Host:
    def __init__(self, host: str) -> None:
        self.host = host


def only_result(report: RouteReport) -> TagResult:
    (result,) = report.tags
    return result


def requests_of(server: RegistryProcess | Interceptor) -> dict[str, int]:
    """Numbers of requests by method and kind of path."""
    paths = [(request.method, request.path.split("/")) for request in server.requests()]
    return dict(Counter(f"{method} {parts[4]}" for method, parts in paths if parts[2] == "team"))


def advice(route: Route, digest: Digest) -> str:
    return (
        f"layer {digest} is damaged at the destination; a new upload did not replace it, because backup keeps the "
        f"bytes of a digest that it has: remove the folder docker/registry/v2/blobs/sha256/{digest.encoded[:2]}/"
        f"{digest.encoded} from its storage and restart it (docker-registry and distribution; other servers: "
        f"docs/verify.md); then run verify again, or the mirror {route.mirror!r} with 'Deep check', which sends it "
        "again"
    )


class TestMissingContent:
    """The destination's storage lost something, and nothing that an ordinary run reads shows it."""

    @pytest.mark.parametrize(
        ("part", "noun"),
        [
            (lambda image: image.children[0].blobs[-1].digest, "layer"),
            (lambda image: image.children[1].blobs[0].digest, "config"),
            (lambda image: image.children[0].digest, "manifest"),
        ],
        ids=["layer", "config", "child"],
    )
    def test_it_is_sent_again(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        part: Callable[[Image], Digest],
        noun: str,
    ) -> None:
        name = f"team/lost-{noun}"
        route, image = synced(source, destination, name)
        lost = part(image)
        destination.forget_blob(lost)
        destination.restart()
        assert counted(run_route(route)) == {"unchanged": 1}
        report = run_route(route, deep_check=SIZES)
        assert counted(report) == {"repaired": 1}
        assert only_result(report).reason == f"{noun} {lost} was missing at the destination; sent again"
        blobs = 3 if noun == "manifest" else 5
        assert report.notes == (f"deep check (requested): 1 of 1 images with {blobs} blobs, 0 B read, 1 repaired",)
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}

    def test_several_parts_are_named(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/lost-parts")
        for blob in {blob.digest for child in image.children for blob in child.blobs}:
            destination.forget_blob(blob)
        destination.restart()
        report = run_route(route, deep_check=SIZES)
        assert counted(report) == {"repaired": 1}
        assert only_result(report).reason.endswith(" was missing and 2 more parts at the destination; sent again")
        images.pull_whole(destination.url, "team/lost-parts", "v1")

    def test_a_platform_index(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        """The source does not have the index that the destination has, only its parts."""
        route, image = synced(source, destination, "team/lost-platform", platforms=("linux/arm64",))
        assert counted(run_route(route)) == {"copied": 1}
        lost = image.children[1].blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        report = run_route(route, deep_check=SIZES)
        assert counted(report) == {"repaired": 1}
        assert images.pull_whole(destination.url, "team/lost-platform", "v1") == {"linux/arm64"}

    def test_the_source_lacks_it_too(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/lost-twice")
        lost = image.children[0].blobs[-1].digest
        for registry in (source, destination):
            registry.forget_blob(lost)
            registry.restart()
        report = run_route(route, deep_check=SIZES)
        assert counted(report) == {"failed": 1}
        result = only_result(report)
        start = (
            f"layer {lost} is missing at the destination, and was not repaired: source {source.host}/team/lost-twice"
        )
        assert result.reason.startswith(start)
        assert result.error_class == "damaged"

    def test_a_kept_tag_whose_image_the_source_no_longer_has(
        self, source: RegistryProcess, destination: RegistryProcess
    ) -> None:
        route, image = synced(source, destination, "team/kept", on_moved_tag="keep")
        images.push(source.url, "team/kept", "v1", images.multi_arch("moved"))
        for digest in (image.digest, *(child.digest for child in image.children)):
            images.delete_manifest(source.url, "team/kept", digest)
        lost = image.children[0].blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        report = run_route(route, deep_check=SIZES)
        assert counted(report) == {"failed": 1}
        assert only_result(report).reason.startswith(
            f"layer {lost} is missing at the destination, and was not repaired: GET http://{source.host}/v2/team/kept/"
            f"manifests/{image.digest} answered 404 MANIFEST_UNKNOWN: manifest unknown"
        )

    def test_a_rejected_image_is_not_sent(
        self, source: RegistryProcess, destination: RegistryProcess, tmp_path: Path
    ) -> None:
        """With a policy, everything that is sent passes it."""
        _, image = synced(source, destination, "team/rejected")
        policy = tmp_path / "policy.json"
        policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
        lost = image.children[0].blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        destination.clear_requests()
        report = run_route(make_route(source, destination, "team/rejected", policy=str(policy)), deep_check=SIZES)
        assert counted(report) == {"failed": 1}
        assert "is not accepted by the policy" in only_result(report).reason
        assert not WRITES & {request.method for request in destination.requests()}

    def test_a_dry_run_changes_nothing(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/lost-dry")
        lost = image.children[0].blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        destination.clear_requests()
        report = run_route(route, deep_check=SIZES, dry_run=True)
        assert only_result(report).reason == (
            f"layer {lost} is missing at the destination; not repaired, because this run changes nothing"
        )
        assert not WRITES & {request.method for request in destination.requests()}


class TestDamagedContent:
    """Bytes that do not match their digest. HEAD reports them as present, with the right size."""

    def test_docker_registry_keeps_them_and_the_advice_helps(
        self, source: RegistryProcess, destination: RegistryProcess
    ) -> None:
        route, image = synced(source, destination, "team/bad-layer")
        bad = image.children[0].blobs[-1].digest
        destination.damage_blob(bad)
        assert counted(run_route(route, deep_check=SIZES)) == {"unchanged": 1}
        report = run_route(route, deep_check=EVERYTHING)
        assert counted(report) == {"failed": 1}
        assert only_result(report).reason == advice(route, bad)
        assert only_result(report).error_class == "damaged"
        assert report.deep_check is not None
        (damaged,) = report.deep_check.damaged
        assert (damaged.repository, damaged.digest) == (str(route.destination_repository), image.digest)
        assert (damaged.tags, damaged.parts, damaged.problem) == (("v1",), (bad,), advice(route, bad))
        # A later run that is not a deep check by itself looks at the known damage again.
        known = deep_check_of_route(DeepCheckRequest(read_bytes=0), [damaged])
        assert counted(run_route(route, deep_check=known)) == {"failed": 1}
        destination.forget_blob(bad)  # as the advice says
        destination.restart()
        report = run_route(route, deep_check=known)
        assert only_result(report).reason == f"layer {bad} was missing at the destination; sent again"
        assert report.deep_check is not None
        assert (report.deep_check.damaged, report.deep_check.cleared) == ((), (image.digest,))
        images.pull_whole(destination.url, "team/bad-layer", "v1")

    def test_a_registry_that_takes_a_new_upload(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        """The upload makes the bytes right. docker-registry does not do that, so the interceptor does."""
        route, image = synced(source, destination, "team/replaced")
        bad = image.children[0].blobs[-1].digest
        destination.damage_blob(bad)
        wire.after("PUT", "/blobs/uploads/", lambda _: destination.damage_blob(bad), times=1)
        report = run_route(via(route, wire), deep_check=EVERYTHING)
        assert counted(report) == {"repaired": 1}
        assert only_result(report).reason == f"layer {bad} was damaged at the destination; sent again"
        assert requests_of(wire) == {
            "GET blobs": 7,  # five, then the damaged one once more, and after its upload
            "GET manifests": 6,  # the index and its two images, once more after the upload
            "HEAD blobs": 10,
            "HEAD manifests": 1,
            "POST blobs": 1,
            "PUT blobs": 1,
        }
        images.pull_whole(destination.url, "team/replaced", "v1")

    def test_a_manifest_with_other_bytes(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        """It is pushed again by its digest."""
        route, image = synced(source, destination, "team/bad-manifest")
        child, other = image.children[0], images.image([])
        wire.answer(
            "GET", f"/manifests/{child.digest}", 200, other.content, {"Content-Type": other.media_type}, times=2
        )
        report = run_route(via(route, wire), deep_check=SIZES)
        assert only_result(report).reason == f"manifest {child.digest} was damaged at the destination; sent again"
        assert [request.path for request in wire.requests() if request.method == "PUT"] == [
            f"/v2/team/bad-manifest/manifests/{child.digest}"
        ]

    def test_another_size(self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor) -> None:
        """A truncated file shows without reading it."""
        route, image = synced(source, destination, "team/short")
        bad = image.children[0].blobs[-1].digest
        wire.header("HEAD", f"/blobs/{bad}", "Content-Length", "7", times=1)
        report = run_route(via(route, wire), deep_check=SIZES)
        assert counted(report) == {"repaired": 1}
        assert only_result(report).reason == f"layer {bad} was damaged at the destination; sent again"

    def test_the_source_has_it_damaged_too(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/bad-twice")
        bad = image.children[0].blobs[-1].digest
        for registry in (source, destination):
            registry.damage_blob(bad)
        report = run_route(route, deep_check=EVERYTHING)
        result = only_result(report)
        assert result.reason == (
            f"layer {bad} is damaged at the destination, and was not repaired: blob {bad} of "
            f"{source.host}/team/bad-twice arrived damaged: its content has another digest"
        )
        assert report.deep_check is not None
        assert len(report.deep_check.damaged) == 1

    def test_bytes_that_were_damaged_on_their_way(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        route, _ = synced(source, destination, "team/transit")
        wire.corrupt("GET", "/blobs/", times=1)
        wire.corrupt("GET", "/manifests/sha256", times=1)
        assert counted(run_route(via(route, wire), deep_check=EVERYTHING)) == {"unchanged": 1}

    def test_images_that_share_it(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        """It is uploaded once, not for each of them."""
        base = images.layer({"base": b"shared"})
        route = make_route(source, destination, "team/shared", parallel_copies=1)
        for tag in ("v1", "v2", "v3"):
            image = images.image([base, images.layer({"app": tag.encode()})])
            for registry in (source, destination):
                images.push(registry.url, "team/shared", tag, image)
        destination.damage_blob(base.digest)
        destination.clear_requests()
        report = run_route(route, deep_check=EVERYTHING)
        assert counted(report) == {"failed": 3}
        assert {result.reason.partition(";")[0] for result in report.tags} == {
            f"layer {base.digest} is damaged at the destination"
        }
        assert sum(request.method == "POST" for request in destination.requests()) == 1


class TestNotVerified:
    """Unchecked content is never reported as whole, nor as damaged."""

    def test_a_page_instead_of_a_manifest(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        route, image = synced(source, destination, "team/page")
        child = image.children[0].digest
        wire.answer("GET", f"/manifests/{child}", 200, b"<html>log in", {"Content-Type": "text/html"})
        report = run_route(via(route, wire), deep_check=SIZES)
        result = only_result(report)
        assert result.reason == (
            f"its content was not verified: {wire.host}/team/page@{child} arrived damaged: its content has another "
            "digest, and is of type 'text/html'"
        )
        assert result.error_class == "temporary"
        assert report.deep_check is not None
        assert report.deep_check.damaged == ()
        assert report.notes == ("deep check (requested): 1 of 1 images with 3 blobs, 0 B read, 1 not verified",)

    def test_a_denied_blob(self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor) -> None:
        route, _ = synced(source, destination, "team/denied")
        wire.answer("HEAD", "/blobs/", 403)
        result = only_result(run_route(via(route, wire), deep_check=SIZES))
        assert result.reason.startswith("its content was not verified: ")
        assert result.error_class == "denied"

    def test_a_rate_limit_leaves_the_rest_to_the_retry(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        route, _ = synced(source, destination, "team/limited")
        wire.answer("GET", "/manifests/sha256", 429, headers={"Retry-After": "600"}, times=1)
        report = run_route(via(route, wire), deep_check=SIZES)
        assert only_result(report).error_class == "rate_limited"
        assert report.retry_at is not None

    def test_a_registry_that_is_down(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        """A known damage stays known when nothing can be said about it."""
        route, image = synced(source, destination, "team/down")
        check = DeepCheck(reason="requested", read_bytes=0, suspects={image.digest: ()})
        wire.reset("GET", "/manifests/sha256")
        report = run_route(via(route, wire), deep_check=check)
        assert only_result(report).error_class == "temporary"
        assert report.deep_check is not None
        assert report.deep_check.cleared == ()


class TestWork:
    """Requests and bytes of a deep check."""

    def test_each_blob_is_requested_once(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        """Two tags of one image, and one of an image that shares its base layer."""
        base = images.layer({"base": b"of two images"})
        one = images.image([base, images.layer({"app": b"one"})])
        two = images.image([base, images.layer({"app": b"two"})])
        for tag, image in (("v1", one), ("v1.0", one), ("v2", two)):
            for registry in (source, destination):
                images.push(registry.url, "team/work", tag, image)
        route = make_route(source, destination, "team/work")
        report = run_route(via(route, wire), deep_check=EVERYTHING)
        assert counted(report) == {"unchanged": 3}
        blobs = {blob.digest: len(blob.content) for image in (one, two) for blob in image.all_blobs()}
        size = sum(blobs.values())
        assert report.notes == (f"deep check (requested): 2 of 2 images with 5 blobs, {human_bytes(size)} read",)
        assert requests_of(wire) == {"GET blobs": 5, "GET manifests": 2, "HEAD blobs": 5, "HEAD manifests": 3}

    def test_the_budget_bounds_the_bytes(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        sizes = [30_000, 40_000, 50_000]
        image = images.image([images.big_layer(size, seed=size) for size in sizes])
        for registry in (source, destination):
            images.push(registry.url, "team/budget", "v1", image)
        route = make_route(source, destination, "team/budget")
        check = DeepCheck(reason="requested", read_bytes=60_000)
        report = run_route(via(route, wire), deep_check=check)
        assert counted(report) == {"unchanged": 1}
        read = [request.path for request in wire.requests() if request.method == "GET" and "/blobs/" in request.path]
        by_path = {f"/v2/team/budget/blobs/{blob.digest}": len(blob.content) for blob in image.all_blobs()}
        assert 30_000 <= sum(by_path[path] for path in read) <= 60_000

    def test_a_deep_check_without_any_image_costs_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor
    ) -> None:
        route, _ = synced(source, destination, "team/nothing")
        check = deep_check_of_route(DeepCheckRequest(read_bytes=5), [])
        assert check is None
        run_route(via(route, wire), deep_check=check)
        assert requests_of(wire) == {"HEAD manifests": 1}


class TestVerifyRoute:
    def test_it_repairs_and_copies_no_tag(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/verify")
        images.push(source.url, "team/verify", "v2", images.multi_arch("new"))
        lost = image.children[0].blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        report = run_route(route, run=verify_route, deep_check=EVERYTHING)
        assert counted(report) == {"repaired": 1, "would_copy": 1}
        assert images.resolve(destination.url, "team/verify", "v2") is None
        images.pull_whole(destination.url, "team/verify", "v1")

    def test_only_some_tags(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        route, image = synced(source, destination, "team/some")
        destination.forget_blob(image.children[0].blobs[-1].digest)
        destination.restart()
        report = run_route(route, run=verify_route, deep_check=SIZES, only_tags=only_tags(["v9*"]))
        assert report.notes[-1] == "deep check (requested): 0 of 0 images with 0 blobs, 0 B read"


class TestCommand:
    Verify = Callable[..., tuple[int, str, str]]

    @pytest.fixture
    def verify(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> Verify:
        """Run the command on a repository; return exit code, output and errors."""

        def verify(
            name: str, *arguments: str, destination: RegistryProcess | Interceptor = destination
        ) -> tuple[int, str, str]:
            registries = {
                "origin": {"host": source.host, "tls": False},
                "backup": {"host": destination.host, "tls": False},
            }
            mirror = {"source": "origin", "destinations": ["backup"], "repositories": [name]}
            file = tmp_path / "mirrors.yaml"
            file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
            code = main(["verify", str(file), *arguments])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        return verify

    def test_whole(self, source: RegistryProcess, destination: RegistryProcess, verify: Verify) -> None:
        synced(source, destination, "team/whole")
        code, output, errors = verify("team/whole", "--share", "100%", "--read-bytes", "1MB")
        assert code == OK
        assert "deep check (all images): 1 of 1 images with 5 blobs, " in output
        assert errors.endswith("1 repositories verified: every image that was looked at is whole\n")

    def test_damaged(self, source: RegistryProcess, destination: RegistryProcess, verify: Verify) -> None:
        route, image = synced(source, destination, "team/command")
        bad, lost = (child.blobs[-1].digest for child in image.children)
        destination.forget_blob(lost)
        destination.restart()
        code, output, _ = verify("team/command", "--no-repair", "--json")
        assert code == FAILED
        (report,) = json.loads(output)
        assert [tag["outcome"] for tag in report["tags"]] == ["failed"]
        _, output, errors = verify("team/command", "--no-repair")
        assert "5 blobs, " in output
        assert output.rstrip().endswith(" read, 1 missing or damaged")
        assert errors.endswith("verified; run it without --no-repair to send again what is missing or damaged\n")
        assert verify("team/command", "--mirror", "team")[0] == OK
        destination.damage_blob(bad)
        code, output, errors = verify("team/command")
        assert code == FAILED
        assert advice(route, bad) in output
        assert errors.endswith("1 of 1 repositories are not whole, not in sync, or could not be verified\n")

    def test_tags_that_are_not_in_sync_are_not_whole(self, source: RegistryProcess, verify: Verify) -> None:
        images.push(source.url, "team/unsynced", "v1", images.multi_arch("unsynced"))
        assert verify("team/unsynced")[0] == FAILED

    def test_tags_that_do_not_exist(
        self, source: RegistryProcess, destination: RegistryProcess, verify: Verify
    ) -> None:
        synced(source, destination, "team/typo")
        code, _, errors = verify("team/typo", "--tag", "v9")
        assert code == FAILED
        assert errors.endswith("no tag of 1 repositories was selected, so nothing was verified\n")

    @pytest.mark.parametrize(
        ("path", "status", "expected"),
        [
            ("/blobs/", 429, UNANSWERED),
            ("/manifests/", 429, UNANSWERED),
            ("/blobs/", 404, FAILED),
            ("/manifests/", 403, FAILED),
        ],
    )
    def test_a_registry_that_responds_with_an_error(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        verify: Verify,
        path: str,
        status: int,
        expected: int,
    ) -> None:
        """After a temporary error nothing is known, as opposed to content that is missing, or a denied request."""
        name = f"team/{path.strip('/')}{status}"
        synced(source, destination, name)
        for method in ("HEAD", "GET"):
            wire.answer(method, f"/{name}{path}", status, b"", {"Retry-After": "7200"} if status == 429 else None)
        assert verify(name, "--no-repair", "--read-bytes", "0", destination=wire)[0] == expected

    def test_a_registry_that_is_down(
        self, source: RegistryProcess, destination: RegistryProcess, verify: Verify
    ) -> None:
        synced(source, destination, "team/down")
        with Interceptor(destination.url) as gone:
            pass
        code, output, errors = verify("team/down", destination=gone)
        assert code == UNANSWERED
        assert "refused" in output
        assert errors.endswith("1 of 1 repositories are not whole, not in sync, or could not be verified\n")

    @pytest.mark.parametrize(
        "arguments", [("--mirror", "other"), ("--destination", "other"), ("--repository", "other/*")]
    )
    def test_what_does_not_exist(self, verify: Verify, arguments: tuple[str, str]) -> None:
        assert verify("team/whole", *arguments)[0] == UNUSABLE

    @pytest.mark.parametrize(("option", "value"), [("--share", "10"), ("--share", "0%"), ("--read-bytes", "many")])
    def test_invalid_arguments(self, verify: Verify, option: str, value: str) -> None:
        with pytest.raises(SystemExit, match="2"):
            verify("team/whole", option, value)
