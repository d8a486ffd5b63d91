"""Routes from and to GitHub's registry, by its packages API in front of a real registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.registry.endpoint import Credentials
from registry_sync.sync.reading.observation import Observation
from registry_sync.sync.reading.observe import observe
from registry_sync.sync.report import RouteReport
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import Session
from registry_sync.sync.window import Window
from testkit import images
from testkit.ghcr_api import GhcrApi
from testkit.registry import RegistryProcess
from testkit.routes import counted, make_route, run_route, sync_report

LOGIN = Credentials(username="bot", secret="ghp_token")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURLY = Window(reason="scheduled", start=NOON - timedelta(hours=1), end=NOON)
GONE = {"tags": "gone_at_source", "max_percent": 100, "dry_run": False}


def push(registry: RegistryProcess, api: GhcrApi, name: str, tag: str, image: images.Image, *, hours: float) -> None:
    images.push(registry.url, name, tag, image)
    api.push(name, tag, NOON - timedelta(hours=hours), image.digest)


def test_a_window_holds_new_images_and_tags_that_moved_back(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """A tag that moved to an earlier image has that image's time. It is not overlooked."""
    old, new = images.multi_arch("old"), images.multi_arch("new")
    with GhcrApi(source.url) as github:
        push(source, github, name, "v1", old, hours=500)
        push(source, github, name, "v2", new, hours=9)
        push(source, github, name, "latest", new, hours=9)
        route = make_route(github, destination, name, source_kind="ghcr")
        assert counted(run_route(route, source_credentials=LOGIN)) == {"copied": 3}
        push(source, github, name, "latest", old, hours=0.5)
        push(source, github, name, "v3", images.multi_arch("newest"), hours=0.5)
        github.clear_requests()
        report = run_route(route, source_credentials=LOGIN, window=HOURLY)
        listings = [request for request in github.requests() if request.path.startswith("/api/v3/")]
    assert counted(report) == {"copied": 2, "unchanged": 2}
    assert (report.notes, len(listings)) == ((), 2)  # the second time for tags of signatures of what was copied
    assert images.resolve(destination.url, name, "latest") == old.digest


@pytest.mark.parametrize("rules", [{"younger_than": "90d"}, {"newest": 2}, {"older_than": "1h"}])
def test_rules_of_time_judge_images_and_windows_hold_tags_that_moved_back(
    source: RegistryProcess, destination: RegistryProcess, name: str, rules: dict[str, Any]
) -> None:
    """The time of an image from before the window is known to the rules, and is not the time of the tag's push."""
    now, images_there, observed = datetime.now(UTC), {}, list[Observation]()

    def run(session: Session, scope: RouteScope) -> RouteReport:
        observed.append(observe(session, scope))
        return sync_report(session, scope)

    with GhcrApi(source.url) as github:
        for tag, hours in (("v2", 99), ("latest", 9), ("v1", 9999)):
            images_there[tag] = images.multi_arch(f"{name} {tag}")
            images.push(source.url, name, tag, images_there[tag])
            github.push(name, tag, now - timedelta(hours=hours), images_there[tag].digest)
        route = make_route(github, destination, name, source_kind="ghcr", tags=rules)
        selected = 3 if "older_than" in rules else 2
        assert counted(run_route(route, source_credentials=LOGIN))["copied"] == selected
        images.push(source.url, name, "latest", images_there["v2"])
        github.push(name, "latest", now, images_there["v2"].digest)
        window = Window(reason="scheduled", start=now - timedelta(hours=1), end=now)
        report = run_route(route, source_credentials=LOGIN, window=window, run=run)
    assert (report.is_failed, report.counts["copied"]) == (False, 1)
    assert ("latest" in observed[0].pushed_at) == ("older_than" in rules)  # it was not pushed 99 hours ago
    assert images.resolve(destination.url, name, "latest") == images_there["v2"].digest


def test_a_window_without_a_push_has_no_note(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    with GhcrApi(source.url) as github:
        push(source, github, name, "v1", images.multi_arch("old"), hours=500)
        route = make_route(github, destination, name, source_kind="ghcr")
        run_route(route, source_credentials=LOGIN)
        report = run_route(route, source_credentials=LOGIN, window=HOURLY)
    assert (counted(report), report.notes) == ({"unchanged": 1}, ())


@pytest.mark.parametrize("login", [None, Credentials(username="bot", secret="github_pat_fine_grained")])
def test_without_the_api_tags_are_compared_by_head(
    source: RegistryProcess,
    destination: RegistryProcess,
    name: str,
    login: Credentials | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with GhcrApi(source.url) as github:
        push(source, github, name, "v1", images.multi_arch("old"), hours=500)
        route = make_route(github, destination, name, source_kind="ghcr")
        report = run_route(route, source_credentials=login, window=HOURLY)
        host = github.host
    assert counted(report) == {"copied": 1}
    window = f"{host} reports no push times of these tags to our credentials, so all are compared, whatever the window"
    assert window in report.notes
    assert ("classic personal access token" in caplog.text) == (login is not None)
    refusals = [note for note in report.notes if note.startswith(f"tags of {host}/{name} are listed without digests")]
    assert len(refusals) == (login is not None)


def test_pruning_deletes_images_whose_tags_are_all_gone(
    source: RegistryProcess, destination: RegistryProcess, name: str
) -> None:
    """GitHub deletes an image with all its tags: one that shares its image with a tag that stays is kept."""
    owner, _, package = name.partition("/")
    kept = images.multi_arch(f"{name} kept")
    images.push(source.url, name, "v1", kept)
    with GhcrApi(destination.url) as github:
        push(destination, github, name, "v1", kept, hours=9)
        push(destination, github, name, "stable", kept, hours=9)
        push(destination, github, name, "v0", images.multi_arch(f"{name} gone"), hours=99)
        route = make_route(source, github, name, destination_kind="ghcr", prune=GONE)
        first = run_route(route, destination_credentials=LOGIN)
        second = run_route(route, destination_credentials=LOGIN, planned=first.planned_deletions)
        assert counted(second) == {"unchanged": 1, "deleted": 1, "skipped": 1}
        assert github.tags(name) == {"v1", "stable"}
        assert [request.path for request in github.requests() if request.method == "DELETE"] == [
            f"/api/v3/orgs/{owner}/packages/container/{package}/versions/1001"
        ]
        host = github.host
    assert second.notes == (
        (
            "stable is not deleted: v1 has the same image, and this registry deletes images only with all their tags "
            f"(GitHub deletes images with all their tags, and not {host}/{name}:stable alone)"
        ),
    )
