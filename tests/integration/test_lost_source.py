"""A source that lost all its tags, while the destination or the last complete look had some."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from registry_sync.errors import RefusedError
from registry_sync.routes.route import Route
from registry_sync.sync.report import RouteReport
from registry_sync.sync.route import sync_route
from registry_sync.sync.scope import RouteScope
from registry_sync.sync.session import open_session
from registry_sync.sync.window import Window
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import LoopbackConnections, counted, make_route, run_route

ADVICE = (
    "nothing was copied or deleted. Was the source emptied or replaced, or are its images hidden from us? If that is "
    "right, write min_tags: 0 for the repository, or exclude it"
)


@pytest.fixture
def in_sync(source: RegistryProcess, destination: RegistryProcess, name: str) -> None:
    for number in range(5):
        for registry in (source, destination):
            images.push(registry.url, name, f"v{number}", images.image([], labels={"tag": f"{name} {number}"}))


def run_after(route: Route, last_selected: int | None) -> RouteReport:
    """A run after one whose complete look selected that many tags."""
    with open_session(route, LoopbackConnections()) as session:
        return sync_route(session, RouteScope(last_selected=last_selected)).report


def listing(name: str, tags: list[str] | None) -> bytes:
    return json.dumps({"name": name, "tags": tags}).encode()


@pytest.mark.usefixtures("in_sync")
class TestTheDestinationHasTags:
    @pytest.mark.parametrize("tags", [[], None])
    def test_a_source_that_lists_no_tags_fails(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str, tags: list[str] | None
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, tags))
        route = make_route(source_wire, destination, name)
        with pytest.raises(RefusedError) as caught:
            run_route(route)
        assert str(caught.value) == (
            f"{source_wire.host}/{name} lists no tags, while {destination.host}/{name} has 5 tags that its rules "
            f"select; {ADVICE}"
        )

    @pytest.mark.parametrize("body", [b"", b"<html>not found</html>", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'])
    def test_a_source_without_a_manifest_for_any_tag_fails(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str, body: bytes
    ) -> None:
        source_wire.answer("HEAD", "/manifests/", 404, body)
        source_wire.answer("GET", "/manifests/", 404, body)
        with pytest.raises(RefusedError) as caught:
            run_route(make_route(source_wire, destination, name))
        assert str(caught.value) == (
            f"{source_wire.host}/{name} lists 5 tags, and has a manifest for none of the selected ones, while "
            f"{destination.host}/{name} has 5 tags that its rules select; {ADVICE}"
        )

    def test_a_repository_that_its_catalog_lists_without_tags_fails(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        """A catalog keeps the names of emptied repositories, whose tags/list answers 404."""
        source_wire.answer("GET", "/tags/list$", 404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
        route = replace(make_route(source_wire, destination, name), is_discovered=True)
        with pytest.raises(RefusedError, match=r"lists no tags, while .* has 5 tags that its rules select; "):
            run_route(route)

    @pytest.mark.parametrize("signatures", [True, False])
    def test_a_source_that_kept_its_signatures_only_fails(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str, signatures: bool
    ) -> None:
        """Such as after a policy of the registry deleted all images, and not the tags that cosign made."""
        kept = f"sha256-{64 * 'a'}.sig"
        source_wire.answer("GET", "/tags/list$", 200, listing(name, [kept]))
        what = "tags" if signatures else "tags of images"
        with pytest.raises(RefusedError, match=f"lists no {what}, while .* has 5 tags that its rules select; "):
            run_route(make_route(source_wire, destination, name, signatures=signatures))

    def test_tags_without_a_chosen_platform_are_not_lost(
        self, source_wire: Interceptor, source: RegistryProcess, destination: RegistryProcess, name: str
    ) -> None:
        images.push(source.url, name, "windows", images.image([], platform="windows/amd64"))
        source_wire.answer("GET", "/tags/list$", 200, listing(name, ["v1", "windows"]))
        for method in ("HEAD", "GET"):
            source_wire.answer(method, "/manifests/v1$", 404, b"")
        report = run_route(make_route(source_wire, destination, name, platforms=("linux/amd64",)))
        assert counted(report) == {"skipped": 2}

    def test_a_dry_run_fails_too(self, source_wire: Interceptor, destination: RegistryProcess, name: str) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        with pytest.raises(RefusedError, match="lists no tags, while "):
            run_route(make_route(source_wire, destination, name), dry_run=True)

    def test_one_tag_that_is_left_is_enough(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, ["v1"]))
        assert counted(run_route(make_route(source_wire, destination, name))) == {"unchanged": 1}

    def test_a_run_over_a_window_does_not_judge(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        window = Window(reason="scheduled", start=datetime(2026, 11, 24, tzinfo=UTC))
        assert counted(run_route(make_route(source_wire, destination, name), window=window)) == {}

    def test_a_repository_that_may_be_empty_passes(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        assert counted(run_route(make_route(source_wire, destination, name, tags={"min_tags": 0}))) == {}

    def test_only_tags_of_the_rules_count(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str
    ) -> None:
        """Another mirror may write to the same repository."""
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        route = make_route(source_wire, destination, name, tags={"include": ("release-*",)})
        assert counted(run_route(route)) == {}


class TestTheLastLookHadTags:
    @pytest.mark.parametrize("status", [200, 403, 404, 405])
    def test_it_counts_where_the_destination_shows_none(
        self, source_wire: Interceptor, wire: Interceptor, name: str, status: int
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        wire.answer("GET", "/tags/list$", status, listing(name, []))
        route = make_route(source_wire, wire, name)
        with pytest.raises(RefusedError) as caught:
            run_after(route, 7)
        assert str(caught.value) == (
            f"{source_wire.host}/{name} lists no tags, while the last complete look selected 7 tags; {ADVICE}"
        )

    @pytest.mark.parametrize("last", [None, 0])
    def test_a_repository_that_was_always_empty_is_a_note(
        self, source_wire: Interceptor, destination: RegistryProcess, name: str, last: int | None
    ) -> None:
        source_wire.answer("GET", "/tags/list$", 200, listing(name, []))
        report = run_after(make_route(source_wire, destination, name), last)
        assert (report.notes, report.selected) == (("the source repository has no tags",), 0)
