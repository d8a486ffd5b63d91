"""Tag rules, windows and names in whole routes: Quay's API in front of a registry, a real destination and skopeo."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from registry_sync.config.entries.mirror import MirrorEntry
from registry_sync.config.entries.rules import NamespaceEntry, RepositoryEntry
from registry_sync.config.registry import Registry
from registry_sync.config.settings import RouteSettings
from registry_sync.errors import ConfigurationError, RefusedError
from registry_sync.oci.reference import Digest, Repository
from registry_sync.registry.endpoint import Credentials, Endpoint
from registry_sync.registry.open import open_client
from registry_sync.routes.discovery import expand_routes
from registry_sync.routes.route import Route
from registry_sync.sync.reading.source import repository_lister
from registry_sync.sync.report import RouteReport
from registry_sync.sync.window import ALL_TAGS, Window
from registry_sync.tags.backup_names import parse_backup_tag
from registry_sync.tags.rules import TagRule
from testkit import images
from testkit.docker_hub_api import DockerHubApi
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess
from testkit.routes import run_route
from testkit.settings import tag_rule, tag_rules

NOW = datetime.now(UTC).replace(microsecond=0)
LAST_HOUR = Window(reason="test", start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1))


@pytest.fixture(scope="module")
def behind() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


@pytest.fixture(scope="module")
def quay(behind: RegistryProcess) -> Iterator[QuayApi]:
    with QuayApi(behind.url) as api:
        yield api


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A Quay, a destination, and a repository in both for one test."""

    quay: QuayApi
    behind: RegistryProcess
    destination: RegistryProcess
    name: str

    def push(self, tag: str, *, hours_ago: float, name: str = "") -> Digest:
        """Push a small image at the source. Only Quay's API shows its push time."""
        content = images.multi_arch(f"{name or self.name}:{tag}:{hours_ago}")
        images.push(self.behind.url, name or self.name, tag, content)
        self.quay.push(name or self.name, tag, NOW - timedelta(hours=hours_ago))
        return content.digest

    def route(self, *, source: str | None = None, there: str | None = None, **rules: Any) -> Route:
        return Route(
            mirror="m",
            source=Registry(name="quay", host=source or self.quay.host, kind="quay", tls=False),
            destination=Registry(name="there", host=self.destination.host, tls=False),
            source_repository=Repository(source or self.quay.host, self.name),
            destination_repository=Repository(self.destination.host, there or self.name),
            settings=RouteSettings(tags=tag_rules(**rules)),
        )

    def run(self, window: Window = ALL_TAGS, *, only: TagRule = TagRule(), **rules: Any) -> RouteReport:
        return run_route(self.route(**rules), window=window, only_tags=only)

    def there(self) -> set[str]:
        """Tags of the destination."""
        client = open_client("distribution", Endpoint(host=self.destination.host, tls=False), max_connections=1)
        with closing(client):
            return {tag.name for tag in client.list_tags(Repository(self.destination.host, self.name))}

    def pages(self) -> int:
        return len([request for request in self.quay.requests() if request.path.endswith("/tag/")])


@pytest.fixture
def stack(
    quay: QuayApi, behind: RegistryProcess, destination: RegistryProcess, request: pytest.FixtureRequest
) -> Stack:
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return Stack(quay=quay, behind=behind, destination=destination, name=f"team/{words}")


def copied(report: RouteReport) -> list[str]:
    return [tag.tag for tag in report.tags if tag.outcome == "copied"]


VERSIONS = ("v1.0.0", "v1.2.0", "v1.10.0", "v1.11.0-rc.1", "v2.0.0", "latest")


