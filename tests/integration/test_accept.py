"""Moved tags that a person accepts for one run: only that tag, only that digest, through both movers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from registry_sync.oci.manifest import Manifest, parse_manifest
from registry_sync.oci.platforms import filter_index
from registry_sync.oci.reference import Digest
from registry_sync.routes.route import Route
from registry_sync.state.changes import changes_of_view
from registry_sync.sync.report import RouteReport, RunReport
from registry_sync.sync.report_text import run_summary
from registry_sync.sync.route import SyncedRoute, sync_route
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import open_session
from testkit import images
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import LoopbackConnections, counted, make_route, result_of

pytestmark = pytest.mark.usefixtures("minimal_jitter")

BOTH_MOVERS = pytest.mark.parametrize("transfer", ["skopeo", "direct"])
PROTECTED = {"fail": "on_moved_tag is fail", "keep": "on_moved_tag is keep"}


def sync(route: Route, accepted: Mapping[str, Digest], *, dry_run: bool = False) -> SyncedRoute:
    scope = RouteScope(accepted=accepted, dry_run=dry_run)
    with open_session(route, LoopbackConnections()) as session:
        return sync_route(session, RouteScope.from_json(scope.to_json()))


def moved(source: RegistryProcess, destination: RegistryProcess, name: str) -> tuple[Image, Image]:
    """Two tags with another image at the source than at the destination, of which one is accepted."""
    old, new = images.multi_arch(f"{name} old"), images.multi_arch(f"{name} new")
    for tag in ("v1", "v2"):
        images.push(destination.url, name, tag, old)
        images.push(source.url, name, tag, new)
    return old, new


@BOTH_MOVERS
@pytest.mark.parametrize("policy", PROTECTED)
def test_an_accepted_tag_moves_and_no_other(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str, policy: str
) -> None:
    old, new = moved(source, destination, name)
    route = make_route(source, destination, name, transfer=transfer, on_moved_tag=policy)
    synced = sync(route, {"v1": new.digest})
    report = synced.report
    assert counted(report) == {"copied": 1, "failed" if policy == "fail" else "skipped": 1}
    changed = f"changed to {new.digest.short}, the destination has {old.digest.short}"
    assert result_of(report, "v1").reason == f"{changed}; accepted, although {PROTECTED[policy]}"
    assert images.resolve(destination.url, name, "v1") == new.digest
    assert images.resolve(destination.url, name, "v2") == old.digest
    assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}
    [change] = changes_of_view("r", synced.view).changes
    assert (change.tag, change.kind, change.old_digest, change.accepted) == ("v1", "moved", str(old.digest), True)
    assert ", 1 of them accepted" in run_summary(RunReport(mirror="team", routes=(_whole(report),)))
    assert counted(sync(route, {}).report) == {"unchanged": 1, "failed" if policy == "fail" else "skipped": 1}


def _whole(report: RouteReport) -> RouteReport:
    """A report as it crosses XCom, without the other tag's failure."""
    return RouteReport.from_json(replace(report, tags=(result_of(report, "v1"),)).to_json())


@BOTH_MOVERS
def test_a_tag_that_moved_on_is_refused_and_nothing_is_written(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, transfer: str
) -> None:
    old, new = moved(source, destination, name)
    later = images.multi_arch(f"{name} later")
    images.push(source.url, name, "v1", later)
    for policy in ("fail", "keep", "follow"):
        route = make_route(source, wire, name, transfer=transfer, on_moved_tag=policy, tags={"include": ("v1",)})
        report = sync(route, {"v1": new.digest}).report
        assert counted(report) == {"failed": 1, "skipped": 1}
        assert result_of(report, "v1").reason == (
            f"the source has {later.digest.short} and {new.digest.short} is accepted; nothing was written. Look at it, "
            f"and accept {later.digest} if that is right"
        )
        assert (
            report.notes[-1]
            == f"if a move is right, trigger one run with the parameter accept: {name}:v1@{later.digest}"
        )
    assert {request.method for request in wire.requests()} <= {"GET", "HEAD"}
    assert images.resolve(destination.url, name, "v1") == old.digest


@BOTH_MOVERS
def test_an_immutable_destination_still_refuses(
    source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str, transfer: str
) -> None:
    old, new = moved(source, destination, name)
    body = b'{"errors":[{"code":"DENIED","message":"The image tag is immutable"}]}'
    wire.answer("PUT", "/manifests/v1$", 400, body)
    route = make_route(source, wire, name, transfer=transfer, on_moved_tag="fail", tags={"include": ("v1",)})
    report = sync(route, {"v1": new.digest}).report
    assert counted(report) == {"locked": 1, "skipped": 1}
    assert "immutable" in result_of(report, "v1").reason
    assert images.resolve(destination.url, name, "v1") == old.digest


@BOTH_MOVERS
def test_a_backup_is_made_before_an_accepted_move(
    source: RegistryProcess, destination: RegistryProcess, name: str, transfer: str
) -> None:
    old, new = moved(source, destination, name)
    options = {"transfer": transfer, "on_moved_tag": "keep", "backup_tag": "{{ tag }}-was-{{ digest_short }}"}
    report = sync(make_route(source, destination, name, **options), {"v1": new.digest}).report
    assert counted(report) == {"copied": 1, "skipped": 1}
    assert images.resolve(destination.url, name, f"v1-was-{old.digest.encoded[:12]}") == old.digest
    assert images.resolve(destination.url, name, "v1") == new.digest


@pytest.mark.parametrize("which", ["source", "index"])
def test_with_platforms_either_digest_may_be_accepted(
    source: RegistryProcess, destination: RegistryProcess, name: str, which: str
) -> None:
    _, new = moved(source, destination, name)
    made = filter_index(_manifest(new), ("linux/amd64",)).manifest.digest
    route = make_route(source, destination, name, on_moved_tag="fail", platforms=("linux/amd64",))
    report = sync(route, {"v1": new.digest if which == "source" else made}).report
    assert counted(report) == {"copied": 1, "failed": 1}
    assert images.resolve(destination.url, name, "v1") == made


def _manifest(image: Image) -> Manifest:
    return parse_manifest(image.content, image.media_type)


def test_a_tag_that_is_not_selected_fails_and_the_others_are_copied(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    _, new = moved(source, destination, name)
    images.push(source.url, name, "fresh", new)
    route = make_route(source, destination, name, on_moved_tag="keep", tags={"exclude": ("v1",)})
    report = sync(route, {"v1": new.digest, "gone": new.digest}).report
    assert counted(report) == {"copied": 1, "skipped": 1, "failed": 2}
    accepts = f"accept names {new.digest.short}, but the tag is not"
    assert result_of(report, "v1").reason == f"{accepts} mirrored: excluded by 'v1'"
    assert result_of(report, "gone").reason == f"{accepts} among those that this run compares"


def test_a_dry_run_shows_an_accepted_move_and_makes_none(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    old, new = moved(source, destination, name)
    report = sync(make_route(source, destination, name, on_moved_tag="fail"), {"v1": new.digest}, dry_run=True).report
    assert counted(report) == {"would_copy": 1, "failed": 1}
    assert report.totals is not None
    assert (report.totals.move, report.totals.fail) == (1, 1)
    assert images.resolve(destination.url, name, "v1") == old.digest
