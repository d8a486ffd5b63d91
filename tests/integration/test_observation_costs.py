"""Requests and connections that it takes to see that a route is in sync; and both registries read at the same time."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from registry_sync.errors import RateLimited
from registry_sync.sync.reading.tag_states import SAMPLE
from registry_sync.sync.window import ALL_TAGS, Window
from testkit import images
from testkit.interceptor import Interceptor
from testkit.memory_source import MemorySource
from testkit.registry import RegistryProcess
from testkit.routes import FULL_CHECK, asked, counted, make_route, run_route
from testkit.waiting import PATIENCE_SECONDS

KEPT = "tags are at the destination and were not compared, because on_moved_tag is keep; a full check compares them"
IMAGE = images.image([])
UNSIGNED: dict[str, Any] = {"signatures": False}


def fill(registry: RegistryProcess, name: str, count: int, text: str = "") -> list[str]:
    tags = [f"v{number:02}" for number in range(count)]
    for tag in tags:
        images.push(registry.url, name, tag, images.image([], labels={"of": f"{name} {text}"}))
    return tags


def heads(wire: Interceptor) -> int:
    return sum(request.method == "HEAD" for request in wire.requests())


@pytest.mark.parametrize(("tags", "connections"), [(1, 1), (11, 1), (21, 2), (99, 8)])
def test_a_route_opens_as_many_connections_as_its_tags_need(tags: int, connections: int) -> None:
    with MemorySource() as here, MemorySource() as there:
        for number in range(tags):
            for server in (here, there):
                server.add(IMAGE, f"v{number:03}")
        assert counted(run_route(make_route(here, there, "team/app"))) == {"unchanged": tags}
        assert (len(here.shown), len(there.shown)) == (1 + tags, tags)
        assert here.connections <= connections
        assert there.connections <= connections


class TestBothAtOnce:
    def test_the_destination_is_read_while_the_source_answers(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
    ) -> None:
        """No HEAD of the source is answered before the destination gets one. One after the other would wait forever."""
        is_read, met = threading.Event(), list[bool]()
        for registry in (source, destination):
            fill(registry, name, 3)
        wire.after("HEAD", "/manifests/", lambda _: is_read.set())
        source_wire.after("HEAD", "/manifests/", lambda _: met.append(is_read.wait(PATIENCE_SECONDS)))
        assert counted(run_route(make_route(source_wire, wire, name))) == {"unchanged": 3}
        assert met == [True, True, True]

    @pytest.mark.parametrize("is_source", [True, False])
    def test_a_registry_that_fails_ends_the_reading_of_the_other(
        self,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
        is_source: bool,
    ) -> None:
        """The other never answers. Of its 3,000 tags, no more are asked for than one thread each has."""
        tags = [f"v{number:04}" for number in range(3000)]
        source_wire.answer("GET", "/tags/list$", 200, json.dumps({"name": name, "tags": tags}).encode())
        failing, silent = (source_wire, wire) if is_source else (wire, source_wire)
        reached = threading.Event()
        silent.after("HEAD", "/manifests/", lambda _: reached.set())
        silent.hang("HEAD", "/manifests/")
        failing.answer("HEAD", "/manifests/", 429, headers={"Retry-After": "3600"})
        with pytest.raises(RateLimited) as caught:
            run_route(make_route(source_wire, wire, name))
        assert str(caught.value).startswith(f"HEAD {failing.url}/v2/{name}/manifests/v")
        assert str(caught.value).endswith(" answered 429")
        assert heads(silent) <= SAMPLE

    def test_tags_that_the_source_lacks_are_not_counted_as_hidden(
        self, source: RegistryProcess, source_wire: Interceptor, wire: Interceptor, name: str
    ) -> None:
        """The destination denies them, and it was asked for them before the source had answered."""
        fill(source, name, 2)
        source_wire.answer(
            "GET", "/tags/list$", 200, json.dumps({"name": name, "tags": ["gone", "v00", "v01"]}).encode()
        )
        for method in ("HEAD", "GET"):
            wire.answer(method, "/manifests/gone$", 403)
        report = run_route(make_route(source_wire, wire, name, **UNSIGNED))
        assert counted(report) == {"copied": 2, "skipped": 1}
        assert report.notes == ()


class TestKeptTags:
    """``on_moved_tag: keep``: a scheduled run between two full checks compares names, every other one digests."""

    def test_names_are_enough(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
    ) -> None:
        for registry in (source, destination):
            fill(registry, name, 3)
        report = run_route(make_route(source_wire, wire, name, on_moved_tag="keep"), compares_names=True)
        assert counted(report) == {"unchanged": 3}
        assert report.notes == (f"3 {KEPT}",)
        assert asked(source_wire, name) == asked(wire, name) == ["GET tags/list 200"]

    def test_only_missing_tags_are_read_and_copied(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
    ) -> None:
        fill(destination, name, 2, "of old")
        fill(source, name, 3)
        route = make_route(source_wire, wire, name, on_moved_tag="keep", **UNSIGNED)
        report = run_route(route, compares_names=True)
        assert counted(report) == {"copied": 1, "unchanged": 2}
        assert report.notes == (f"2 {KEPT}",)
        read = {each for each in asked(source_wire, name) if each.startswith("HEAD manifests/v")}
        assert read == {"HEAD manifests/v02 200"}
        assert {each for each in asked(wire, name) if each.startswith("HEAD manifests/v0")} == {
            "HEAD manifests/v02 200",
            "HEAD manifests/v02 404",
        }
        assert images.resolve(destination.url, name, "v02") == images.resolve(source.url, name, "v02")

    @pytest.mark.parametrize("window", [ALL_TAGS, FULL_CHECK])
    def test_other_runs_compare_digests(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
        window: Window,
    ) -> None:
        fill(destination, name, 3, "of old")
        fill(source, name, 3)
        route = make_route(source_wire, wire, name, on_moved_tag="keep", **UNSIGNED)
        report = run_route(route, window=window)
        assert counted(report) == {"skipped": 3}
        assert (heads(source_wire), heads(wire)) == (3, 3)

    @pytest.mark.parametrize(
        "settings",
        [
            {"on_moved_tag": "fail"},
            {"on_moved_tag": "follow"},
            {"on_moved_tag": "keep", "platforms": ("linux/amd64",)},
            {"on_moved_tag": "keep", "policy": "ANY"},
            {"on_moved_tag": "keep", "prune": {"tags": "not_selected"}},
            {"on_moved_tag": "keep", "tags": {"names": tuple(f"v{number:02}" for number in range(3))}},
        ],
    )
    def test_other_routes_compare_digests(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
        tmp_path: Path,
        settings: dict[str, Any],
    ) -> None:
        if "policy" in settings:
            settings = {**settings, "policy": tmp_path / "policy.json"}
            settings["policy"].write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        for registry in (source, destination):
            fill(registry, name, 3)
        report = run_route(make_route(source_wire, wire, name, **settings), compares_names=True)
        assert report.counts["failed"] == 0
        assert not [note for note in report.notes if "not compared" in note]
        assert heads(source_wire) >= 3

    def test_each_tag_goes_by_its_own_policy(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        source_wire: Interceptor,
        wire: Interceptor,
        name: str,
    ) -> None:
        for registry in (source, destination):
            fill(registry, name, 3)
        route = make_route(source_wire, wire, name, on_moved_tag={"v02": "follow", "*": "keep"})
        report = run_route(route, compares_names=True)
        assert counted(report) == {"unchanged": 3}
        assert report.notes == (f"2 {KEPT}",)
        assert asked(source_wire, name) == asked(wire, name) == ["GET tags/list 200", "HEAD manifests/v02 200"]

    @pytest.mark.parametrize("status", [401, 403, 404, 405])
    def test_a_destination_that_lists_nothing_proves_nothing(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        wire: Interceptor,
        name: str,
        status: int,
    ) -> None:
        for registry in (source, destination):
            fill(registry, name, 3)
        wire.answer("GET", "/tags/list$", status)
        report = run_route(make_route(source, wire, name, on_moved_tag="keep"), compares_names=True)
        assert counted(report) == {"unchanged": 3}
        assert report.notes == ()
        assert heads(wire) == 3

    def test_names_that_differ_in_case_only_are_compared(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        for registry in (source, destination):
            fill(registry, name, 3)
            images.push(registry.url, name, "V01", images.image([], labels={"of": "V01"}))
        report = run_route(make_route(source, wire, name, on_moved_tag="keep"), compares_names=True)
        assert counted(report) == {"unchanged": 4}
        assert heads(wire) == 4