def test_newest_selects_versions_and_reports_the_others(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    for index, tag in enumerate(VERSIONS):
        stack.push(tag, hours_ago=100 - index)
    caplog.set_level(logging.INFO)
    report = stack.run(include=("v*",), semver="^1", newest=2)
    assert copied(report) == ["v1.10.0", "v1.2.0"]
    assert stack.there() == {"v1.10.0", "v1.2.0"}
    attrition = "listed 6 → include 5 → semver 3 → newest 2"
    assert report.notes == (attrition,)
    assert f"{stack.quay.host}/{stack.name}: {attrition}; everything (all tags)" in caplog.messages
    assert "  v1.0.0: not among the newest 2 versions" in caplog.messages


def test_a_window_says_what_is_compared_and_not_what_is_chosen(stack: Stack) -> None:
    """The newest two by name are c and d. Only d is in the window; b is in it too, but not chosen."""
    for tag, hours_ago in (("a", 50), ("b", 0.2), ("c", 30), ("d", 0.5)):
        stack.push(tag, hours_ago=hours_ago)
    report = stack.run(LAST_HOUR, newest=2, newest_by="name")
    assert copied(report) == ["d"]
    assert report.notes == ("listed 4 → newest 2 → in the window 1",)
    assert copied(stack.run(newest=2, newest_by="name")) == ["c"]
    assert stack.there() == {"c", "d"}


def test_rules_that_need_all_tags_read_them_all_and_others_do_not(stack: Stack) -> None:
    """Quay lists 100 tags a page, newest first."""
    digest = stack.push("v0.0.0", hours_ago=500)
    for index in range(250):
        stack.quay.push(stack.name, f"v1.{index}.0", NOW - timedelta(hours=10 + index), digest)
    stack.quay.push(stack.name, "v2.0.0", NOW - timedelta(minutes=5), digest)
    for rules, pages in (({"semver": "*"}, 1), ({"semver": "*", "newest": 9}, 3), ({"min_tags": 200}, 3)):
        stack.quay.clear_requests()
        stack.run(LAST_HOUR, **rules, only=tag_rule(include=("nothing",)))
        assert stack.pages() == pages, rules


def test_a_tag_that_grows_old_enough_is_in_the_window_in_which_it_does(stack: Stack) -> None:
    for tag, hours_ago in (("long-ago", 100), ("just-now-old", 24.5), ("young", 0.5)):
        stack.push(tag, hours_ago=hours_ago)
    assert copied(stack.run(LAST_HOUR, older_than="24h")) == ["just-now-old"]
    assert copied(stack.run(older_than="24h")) == ["long-ago"]


def test_too_few_tags_fail_the_route_and_nothing_is_copied(stack: Stack) -> None:
    stack.push("v1.0.0", hours_ago=2)
    with pytest.raises(RefusedError) as caught:
        stack.run(semver=">=1", min_tags=2)
    assert str(caught.value) == (
        f"only 1 tags of {stack.quay.host}/{stack.name} are selected, and min_tags is 2 (listed 1 → semver 1); "
        "nothing was copied. Does the source list all its tags?"
    )
    with pytest.raises(RefusedError):
        stack.run(LAST_HOUR, semver=">=1", min_tags=2)
    assert images.resolve(stack.destination.url, stack.name, "v1.0.0") is None


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"include": ("w*",)}, "(listed 3 → include 0), for example not 'v1.1.0': matches none of 'w*'"),
        ({"semver": ">=2"}, "(listed 3 → semver 0), for example not 'v1.1.0': not in semver '>=2'"),
        ({"exclude": ("*",)}, "(listed 3 → exclude 0), for example not 'v1.1.0': excluded by '*'"),
        (
            {"include": ("/^v1/",)},
            "(listed 3 → include 0), for example not 'v1.1.0': matches none of '/^v1/'",
        ),
    ],
)
def test_rules_that_select_none_of_the_tags_fail_the_route(stack: Stack, rules: Any, problem: str) -> None:
    for tag in ("v1.0.0", "v1.1.0", "latest"):
        stack.push(tag, hours_ago=2)
    with pytest.raises(ConfigurationError) as caught:
        stack.run(**rules)
    hint = (
        "; include '/^v1/' matches no tag as a whole, but is found within 2, such as 'v1.0.0'; patterns match "
        "whole tags: "
        "write '/^v1.*/'"
    )
    assert str(caught.value) == (
        f"tags: selects none of the 3 tags of {stack.quay.host}/{stack.name} {problem}; correct it, or write "
        f"min_tags: 0 "
        f"if that is right{hint if '/^v1/' in problem else ''}"
    )
    assert stack.run(LAST_HOUR, **rules).counts["copied"] == 0
    assert stack.run(**rules, min_tags=0).notes[-1] == "no tag is mirrored, all 3 were skipped"


