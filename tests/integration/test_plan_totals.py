"""Totals of plans: bytes and pulls against what manifests say, requests against what servers received, all mirrors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.sync.report import RouteReport
from registry_sync.sync.report_text import report_table
from registry_sync.sync.sizes import MAX_MANIFESTS
from registry_sync.sync.totals import totals_text
from testkit import images
from testkit.docker_hub_api import DockerHubApi
from testkit.images import Image
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.routes import make_route, run_route
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer

APP, OTHER = images.multi_arch("sized app"), images.multi_arch("sized other", attestations=True)
HELD = images.multi_arch("sized held")
PUSHED_AT = datetime(2026, 11, 1, tzinfo=UTC)
SINGLE = images.image([images.layer({"sized": b"single"})])


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryProcess]:
    """A source with two tags on one image, one of another, one that the destination has under another tag."""
    with RegistryProcess() as registry:
        for tag, image in {"v1": APP, "latest": APP, "v2": OTHER, "again": HELD, "held": HELD, "one": SINGLE}.items():
            images.push(registry.url, "team/app", tag, image)
        yield registry


@pytest.fixture(scope="module")
def backup() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        images.push(registry.url, "team/app", "held", HELD)
        images.push(registry.url, "team/app", "latest", SINGLE)
        yield registry


def blob_bytes(*wanted: Image) -> int:
    """The size of the distinct blobs below some images."""
    return sum({blob.digest: len(blob.content) for image in wanted for blob in image.all_blobs()}.values())


def planned(
    folder: Path, capsys: pytest.CaptureFixture[str], source: Mapping[str, Any], backup: str, *arguments: str
) -> Any:
    """The totals of ``plan --json``."""
    file = folder / "mirrors.yaml"
    registries = {"origin": {"tls": False, **source}, "backup": {"host": backup, "tls": False}}
    mirror = {"source": "origin", "destinations": ["backup"], "repositories": ["team/app"]}
    file.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    assert main(["plan", str(file), "--mirror", "team", "--json", *arguments]) == OK
    return json.loads(capsys.readouterr().out)["totals"]


def manifests(wire: Interceptor) -> int:
    return sum(request.method == "GET" and "/manifests/" in request.path for request in wire.requests())


TAGS = {"copy": 4, "move": 1, "keep": 1, "delete": 0, "skip": 0, "fail": 0}


def test_bytes_are_those_of_each_blob_once_without_what_the_destination_has(
    registry: RegistryProcess, backup: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SINGLE is at the destination as its old ``latest``, and HELD as another tag: neither is sent."""
    with Interceptor(registry.url) as wire, Interceptor(backup.url) as there:
        totals = planned(tmp_path, capsys, {"host": wire.host}, there.host)
        assert totals == {
            **TAGS,
            "images": 2,
            "sized": 2,
            "size_bytes": blob_bytes(APP, OTHER),
            "pulls": 0,
            "unsized_pulls": 0,
            "requests": len(wire.requests()) + len(there.requests()),
            "requested_pulls": 0,
        }
        assert manifests(wire) == 2 + 2 + 4
        assert manifests(there) == 0
        without = planned(tmp_path, capsys, {"host": wire.host}, there.host, "--sizes", "none")
        assert (without["images"], without["sized"], without["size_bytes"]) == (2, 0, 0)
        assert manifests(wire) == 2 + 2 + 4


