"""The judge of docs/performance.md, with tiny work: its tables are complete, and a wrong copy is shown as one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import big, growth, raw
from bench.__main__ import SCENARIOS, block
from bench.contest import Contest, hold
from bench.proxy import PROGRAM
from bench.scope import Scope, Sizes
from bench.storage import Storage, big_images, copy_of, count_right, distinct_images
from bench.tables import Row, contest_table
from bench.tools import IDLE, Task, Tool, ours, raws
from registry_sync.oci.reference import Digest
from testkit.skipping import skip_or_fail

SIZES = Sizes(big_images=1, big_megabytes=1, tags_curve=(1, 21), routes_curve=(1, 2), tags_of_route=2)

OTHER_IMAGE = """
import sys
from testkit import images
images.push(f"http://{sys.argv[1]}", sys.argv[2], sys.argv[3], images.image([]))
"""


@pytest.fixture(autouse=True)
def _proxy() -> None:
    skip_or_fail("" if PROGRAM.exists() else f"{PROGRAM} does not exist; run make servers", "nothing counts requests")


@pytest.fixture(scope="module")
def scope() -> Scope:
    return Scope(ours=ours()[:1], idle=IDLE, peers=[], raws=raws(), sizes=SIZES)


def peer(name: str, commands: Callable[[Task, str, list[str]], list[list[str]]]) -> Tool:
    """A tool that gets the only repository and its tags."""

    def of_task(task: Task) -> list[list[str]]:
        ((repository, tags),) = task.wanted.items()
        return commands(task, repository, list(tags))

    return Tool(name=name, commands=of_task, is_ours=True)


def copy(task: Task, repository: str, tags: list[str]) -> list[str]:
    return raw.command(task.source, task.destination, {repository: tags})


HONEST = peer("honest", lambda task, name, tags: [copy(task, name, tags)])
SKIPS_ONE = peer("skips one", lambda task, name, tags: [copy(task, name, tags[1:])])
CHANGES_ONE = peer(
    "changes one",
    lambda task, name, tags: [
        copy(task, name, tags),
        [sys.executable, "-c", OTHER_IMAGE, task.destination, name, tags[0]],
    ],
)
FAILS = peer(
    "fails", lambda task, name, tags: [copy(task, name, tags[1:]), [sys.executable, "-c", "raise SystemExit(3)"]]
)
SLEEPS = peer("sleeps", lambda *_: [[sys.executable, "-c", ""]])
HANGS = peer("hangs", lambda *_: [[sys.executable, "-c", "import time; time.sleep(600)"]])


def cells(row: Row) -> tuple[str, str, str]:
    """The tool, its exit code, and how much is right."""
    return row[0], row[-2], row[-1]


def test_a_tool_that_leaves_something_out_is_shown_whatever_its_exit_code() -> None:
    with big_images(2, layer_bytes=1000) as source:
        results = hold(Contest(source=source), [*ours(), HONEST, SKIPS_ONE, CHANGES_ONE, FAILS])
        results += hold(Contest(source=source, limit_seconds=0.5), [HANGS])
    table = contest_table("work:", results)
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert [cells(row) for row in table.rows] == [
        *((tool.name, "0", "2/2") for tool in ours()),
        ("honest", "0", "2/2"),
        ("skips one", "0", "**1/2**"),
        ("changes one", "0", "**1/2**"),
        ("fails", "3", "1/2"),
        ("hangs", "stopped", "0/2"),
    ]
    ratios = {row[0]: row[2] for row in table.rows}
    assert ratios["honest"] == "1.0"
    assert {ratios[name] for name in ("skips one", "changes one", "fails", "hangs")} == {"-"}


def test_a_tool_that_looks_at_nothing_is_not_the_best_one() -> None:
    """Where all is in sync already, the tags are right whatever it does."""
    with big_images(2, layer_bytes=1000) as source:
        slept, worked = hold(Contest(source=source, is_in_sync=True), [replace(SLEEPS, is_peer=True), ours()[0]])
    assert (slept.right, slept.is_done, worked.right, worked.is_done) == (2, False, 2, True)
    assert [row[2] for row in contest_table("work:", [slept, worked]).rows] == ["-", "-"]


def test_requests_and_connections_are_counted_by_the_proxies() -> None:
    """For each image: GET and PUT of the manifest, and GET, POST and PUT of two blobs, by a connection to each side."""
    with big_images(2, layer_bytes=1000) as source:
        (result,) = hold(Contest(source=source), [HONEST])
    assert (result.requests, result.connections, result.right) == (16, 4, 2)


def test_a_contest_over_tls_is_trusted_by_its_authority() -> None:
    with big_images(1, layer_bytes=1000) as source:
        (result,) = hold(Contest(source=source, is_tls=True), ours()[:1])
    assert (result.cost.exit_code, result.right, result.cost.output) == (0, 1, "")


@pytest.mark.parametrize("part", ["tag", "revision", "layer link", "layer"])
def test_a_tag_with_a_part_missing_is_not_right(part: str) -> None:
    with distinct_images(1, 2, layer_bytes=1000) as source, copy_of(source) as copied:
        assert count_right(copied, source.wanted) == 2
        lose(copied, source, part)
        assert count_right(copied, source.wanted) == 1


def lose(folder: Path, source: Storage, part: str) -> None:
    """Remove a part of the tag v1, which the tag v0 does not have."""
    root = folder / "docker/registry/v2"
    repository, digest = root / "repositories/bench/app0", source.wanted["bench/app0"]["v1"]
    layer = only_in(root, source, "v1")
    {
        "tag": repository / "_manifests/tags/v1/current/link",
        "revision": repository / f"_manifests/revisions/sha256/{digest.encoded}/link",
        "layer link": repository / f"_layers/sha256/{layer.encoded}/link",
        "layer": root / f"blobs/sha256/{layer.encoded[:2]}/{layer.encoded}/data",
    }[part].unlink()


def only_in(root: Path, source: Storage, tag: str) -> Digest:
    """A layer of a tag's first image that the other tags do not have."""
    layers = {
        name: [layer["digest"] for layer in read(root, read(root, str(digest))["manifests"][0]["digest"])["layers"]]
        for name, digest in source.wanted["bench/app0"].items()
    }
    return Digest.parse(next(layer for layer in layers[tag] if layer not in layers["v0"]))


def read(root: Path, digest: str) -> dict[str, Any]:
    """A manifest from the registry's files."""
    encoded = digest.removeprefix("sha256:")
    document: dict[str, Any] = json.loads((root / f"blobs/sha256/{encoded[:2]}/{encoded}/data").read_bytes())
    return document


def test_scenarios_have_a_row_for_each_tool_and_size(scope: Scope) -> None:
    copies, memory = big.measure(scope).tables
    assert [cells(row) for row in copies.rows] == [(tool.name, "0", "1/1") for tool in (*scope.raws, *scope.ours)]
    assert [row[0] for row in memory.rows] == [tool.name for tool in scope.ours]
    findings = growth.measure(scope)
    assert [[row[::2] for row in table.rows] for table in findings.tables] == [
        [("registry_sync", "3", "43")],
        [("registry_sync", "5", "10")],
    ]
    for drawing in findings.drawings.values():
        lines = ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}polyline")
        assert [len(str(line.get("points")).split()) for line in lines] == [2, 2]


def test_the_page_has_the_tables_of_every_scenario() -> None:
    for name in ("machine", *SCENARIOS):
        assert block(name).read().count("\n| -"), f"run make bench ARGS=--write; {name} has no table"