@pytest.mark.parametrize("is_discovered", [False, True])
def test_a_backup_tag_with_the_form_of_all_tags_fails_the_route(stack: Stack, is_discovered: bool) -> None:
    for tag in ("nightly-2026-01-31-120000", "nightly-2026-02-01-120000"):
        stack.push(tag, hours_ago=2)
    backup_tag = parse_backup_tag("{{ tag }}-{{ date }}-{{ time }}")
    route = replace(stack.route(), is_discovered=is_discovered)
    problem = (
        f"all 2 tags of {stack.quay.host}/{stack.name} are left out, such as 'nightly-2026-01-31-120000', because they "
        "have the form of backup_tag '{{ tag }}-{{ date }}-{{ time }}'; add a distinctive word to it, such as -was-, "
        "or write min_tags: 0 if that is right"
    )
    route = replace(route, settings=replace(route.settings, backup_tag=backup_tag))
    if is_discovered:
        report = run_route(route)
        assert (report.selects_none, report.notes[0]) == (True, problem)
        return
    with pytest.raises(ConfigurationError) as caught:
        run_route(route)
    assert str(caught.value) == problem
    allowed = replace(route, settings=replace(route.settings, tags=tag_rules(min_tags=0)))
    assert run_route(allowed).notes == ("no tag is mirrored, all 2 were skipped",)


def test_rules_that_select_none_of_a_discovered_repository_are_a_warning(stack: Stack) -> None:
    stack.push("latest", hours_ago=2)
    report = run_route(replace(stack.route(semver=">=1"), is_discovered=True))
    warning = (
        f"tags: selects none of the 1 tags of {stack.quay.host}/{stack.name} (listed 1 → semver 0), for example not "
        "'latest': not a version, which semver '>=1' requires; correct it, or write min_tags: 0 if that is right"
    )
    assert (report.is_failed, report.selects_none) == (False, True)
    assert report.notes == ("listed 1 → semver 0", warning, "no tag is mirrored, all 1 were skipped")
    assert RouteReport.from_json(report.to_json()) == report
    with pytest.raises(RefusedError):
        run_route(replace(stack.route(semver=">=1", min_tags=1), is_discovered=True))
    report = run_route(replace(stack.route(semver=">=1", min_tags=0), is_discovered=True))
    assert (report.is_failed, report.selects_none) == (False, False)


def test_several_rules_and_versions_within_tags(stack: Stack) -> None:
    for tag in ("stable-2.14.10", "stable-2.13.0", "edge-24.1.1", "latest"):
        stack.push(tag, hours_ago=2)
    rules = tag_rules({"version": "stable-(.+)", "semver": ">= 2.13.4"}, {"names": ("latest",)})
    report = run_route(replace(stack.route(), settings=RouteSettings(tags=rules)))
    assert copied(report) == ["latest", "stable-2.14.10"]
    assert report.notes == ("rule 1: listed 4 → semver 1; rule 2: listed 4 → names 1; together 2",)


def test_tags_that_docker_hub_has_no_push_time_for_are_old(stack: Stack) -> None:
    """Hub lost the times of tags that are older than eight years: grafana/grafana has eighty of them."""
    content = images.multi_arch(stack.name)
    images.push(stack.behind.url, stack.name, "v3", content)
    with DockerHubApi(stack.behind.url) as hub:
        for tag, pushed_at in (("v1", None), ("v2", None), ("v3", NOW)):
            hub.push(stack.name, tag, pushed_at, content.digest)
        source = Registry(name="hub", host=hub.host, kind="docker_hub", api_url=hub.url, tls=False)
        for rules in ({"newest": 1}, {"younger_than": "90d"}):
            route = replace(stack.route(**rules), source=source, source_repository=Repository(hub.host, stack.name))
            report = run_route(route, dry_run=True)
            assert (report.counts["would_copy"], report.counts["skipped"], report.is_failed) == (1, 2, False)
            assert report.notes[1] == "2 tags without a push time count as older than all others (v1, v2)"


