"""Pruning over real registries: planned in one run, executed in the next, with everything that must stay."""

from __future__ import annotations

import json
import re
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.config.registry import Registry
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.window import Window
from testkit import images
from testkit.acr_api import AcrApi
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, result_of, run_route
from testkit.settings import route_settings

GONE = {"tags": "gone_at_source", "max_percent": 50, "dry_run": False}
NOT_SELECTED = {**GONE, "tags": "not_selected"}
AGAIN = "deleted when the next scheduled run plans it again"
SAME_IMAGE = "has the same image, and this registry deletes images only with all their tags"
pytestmark = pytest.mark.usefixtures("minimal_jitter")


@pytest.fixture
def in_sync(source: RegistryProcess, destination: RegistryProcess, name: str) -> dict[str, Image]:
    """Six tags with an image each at both sides, except v0, which is gone at the source."""
    pushed = {tag: images.image([], labels={"tag": f"{name} {tag}"}) for tag in ("v0", "v1", "v2", "v3", "v4", "v5")}
    for tag, content in pushed.items():
        for registry in (source, destination):
            images.push(registry.url, name, tag, content)
    source.forget_tag(name, "v0")
    return pushed


def push(registry: RegistryProcess, name: str, tag: str, content: Image) -> None:
    images.push(registry.url, name, tag, content)


def tags_of(registry: RegistryProcess, name: str) -> set[str]:
    root = registry.storage / "docker/registry/v2/repositories" / name / "_manifests/tags"
    return {path.name for path in root.iterdir() if (path / "current" / "link").exists()}


def deletes(wire: Interceptor) -> list[str]:
    return [request.path.rpartition("/")[2] for request in wire.requests() if request.method == "DELETE"]


def kept_note(report: RouteReport, tag: str) -> str:
    """The note about a tag that was due and is kept."""
    (note,) = (note for note in report.notes if note.startswith(f"{tag} is not deleted: "))
    return note


def two_runs(route: Route, **options: Any) -> tuple[RouteReport, RouteReport]:
    first = run_route(route, **options)
    return first, run_route(route, planned=first.planned_deletions, **options)