def test_a_plan_reads_no_manifest_of_docker_hub_unless_it_is_asked_to(
    registry: RegistryProcess, backup: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with DockerHubApi(registry.url) as hub:
        hub.add("team/app")
        for tag, image in {"v1": APP, "latest": APP, "v2": OTHER, "again": HELD, "held": HELD, "one": SINGLE}.items():
            hub.push("team/app", tag, PUSHED_AT, image.digest)
        source = {"host": hub.host, "kind": "docker_hub", "api_url": hub.url}
        auto = planned(tmp_path, capsys, source, backup.host)
        assert (auto["pulls"], auto["unsized_pulls"], auto["requested_pulls"], auto["sized"]) == (2, 2, 0, 0)
        assert manifests(hub) == 0
        sized = planned(tmp_path, capsys, source, backup.host, "--sizes", "all")
        assert (sized["pulls"], sized["unsized_pulls"], sized["sized"]) == (2 + 4, 0, 2)
        assert sized["requested_pulls"] == manifests(hub) == 2 + 2 + 4
        assert sized["size_bytes"] == blob_bytes(APP, OTHER)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_image_whose_manifests_cannot_be_read_has_no_size(
    registry: RegistryProcess,
    backup: RegistryProcess,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    minimal_jitter: None,  # noqa: ARG001
    status: int,
) -> None:
    with Interceptor(registry.url) as wire:
        wire.answer("GET", f"/manifests/{APP.digest}$", status)
        totals = planned(tmp_path, capsys, {"host": wire.host}, backup.host)
    assert (totals["images"], totals["sized"], totals["size_bytes"]) == (2, 1, blob_bytes(OTHER))


def test_no_more_manifests_are_read_than_the_limit_says(
    backup: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    singles = {f"v{number}": images.image([images.layer({"n": b"%d" % number})]) for number in range(MAX_MANIFESTS + 5)}
    by_name = {**singles, **{str(image.digest): image for image in singles.values()}}

    def script(request: ScriptedRequest) -> Reply:
        name = request.target.rpartition("/")[2]
        if "/tags/list" in request.target:
            return Reply(body=json.dumps({"name": "team/app", "tags": sorted(singles)}).encode())
        if name not in by_name:
            return Reply(body=b"{}")
        image = by_name[name]
        headers = {"Content-Type": image.media_type, "Docker-Content-Digest": str(image.digest)}
        return Reply(headers=headers, body=image.content)

    with ScriptedServer(script) as server:
        totals = planned(tmp_path, capsys, {"host": server.host, "requests_per_second": 5000}, backup.host)
        read = sum(request.method == "GET" and "/manifests/" in request.target for request in server.shown)
    assert (read, totals["images"], totals["sized"]) == (MAX_MANIFESTS, MAX_MANIFESTS + 5, MAX_MANIFESTS)


def test_a_dry_run_has_the_totals_of_a_plan(
    registry: RegistryProcess, backup: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run_route(make_route(registry, backup, "team/app"), dry_run=True)
    assert report.totals is not None
    of_plan = planned(tmp_path, capsys, {"host": registry.host}, backup.host)
    assert {**of_plan, "requests": report.traffic.requests} == report.totals.to_json()
    assert RouteReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert totals_text(report.totals) in report_table([report])
    size = f"at most {blob_bytes(APP, OTHER) / 1000:.1f} kB, without attached artifacts"
    assert totals_text(report.totals).splitlines() == [
        "tags      4 to copy, 1 to move, 1 to keep, 0 to delete",
        f"to send   2 images, {size}",
        f"planning  {report.traffic.requests} requests",
    ]


def test_all_mirrors_are_planned_and_one_that_cannot_be_read_hides_none(
    registry: RegistryProcess, backup: RegistryProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The registry of one mirror is down, the Connection of another is missing, and a third has a moved tag."""
    file = tmp_path / "mirrors.yaml"
    gone, locked = "127.0.0.1:1", "127.0.0.1:2"
    registries = {
        "origin": {"host": registry.host, "tls": False},
        "down": {"host": gone, "tls": False},
        "locked": {"host": locked, "tls": False, "connection": "no_such_connection"},
        "backup": {"host": backup.host, "tls": False},
    }
    one: dict[str, Any] = {"destinations": ["backup"], "repositories": ["team/app"]}
    but_latest = {"repository": "team/app", "tags": {"exclude": ["latest"]}}
    only_latest = {"repository": "team/app", "tags": {"names": ["latest"]}}
    mirrors = {
        "first": {"source": "origin", **one, "repositories": [but_latest]},
        "second": {"source": "down", **one, "repositories": [{"namespace": "team"}], "prefix": "b/"},
        "third": {"source": "locked", **one, "prefix": "c/"},
        "fourth": {"source": "origin", **one, "on_moved_tag": "fail", "repositories": [only_latest]},
    }
    file.write_text(json.dumps({"registries": registries, "mirrors": mirrors}))
    assert main(["plan", str(file), "--all", "--sizes", "none"]) == FAILED
    printed, errors = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[1:7] == [
        "mirror  to        routes  copy  move  keep  delete  fail  bytes",
        "──────  ────────  ──────  ────  ────  ────  ──────  ────  ─────",
        "first   → backup       1     4     0     1       0     0      ?",
        "second  → backup       1     0     0     0       0     1      ?",
        "third   → backup       1     0     0     0       0     1      ?",
        "fourth  → backup       1     0     0     0       0     1    0 B",
    ]
    assert lines[8] == "Would fail:"
    refused = f"http://{gone} cannot be reached: [Errno 111] Connection refused"
    assert lines[9] == f"  second: {gone} → {backup.host}: {refused}"
    assert lines[10].startswith(f"  third: {locked} → {backup.host}: registry 'locked': ")
    assert lines[11] == (
        f"  fourth: {registry.host}/team/app:latest → {backup.host}/team/app: changed to {APP.digest.short}, "
        f"the destination has {SINGLE.digest.short}; on_moved_tag is fail"
    )
    assert lines[-2:] == ["", "3 of 4 routes would fail"]
    assert lines[13:-2] == [
        "Total of the 2 of 4 routes that could be read",
        "tags      4 to copy, 0 to move, 1 to keep, 0 to delete",
        "          1 not mirrored, 1 would fail",
        "to send   3 images; plan --sizes all shows how many bytes",
        lines[-3],
    ]
    assert max(len(line) for line in [*lines[1:7], *lines[13:]]) <= 80
    assert errors == ""
    assert main(["plan", str(file), "--all", "--json", "--sizes", "none"]) == FAILED
    document = json.loads(capsys.readouterr().out)
    assert [(route["mirror"], "error" in route) for route in document["routes"]] == [
        ("first", False),
        ("second", True),
        ("third", True),
        ("fourth", False),
    ]
    assert document["totals"]["fail"] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--repository", "x"], "--repository: only with --mirror NAME, not with --all"),
        (
            ["--destination", "x", "--repository", "y"],
            "--repository and --destination: only with --mirror NAME, not with --all",
        ),
    ],
)
def test_a_plan_of_all_mirrors_takes_no_filter_of_one(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert main(["plan", "no-such-file", "--all", *arguments]) == UNUSABLE
    assert capsys.readouterr() == ("", f"{problem}\n")