def test_names_are_added_to_the_rules_and_a_missing_one_fails(stack: Stack) -> None:
    for tag in ("latest", "v1.0.0", "v2.0.0"):
        stack.push(tag, hours_ago=2)
    report = stack.run(names=("latest", "stable"), semver="2.x")
    assert copied(report) == ["latest", "v2.0.0"]
    assert [(failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags] == [
        ("stable", "configuration", "names lists it, but the source has no such tag; correct the name, or remove it")
    ]
    assert report.notes == ("listed 3 → semver 1 → with names 2",)


def test_a_pinned_tag_stays_at_its_digest_although_it_moves_at_the_source(stack: Stack) -> None:
    pinned = stack.push("v1", hours_ago=9)
    moved = stack.push("v1", hours_ago=1)
    assert pinned != moved
    assert copied(stack.run(names=(f"v1@{pinned}",))) == ["v1"]
    assert images.resolve(stack.destination.url, stack.name, "v1") == pinned
    stack.behind.clear_requests()
    assert stack.run(names=(f"v1@{pinned}",)).counts["unchanged"] == 1
    assert not [request for request in stack.behind.requests() if "/manifests/" in request.path]


def test_a_pin_to_a_missing_digest_fails(stack: Stack) -> None:
    stack.push("v1", hours_ago=9)
    report = stack.run(names=(f"v1@{Digest.of(b'gone')}",))
    assert [(failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags] == [
        ("v1", "configuration", "the source no longer has the digest that names pins it to; pin another")
    ]


@pytest.mark.parametrize("has_moved", [True, False])
def test_a_pin_to_an_incomplete_image_is_reported(stack: Stack, *, has_moved: bool) -> None:
    """The pin fails whatever the tag names now, because neither a retry nor waiting would help."""
    pinned = images.multi_arch(f"{stack.name} pinned")
    images.push(stack.behind.url, stack.name, "v1", pinned)
    images.delete_manifest(stack.behind.url, stack.name, pinned.children[1].digest)
    stack.behind.forget_tag(stack.name, "v1")
    stack.push("v1" if has_moved else "other", hours_ago=1)
    report = stack.run(names=(f"v1@{pinned.digest}",))
    ((tag, error_class, reason),) = [
        (failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags
    ]
    assert (tag, error_class) == ("v1", "refused")
    here = f"source {stack.quay.host}/{stack.name}"
    assert reason.startswith(f"the image is incomplete at the source: {here} does not have it (skopeo: ")


def test_a_pin_whose_digest_vanishes_during_its_copy_fails(stack: Stack) -> None:
    pinned = images.multi_arch(f"{stack.name} pinned")
    images.push(stack.behind.url, stack.name, "v1", pinned)
    moved = stack.push("v1", hours_ago=1)

    def delete(_: Request) -> None:
        images.delete_manifest(stack.behind.url, stack.name, pinned.digest)

    with Interceptor(stack.quay.url) as here:
        here.after("HEAD", f"/manifests/{pinned.digest}$", delete, times=1)
        report = run_route(stack.route(source=here.host, names=(f"v1@{pinned.digest}",)))
    assert [(failed_tag.tag, failed_tag.error_class, failed_tag.reason) for failed_tag in report.failed_tags] == [
        ("v1", "configuration", "the source no longer has the digest that names pins it to; pin another")
    ]
    assert images.resolve(stack.destination.url, stack.name, "v1") is None
    assert moved != pinned.digest


def test_a_source_without_push_times_is_refused_for_age_rules(stack: Stack) -> None:
    images.push(stack.behind.url, stack.name, "v1", images.multi_arch("v1"))
    route = stack.route(older_than="1d")
    source = Registry(name="plain", host=stack.behind.host, tls=False)
    plain = Route(
        mirror="m",
        source=source,
        destination=route.destination,
        source_repository=Repository(stack.behind.host, stack.name),
        destination_repository=route.destination_repository,
        settings=route.settings,
    )
    with pytest.raises(ConfigurationError) as caught:
        run_route(plain)
    assert str(caught.value) == "older_than needs push times, which the source does not list; remove it here"


def test_listed_and_discovered_repositories_are_renamed(stack: Stack) -> None:
    namespace = stack.name.removeprefix("team/")
    for name in ("one", "two-app", "three-app"):
        stack.push("v1", hours_ago=1, name=f"{namespace}/{name}")
    rules = (
        RepositoryEntry(repository=f"{namespace}/one", rename="{{ destination }}/{{ name }}-of-{{ namespace }}"),
        NamespaceEntry.model_validate(
            {"namespace": namespace, "include": ("/t.*-app/",), "strip_prefix": f"{namespace}/"}
        ),
    )
    entry = MirrorEntry(source="quay", destinations=("there",), repositories=rules, prefix="copies/")
    template = stack.route()
    with closing(open_client("quay", Endpoint(host=stack.quay.host, tls=False), max_connections=1)) as client:
        found = expand_routes(entry.parse("m"), template.source, template.destination, repository_lister(client)).routes
    names = [each.route.destination_repository.name for each in found]
    assert names == [f"there/one-of-{namespace}", "copies/three-app", "copies/two-app"]
    for each in found:
        assert copied(run_route(each.route)) == ["v1"]
        assert images.resolve(stack.destination.url, each.route.destination_repository.name, "v1")


def test_discovered_repositories_with_one_destination_name_are_refused(stack: Stack) -> None:
    namespace = stack.name.removeprefix("team/")
    for name in ("app", "my-app", "other"):
        stack.push("v1", hours_ago=1, name=f"{namespace}/{name}")
    rule = NamespaceEntry(namespace=namespace, rename="copies/{{ name | replace('my-', '') }}")
    entry = MirrorEntry(source="quay", destinations=("there",), repositories=(rule,))
    template = stack.route()
    with closing(open_client("quay", Endpoint(host=stack.quay.host, tls=False), max_connections=1)) as client:
        found = expand_routes(entry.parse("m"), template.source, template.destination, repository_lister(client))
    here, there = f"{stack.quay.host}/{namespace}", f"{stack.destination.host}/copies/app"
    assert [route.route.source_repository.name for route in found.routes] == [f"{namespace}/other"]
    assert {failure.name: str(failure.error) for failure in found.failures} == {
        f"{namespace}/{one}": (
            f"{here}/{one} and {here}/{two} would both be mirrored to {there}, so none of them is; exclude or rename "
            "one"
        )
        for one, two in (("app", "my-app"), ("my-app", "app"))
    }


MEMBER = Credentials(username="acme", secret="dckr_pat_secret")


def test_a_repository_is_created_before_the_first_push(stack: Stack) -> None:
    stack.push("v1", hours_ago=1)
    with DockerHubApi(stack.destination.url, users={MEMBER.username: MEMBER.secret}) as hub:
        route = stack.route()
        there = Registry(
            name="hub", host=hub.host, kind="docker_hub", api_url=hub.url, tls=False, create_repository=True
        )
        created = Route(
            mirror="m",
            source=route.source,
            destination=there,
            source_repository=route.source_repository,
            destination_repository=Repository(hub.host, stack.name),
            settings=route.settings,
        )
        assert copied(run_route(created, destination_credentials=MEMBER)) == ["v1"]
        calls = [
            (request.method, request.path, request.status)
            for request in hub.requests()
            if "/repositories" in request.path
        ]
        namespace, _, name = stack.name.partition("/")
        path = f"/v2/namespaces/{namespace}/repositories"
        assert calls == [("GET", f"{path}/{name}", 404), ("POST", path, 201)]
        hub.clear_requests()
        assert run_route(created, destination_credentials=MEMBER).counts["unchanged"] == 1
        assert [
            request
            for request in hub.requests()
            if request.path.startswith(path) and not request.path.endswith("/tags")
        ] == []