@pytest.mark.usefixtures("in_sync")
class TestTwoSteps:
    def test_planned_in_one_run_and_done_in_the_next(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        assert counted(first) == {"unchanged": 5, "would_delete": 1}
        result = result_of(first, "v0")
        assert (result.outcome, result.reason) == ("would_delete", f"gone at the source; {AGAIN}")
        assert deletes(wire) == []
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 5, "deleted": 1}
        result = result_of(second, "v0")
        assert (result.outcome, result.reason) == ("deleted", "gone at the source")
        assert tags_of(destination, name) == {"v1", "v2", "v3", "v4", "v5"}
        third = run_route(route, planned=second.planned_deletions)
        assert counted(third) == {"unchanged": 5}
        assert third.planned_deletions is not None
        assert (third.planned_deletions.marks, third.planned_deletions.listed) == ((), 5)
        assert not third.is_failed

    def test_a_mirror_without_a_schedule_never_deletes(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """By hand, as a dry run and with ``dry_run: true``, no reason promises a deletion that never comes."""
        route = replace(make_route(source, destination, name, prune=GONE), has_schedule=False)
        never = "no run deletes it, because only scheduled runs delete and the mirror has no schedule"
        for dry_run in (False, True):
            result = result_of(run_route(route, dry_run=dry_run), "v0")
            assert (result.outcome, result.reason) == ("would_delete", f"gone at the source; {never}")
        only_reported = make_route(source, destination, name, prune={**GONE, "dry_run": True})
        result = result_of(run_route(replace(only_reported, has_schedule=False)), "v0")
        assert result.reason == "gone at the source; only reported, because prune.dry_run is true"
        assert "v0" in tags_of(destination, name)

    def test_a_deletion_new_in_the_second_run_waits_for_a_third(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        route = make_route(source, destination, name, prune=GONE)
        first = run_route(route)
        source.forget_tag(name, "v1")
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 4, "deleted": 1, "would_delete": 1}
        assert result_of(second, "v1").reason == f"gone at the source; {AGAIN}"
        assert counted(run_route(route, planned=second.planned_deletions)) == {"unchanged": 4, "deleted": 1}
        assert tags_of(destination, name) == {"v2", "v3", "v4", "v5"}

    def test_a_tag_changed_between_the_runs_is_planned_again(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        route = make_route(source, destination, name, prune=GONE)
        first = run_route(route)
        images.push(destination.url, name, "v0", images.image([], labels={"tag": f"{name} other"}))
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 5, "would_delete": 1}
        assert "v0" in tags_of(destination, name)

    def test_a_tag_that_returns_to_the_source_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        route = make_route(source, destination, name, prune=GONE)
        first = run_route(route)
        images.push(source.url, name, "v0", in_sync["v0"])
        assert counted(run_route(route, planned=first.planned_deletions)) == {"unchanged": 6}

    def test_a_tag_changed_at_the_last_moment_stays(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        other = images.image([], labels={"tag": f"{name} other"})
        wire.after("HEAD", "/manifests/v0$", lambda _: push(destination, name, "v0", other), times=1)
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 5, "skipped": 1}
        assert second.notes == (f"v0 is not deleted: changed since it was observed, to {other.digest.short}",)
        assert images.resolve(destination.url, name, "v0") == other.digest

    def test_deletions_are_only_reported_by_default(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        route = make_route(source, wire, name, prune={"tags": "gone_at_source"})
        for report in two_runs(route):
            assert result_of(report, "v0").reason == "gone at the source; only reported, because prune.dry_run is true"
        assert deletes(wire) == []

    def test_a_dry_run_deletes_nothing(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        second = run_route(route, planned=first.planned_deletions, dry_run=True)
        assert counted(second) == {"unchanged": 5, "would_delete": 1}
        assert second.planned_deletions == first.planned_deletions
        assert deletes(wire) == []

    def test_nothing_is_deleted_when_another_tag_failed(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        images.push(source.url, name, "v6", images.image([], labels={"tag": f"{name} v6"}))
        wire.answer("PUT", "/manifests/v6$", 413)
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 5, "failed": 1, "would_delete": 1}
        assert result_of(second, "v0").reason == "gone at the source; postponed because other tags failed"
        assert deletes(wire) == []
        wire.clear_rules()
        assert counted(run_route(route, planned=second.planned_deletions)) == {
            "unchanged": 5,
            "copied": 1,
            "deleted": 1,
        }

    def test_a_windowed_run_does_not_prune(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        window = Window(reason="scheduled", start=datetime(2026, 11, 24, tzinfo=UTC))
        report = run_route(route, planned=first.planned_deletions, window=window)
        assert counted(report) == {"unchanged": 5}
        assert report.planned_deletions is None
        assert deletes(wire) == []


@pytest.mark.usefixtures("in_sync")
class TestRefusals:
    """Conditions under which nothing is deleted, whatever was planned."""

    def notes(self, route: Route, **options: Any) -> tuple[str, ...]:
        first = run_route(make_route_like(route, max_percent=100))
        report = run_route(route, planned=first.planned_deletions, **options)
        assert "deleted" not in counted(report)
        assert "would_delete" not in counted(report)
        return report.notes

    def test_more_than_max_percent_prunes_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        for tag in ("v1", "v2", "v3"):
            source.forget_tag(name, tag)
        assert self.notes(make_route(source, destination, name, prune=GONE)) == (
            (
                "nothing was pruned: 4 of 6 tags would be deleted (v0, v1, v2, v3), and max_percent 50 allows 3; to "
                "delete them, raise max_percent until that is done"
            ),
        )

    def test_an_empty_source_prunes_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        with Interceptor(source.url) as empty:
            route = make_route(empty, destination, name, prune=GONE, tags={"min_tags": 0})
            first = run_route(route)
            assert counted(first) == {"unchanged": 5, "would_delete": 1}
            empty.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": None}).encode())
            report = run_route(route, planned=first.planned_deletions)
        assert counted(report) == {}
        assert report.notes == (
            "the source repository has no tags",
            "nothing was pruned: the source lists no tags",
        )
        assert report.planned_deletions is not None
        assert (report.planned_deletions.marks, report.planned_deletions.listed) == ((), 5)
        assert len(tags_of(destination, name)) == 6

    def test_a_source_that_shrank_prunes_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        route = make_route(source, destination, name, prune={**GONE, "max_percent": 40})
        first = run_route(route)
        for tag in ("v1", "v2", "v3"):
            source.forget_tag(name, tag)
        assert run_route(route, planned=first.planned_deletions).notes == (
            ("nothing was pruned: the source lists 2 tags, down from 5; if the next run sees the same, it is accepted"),
        )

    def test_rules_that_select_nothing_prune_nothing(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        route = make_route(source, destination, name, prune=NOT_SELECTED, tags={"include": ("w*",), "min_tags": 0})
        assert "nothing was pruned: the rules select no tags" in self.notes(route)

    def test_a_destination_without_a_tag_list_prunes_nothing(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        wire.answer("GET", "/tags/list$", 405)
        assert run_route(make_route(source, wire, name, prune=GONE)).notes == (
            f"nothing was pruned: GET {wire.url}/v2/{name}/tags/list answered 405",
        )

    def test_a_tag_missing_from_one_listing_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Pages by offset skip tags when others are deleted meanwhile."""
        with Interceptor(source.url) as here:
            listed = {"name": name, "tags": ["v2", "v3", "v4", "v5"]}
            here.answer("GET", "/tags/list$", 200, json.dumps(listed).encode())
            first, second = two_runs(make_route(here, destination, name, prune=GONE))
        assert [tag.tag for tag in first.tags] == ["v0"]
        assert counted(second) == {"unchanged": 4, "deleted": 1}
        assert "v1" in tags_of(destination, name)


def make_route_like(route: Route, **prune: Any) -> Route:
    """The same route with other limits of pruning."""
    rules = route.settings.prune
    assert rules is not None
    settings = replace(route.settings, prune=replace(rules, **prune))
    return Route(
        mirror=route.mirror,
        source=route.source,
        destination=route.destination,
        source_repository=route.source_repository,
        destination_repository=route.destination_repository,
        settings=settings,
    )


class TestWhatStays:
    def test_backups_signatures_kept_and_foreign_tags_stay(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        digest = in_sync["v1"].digest.encoded
        strange = images.image([], labels={"tag": f"{name} strange"})
        staying = {"v0-lts", "own-build", f"sha256-{digest}.sig", f"sha256-{digest}", f"v1-was-{digest[:12]}"}
        for tag in staying:
            images.push(destination.url, name, tag, strange)
        route = make_route(
            *(source, destination, name),
            prune={**NOT_SELECTED, "keep": ("*-lts",)},
            tags={"include": ("v*",), "exclude": ("v5",)},
            backup_tag="{{ tag }}-was-{{ digest_short }}",
        )
        first, second = two_runs(route)
        assert counted(second) == {"unchanged": 4, "deleted": 2}
        assert result_of(first, "v5").reason == f"no longer selected: excluded by 'v5'; {AGAIN}"
        assert result_of(second, "v5").reason == "no longer selected: excluded by 'v5'"
        assert tags_of(destination, name) == {"v1", "v2", "v3", "v4", *staying}

    def test_a_tag_that_is_not_old_enough_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        """A tag that changes at the source is young again. The destination keeps the older image."""
        new, now = images.multi_arch(f"{name} new"), datetime.now(UTC).replace(microsecond=0)
        with QuayApi(source.url) as quay:
            for tag in sorted(in_sync.keys() - {"v0"}):
                quay.push(name, tag, now - timedelta(days=30))
            images.push(source.url, name, "v1", new)
            quay.push(name, "v1", now - timedelta(hours=1))
            route = make_route(
                quay, destination, name, source_kind="quay", tags={"older_than": "7d"}, prune=NOT_SELECTED
            )
            first, second = two_runs(route, api_url=quay.url)
        assert counted(first) == {"unchanged": 4, "skipped": 1, "would_delete": 1}
        assert counted(second) == {"unchanged": 4, "skipped": 1, "deleted": 1}
        assert images.resolve(destination.url, name, "v1") == in_sync["v1"].digest

    @pytest.mark.parametrize("backup_tag", [None, "{{ tag }}-before-{{ date }}-{{ time }}"])
    def test_backups_of_an_earlier_template_stay(
        self,
        source: RegistryProcess,
        wire: Interceptor,
        destination: RegistryProcess,
        name: str,
        in_sync: dict[str, Image],
        backup_tag: str | None,
    ) -> None:
        """They are recognised by their name, which has the digest of their image."""
        old = images.image([], labels={"tag": f"{name} old"})
        hexadecimal = old.digest.encoded
        staying = {f"v1-was-{hexadecimal[:12]}", f"v1.sha256.{hexadecimal}", f"vold-{hexadecimal[:8]}"}
        for tag in staying:
            images.push(destination.url, name, tag, old)
        images.push(destination.url, name, "v1-was-0123456789ab", in_sync["v0"])
        route = make_route(source, wire, name, prune=GONE, backup_tag=backup_tag)
        first, second = two_runs(route)
        assert counted(second) == {"unchanged": 5, "deleted": 2}
        assert [each.tag for each in second.tags] == ["v0", "v1-was-0123456789ab"]
        assert tags_of(destination, name) == {"v1", "v2", "v3", "v4", "v5", *staying}
        assert first.notes == second.notes == ()

    def test_an_artifact_of_an_existing_image_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        subject = in_sync["v1"].digest
        images.push(destination.url, name, "v0", about(in_sync["v1"]))
        _, second = two_runs(make_route(source, destination, name, prune=GONE))
        assert second.notes == (f"v0 is not deleted: it is attached to {subject.short}, which stays",)
        assert "v0" in tags_of(destination, name)

    def test_an_image_with_another_tag_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        images.push(destination.url, name, "own", in_sync["v0"])
        route = make_route(source, destination, name, prune=GONE, tags={"include": ("v*",)})
        first, second = two_runs(route)
        shared = "gone at the source, if this registry deletes a tag alone (own has the same image)"
        assert result_of(first, "v0").reason == f"{shared}; {AGAIN}"
        assert counted(second) == {"unchanged": 5, "skipped": 1}
        assert kept_note(second, "v0").startswith(f"v0 is not deleted: own {SAME_IMAGE} (DELETE {destination.url}/")
        assert {"v0", "own"} <= tags_of(destination, name)

    def test_an_image_tagged_again_in_the_same_run_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        route = make_route(source, destination, name, prune=GONE)
        first = run_route(route)
        images.push(source.url, name, "v6", in_sync["v0"])
        second = run_route(route, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 5, "copied": 1, "skipped": 1}
        assert kept_note(second, "v0").startswith(f"v0 is not deleted: v6 {SAME_IMAGE} (")
        assert images.resolve(destination.url, name, "v6") == in_sync["v0"].digest

    @pytest.mark.usefixtures("in_sync")
    def test_an_image_tagged_by_another_run_meanwhile_stays(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        """Deleting a digest deletes all its tags. The other run publishes before or after these are checked."""
        route = make_route(source, wire, name, prune=GONE)
        first = run_route(route)
        with ThreadPoolExecutor(1) as pool:
            others: list[Future[RouteReport]] = []

            def publish(_: Request) -> None:
                push(source, name, "again", images.image([], labels={"tag": f"{name} v0"}))
                others.append(pool.submit(run_route, make_route(source, wire, name)))
                wait(others, timeout=2)

            wire.after("DELETE", "/manifests/v0$", publish, times=1)
            second = run_route(route, planned=first.planned_deletions)
        (other,) = (each.result() for each in others)
        assert result_of(second, "v0").outcome == "deleted"
        assert result_of(other, "again").outcome == "copied"
        assert tags_of(destination, name) == {"v1", "v2", "v3", "v4", "v5", "again"}

    def test_a_child_of_a_remaining_image_stays(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        whole = images.multi_arch(name)
        images.push(source.url, name, "v1", whole)
        images.push(destination.url, name, "v1", whole)
        images.push(destination.url, name, "v0", whole.children[0])
        _, second = two_runs(make_route(source, destination, name, prune=GONE))
        assert kept_note(second, "v0").startswith(f"v0 is not deleted: v1 {SAME_IMAGE} (")
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}

    def test_nothing_is_deleted_beside_an_index_nested_too_deeply(
        self, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        """Its parts may be what the tags to delete name, and they are not all known."""
        for registry in (source, destination):
            images.push(registry.url, name, "v1", images.deep_index(name, levels=20))
        images.push(destination.url, name, "v0", images.multi_arch(f"{name} old"))
        _, second = two_runs(make_route(source, destination, name, prune=GONE))
        result = result_of(second, "v0")
        assert result.outcome == "would_delete"
        assert result.reason.startswith(
            "gone at the source; postponed: the images that a tag needs are not all known: "
        )
        assert "nests more than 16 levels deep" in result.reason
        assert not second.is_failed
        assert tags_of(destination, name) == {"v0", "v1"}

    def test_all_tags_of_one_image_may_be_deleted(
        self, source: RegistryProcess, destination: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        images.push(destination.url, name, "v0.0", in_sync["v0"])
        _, second = two_runs(make_route(source, destination, name, prune=GONE))
        assert counted(second) == {"unchanged": 5, "deleted": 2}
        assert tags_of(destination, name) == {"v1", "v2", "v3", "v4", "v5"}


def about(subject: Image) -> Image:
    """An OCI 1.1 artifact with its image as subject."""
    plain = images.artifact("about")
    document = json.loads(plain.content)
    document["subject"] = {
        "mediaType": subject.media_type,
        "digest": str(subject.digest),
        "size": len(subject.content),
    }
    return images.Image(content=json.dumps(document).encode(), media_type=plain.media_type, blobs=plain.blobs)


@pytest.mark.usefixtures("in_sync")
class TestAnswersOfTheRegistry:
    def test_deletion_turned_off_is_reported(self, source: RegistryProcess, name: str) -> None:
        with RegistryProcess(delete_enabled=False) as fixed:
            for tag in ("v0", "v1", "v2", "v3", "v4", "v5"):
                images.push(fixed.url, name, tag, images.image([], labels={"tag": f"{name} {tag}"}))
            _, second = two_runs(make_route(source, fixed, name, prune=GONE))
            result = result_of(second, "v0")
            assert (result.outcome, result.error_class) == ("failed", "refused")
            assert re.fullmatch(
                rf"not deleted: DELETE {fixed.url}/v2/{name}/manifests/sha256:[0-9a-f]+ answered 405 "
                "UNSUPPORTED: The operation is unsupported.",
                result.reason,
            )
            assert "v0" in tags_of(fixed, name)

    @pytest.mark.parametrize(
        ("status", "code", "message"),
        [
            (412, "PRECONDITION", "Failed to process request due to 'app:v0' configured as immutable."),
            (405, "REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this image."),
            (400, "DENIED", "the tag is locked"),
        ],
    )
    def test_a_locked_tag_is_reported_as_locked(
        self, source: RegistryProcess, wire: Interceptor, name: str, status: int, code: str, message: str
    ) -> None:
        """Its image must not be deleted by digest instead, even where the registry allows that."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        wire.answer("DELETE", "/manifests/v0$", status, body)
        _, second = two_runs(make_route(source, wire, name, prune=GONE))
        assert counted(second) == {"unchanged": 5, "locked": 1}
        result = result_of(second, "v0")
        assert (result.outcome, result.error_class) == ("locked", "locked")
        assert result.reason == (
            f"not deleted: DELETE {wire.url}/v2/{name}/manifests/v0 answered {status} {code}: {message}"
        )
        assert deletes(wire) == ["v0"]

    def test_a_deletion_without_effect_is_a_temporary_failure(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        wire.answer("DELETE", "/manifests/", 202)
        _, second = two_runs(make_route(source, wire, name, prune=GONE))
        result = result_of(second, "v0")
        assert (result.outcome, result.error_class) == ("failed", "temporary")
        assert result.reason == "not deleted: the registry accepted the deletion, but the tag still exists"

    def test_a_denied_deletion_is_reported(self, source: RegistryProcess, wire: Interceptor, name: str) -> None:
        source.forget_tag(name, "v1")
        wire.answer("DELETE", "/manifests/", 403, b'{"errors": [{"code": "DENIED"}]}')
        _, second = two_runs(make_route(source, wire, name, prune=GONE))
        denied = f"DELETE {wire.url}/v2/{name}/manifests/v0 answered 403 DENIED (not permitted with these credentials, "
        assert result_of(second, "v0").error_class == "denied"
        assert result_of(second, "v0").reason == f"not deleted: {denied}or it does not exist)"
        assert result_of(second, "v1").reason == f"gone at the source; postponed: {denied}or it does not exist)"
        assert deletes(wire) == ["v0"]

    def test_a_rate_limited_deletion_is_left_for_later(
        self, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        wire.answer("DELETE", "/manifests/", 429, headers={"Retry-After": "7200"})
        _, second = two_runs(make_route(source, wire, name, prune=GONE))
        asked = f"DELETE {wire.url}/v2/{name}/manifests/v0 answered 429"
        assert result_of(second, "v0").reason == f"gone at the source; postponed: {asked}"
        assert (second.is_failed, second.retry_at) == (False, None)

    def test_a_registry_that_deletes_tags_alone_deletes_shared_images_tags(
        self, source: RegistryProcess, name: str, in_sync: dict[str, Image]
    ) -> None:
        with RegistryProcess() as registry, AcrApi(registry) as azure:
            for tag, content in in_sync.items():
                images.push(registry.url, name, tag, content)
            images.push(registry.url, name, "own", in_sync["v0"])
            images.push(registry.url, name, "v-locked", in_sync["v0"])
            azure.lock(name, "v-locked")
            route = Route(
                mirror="team",
                source=Registry(name="origin", host=source.host, tls=False),
                destination=Registry(name="azure", host=azure.host, tls=False, kind="acr"),
                source_repository=Repository(source.host, name),
                destination_repository=Repository(azure.host, name),
                settings=route_settings(prune=GONE, tags={"include": ("v*",)}),
            )
            _, second = two_runs(route)
            assert counted(second) == {"unchanged": 5, "deleted": 1}
            assert [note for note in second.notes if "deleted" in note] == []
            assert tags_of(registry, name) == {"v1", "v2", "v3", "v4", "v5", "own", "v-locked"}
            assert images.resolve(registry.url, name, "own") == in_sync["v0"].digest
