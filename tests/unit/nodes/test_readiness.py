"""Readiness without registries: runtime failover, the report, values that cross XCom, and the choice of blobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.airflow.dags.readiness import parameters
from registry_sync.airflow.operators.readiness import add_unchecked, error_of_results
from registry_sync.config.entries.node_pools import NodePoolEntry
from registry_sync.config.events import EventRules
from registry_sync.config.node_pools import NodePool
from registry_sync.config.registry import Registry
from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.nodes.readiness.check import Limits
from registry_sync.nodes.readiness.known_damage import KnownDamage, fault_damaged
from registry_sync.nodes.readiness.model import EndpointCheck, Expected, Fault, ImageReadiness
from registry_sync.nodes.readiness.report import ReadinessReport, fault_conflicting
from registry_sync.nodes.runtime_failover import (
    Behaviour,
    Failover,
    PullEndpoint,
    Verdict,
    behaviour_of,
    gets_image,
    judge,
    start_table,
)
from registry_sync.oci.reference import Digest, Repository
from registry_sync.oci.sample import choose_reads
from registry_sync.tags.overwrite_policy import parse_policies
from testkit.project import PROJECT

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
MIRROR, HUB = PullEndpoint(registry="acr"), PullEndpoint(registry="hub")
BYTES_ONLY = PullEndpoint(registry="acr", resolves=False)
FAULTS: tuple[Fault, ...] = get_args(Fault)


def failover(*endpoints: PullEndpoint, behaviour: Behaviour = "containerd") -> Failover:
    return Failover(pool="p", behaviour=behaviour, endpoints=endpoints)


def pool(name: str = "outside", *, mirrors: tuple[Any, ...] = ("acr",), **fields: Any) -> NodePool:
    return NodePoolEntry.model_validate({"registry": "hub", "mirrors": mirrors, **fields}).parse(name)


def result(registry: str, fault: Fault | None = None, *, pool: str = "outside", **fields: Any) -> ImageReadiness:
    return ImageReadiness(pool=pool, image=fields.pop("image", "team/app:v1"), registry=registry, fault=fault, **fields)


WITH_A_FAULTY_MIRROR: Mapping[Fault, tuple[str, str, str, str]] = {
    # fault         docker, containerd, crio, unknown: does a node get the image that the hub has?
    "absent": ("yes", "yes", "yes", "yes"),
    "incomplete": ("yes", "yes", "no", "no"),
    "unreadable": ("yes", "no", "no", "no"),
    "damaged": ("yes", "no", "no", "no"),
    "wrong": ("no", "no", "no", "no"),
    "slow": ("no", "no", "no", "no"),
    "silent": ("no", "no", "no", "no"),  # with the default delay, which is too long
    "handshake": ("no", "no", "no", "no"),  # with containerd's delay, which is too long
    "unchecked": ("no", "no", "no", "no"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_a_faulty_mirror_is_survived_as_the_runtime_falls_back(fault: Fault, behaviour: Behaviour) -> None:
    expected = dict(zip(get_args(Behaviour), WITH_A_FAULTY_MIRROR[fault], strict=True))[behaviour]
    asked = failover(MIRROR, HUB, behaviour=behaviour)
    assert gets_image(asked, {"acr": fault, "hub": None}, None) is (expected == "yes")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_a_ready_mirror_is_enough(fault: Fault, behaviour: Behaviour) -> None:
    assert gets_image(failover(MIRROR, HUB, behaviour=behaviour), {"acr": None, "hub": fault}, None)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_without_mirrors_the_registry_decides(fault: Fault, behaviour: Behaviour) -> None:
    asked = failover(HUB, behaviour=behaviour)
    assert gets_image(asked, {"hub": None}, None)
    assert not gets_image(asked, {"hub": fault}, None)
    assert not gets_image(asked, {"hub": None}, "hub")


@pytest.mark.parametrize(
    ("mirror", "hub", "down", "gets"),
    [
        (None, None, None, True),
        (None, None, "acr", True),
        (None, None, "hub", False),  # the tag cannot be resolved
        ("absent", None, None, True),
        ("incomplete", None, None, True),
        ("damaged", None, None, False),
        ("slow", None, None, False),
        (None, "absent", None, False),
        (None, "wrong", None, False),
        (None, "incomplete", None, True),  # the tag is resolved, and the bytes come from the mirror
        (None, "damaged", None, True),
    ],
)
def test_a_mirror_for_bytes_only_needs_the_hub_for_tags(
    mirror: Fault | None, hub: Fault | None, down: str | None, *, gets: bool
) -> None:
    assert gets_image(failover(BYTES_ONLY, HUB), {"acr": mirror, "hub": hub}, down) is gets


@pytest.mark.parametrize("mirror", [None, *FAULTS])
def test_cri_o_skips_a_mirror_for_bytes_only_for_tags(mirror: Fault | None) -> None:
    asked = failover(BYTES_ONLY, HUB, behaviour="crio")
    assert gets_image(asked, {"acr": mirror, "hub": None}, None)
    assert not gets_image(asked, {"acr": mirror, "hub": None}, "hub")


@pytest.mark.parametrize(
    ("faults", "down", "gets"),
    [
        ({"acr": None, "ghcr": None, "hub": None}, "hub", True),
        ({"acr": "absent", "ghcr": None, "hub": None}, "hub", True),
        ({"acr": "absent", "ghcr": "absent", "hub": None}, "hub", False),
        ({"acr": "damaged", "ghcr": None, "hub": None}, "hub", False),
        ({"acr": None, "ghcr": "damaged", "hub": None}, "hub", True),
        ({"acr": "incomplete", "ghcr": None, "hub": None}, "hub", True),
    ],
)
def test_the_second_mirror_for_bytes_only_serves_no_tags(
    faults: Mapping[str, Fault | None], down: str | None, *, gets: bool
) -> None:
    """Tags need the first mirror or the hub; bytes may come from the second mirror."""
    asked = failover(MIRROR, PullEndpoint(registry="ghcr", resolves=False), HUB)
    expected = gets and faults["acr"] in (None, "incomplete")
    assert gets_image(asked, faults, down) is expected


@pytest.mark.parametrize("mirror", [None, *FAULTS])
def test_an_unknown_runtime_counts_as_every_runtime(mirror: Fault | None) -> None:
    """From a mirror for bytes only, containerd downloads bytes that the hub lacks; CRI-O does not."""
    asked = failover(BYTES_ONLY, HUB, behaviour="unknown")
    assert not gets_image(asked, {"acr": mirror, "hub": "incomplete"}, None)
    assert not gets_image(asked, {"acr": mirror, "hub": "damaged"}, None)
    assert gets_image(asked, {"acr": mirror, "hub": None}, None) is (mirror in (None, "absent", "incomplete"))


@given(
    endpoints=st.lists(st.booleans(), max_size=2),
    faults=st.fixed_dictionaries({name: st.sampled_from([None, *FAULTS]) for name in ("a", "b", "c")}),
    down=st.sampled_from([None, "a", "b", "c"]),
)
def test_an_unknown_runtime_gets_an_image_if_every_runtime_does(
    endpoints: list[bool], faults: dict[str, Fault | None], down: str | None
) -> None:
    mirrors = [PullEndpoint(registry=name, resolves=each) for name, each in zip("ab", endpoints, strict=False)]
    unknown, *known = (
        gets_image(failover(*mirrors, PullEndpoint(registry="c"), behaviour=behaviour), faults, down)
        for behaviour in get_args(Behaviour)[::-1]
    )
    assert unknown is all(known[: 3 if all(endpoints) else 2])  # dockerd has no mirrors for bytes only


@pytest.mark.parametrize(
    ("fields", "seconds", "cell"),
    [
        ({"runtime": "docker", "version": "<29"}, 15, "yes, after 15 s"),
        ({"runtime": "docker"}, 150, "NO: team/app:v1"),  # may have the containerd store
        ({"runtime": "containerd"}, 150, "NO: team/app:v1"),
        ({"runtime": "containerd", "version": ">=2.1"}, 10, "yes, after 10 s"),
        ({"runtime": "k3s", "version": ">=2.1"}, 150, "NO: team/app:v1"),
        ({"runtime": "crio"}, 60, "NO: team/app:v1"),
        ({}, 150, "NO: team/app:v1"),
    ],
)
def test_a_silent_mirror_delays_each_pull(fields: dict[str, Any], seconds: int, cell: str) -> None:
    """A delay of more than half a minute counts as a failed start, because it repeats with every pull."""
    asked = Failover.of(pool(**fields))
    assert asked.dial_seconds == seconds
    rows = start_table(judge([asked], [result("acr", "silent"), result("hub")])).splitlines()
    assert rows[2] == f"outside  {cell}  yes       NO: team/app:v1"
    rows = start_table(judge([asked], [result("acr"), result("hub", "silent")])).splitlines()
    assert rows[2] == "outside  yes     NO: team/app:v1  yes"


def test_a_silent_registry_delays_only_pulls_that_try_it() -> None:
    """A pull that finds the image at the first registry does not try the second."""
    asked = Failover(pool="outside", behaviour="docker", endpoints=(MIRROR, HUB), dial_seconds=15)
    waits = [each.wait_seconds for each in judge([asked], [result("acr"), result("hub", "silent")])]
    assert waits == [0, 0, 0]
    waits = [each.wait_seconds for each in judge([asked], [result("acr", "silent"), result("hub")])]
    assert waits == [15, 0, 0]


@given(
    behaviour=st.sampled_from(get_args(Behaviour)),
    faults=st.fixed_dictionaries({name: st.sampled_from([None, *FAULTS]) for name in ("a", "b", "c")}),
    resolves=st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_failover_obeys_its_laws(behaviour: Behaviour, faults: dict[str, Fault | None], resolves: list[bool]) -> None:
    """An image that is ready everywhere is pulled; down equals absent; a repaired registry never makes things worse."""
    endpoints = [PullEndpoint(registry=name, resolves=each) for name, each in zip("ab", resolves, strict=True)]
    asked = failover(*endpoints, PullEndpoint(registry="c"), behaviour=behaviour)
    assert gets_image(asked, dict.fromkeys("abc"), None)
    for name in "abc":
        assert gets_image(asked, faults, name) is gets_image(asked, {**faults, name: "absent"}, None)
        assert gets_image(asked, {**faults, name: None}, None) or not gets_image(asked, faults, None)


@pytest.mark.parametrize(
    ("fields", "behaviour"),
    [
        ({}, "unknown"),
        ({"runtime": "docker"}, "containerd"),  # may be 29
        ({"runtime": "docker", "version": ">=20.10, <29"}, "docker"),
        ({"runtime": "docker", "version": "20.10.24"}, "docker"),
        ({"runtime": "docker", "version": ">=28"}, "containerd"),
        ({"runtime": "docker", "version": "28", "image_store": "containerd"}, "containerd"),
        ({"runtime": "docker", "version": ">=29", "image_store": "classic"}, "docker"),
        ({"runtime": "docker", "image_store": "classic"}, "docker"),
        ({"runtime": "containerd"}, "containerd"),
        ({"runtime": "k3s"}, "containerd"),
        ({"runtime": "talos"}, "containerd"),
        ({"runtime": "crio"}, "crio"),
    ],
)
def test_the_behaviour_follows_from_runtime_and_version(fields: dict[str, Any], behaviour: Behaviour) -> None:
    assert behaviour_of(pool(**fields)) == behaviour


def test_registries_are_tried_in_the_order_of_the_mirrors_file() -> None:
    mirrors = ("acr", {"registry": "ghcr", "trust": "pull"})
    assert Failover.of(pool(mirrors=mirrors, runtime="crio")) == Failover(
        pool="outside",
        behaviour="crio",
        endpoints=(MIRROR, PullEndpoint(registry="ghcr", resolves=False), HUB),
        dial_seconds=60,
        handshake_seconds=None,
    )


POOLS = (
    pool("outside", runtime="containerd"),
    pool("bytes_only", mirrors=({"registry": "acr", "trust": "pull"},), runtime="containerd"),
    NodePool(name="china", registry="aliyun", runtime="docker"),
    pool("idle"),
)


def everywhere(fault_at_acr: Fault | None = None) -> list[ImageReadiness]:
    """Results for two images. The second one has a fault at the mirror."""
    return [
        result(registry, fault_at_acr if (registry, image) == ("acr", "team/web:v2") else None, pool=name, image=image)
        for name, registries in (("outside", ("acr", "hub")), ("bytes_only", ("acr", "hub")), ("china", ("aliyun",)))
        for registry in registries
        for image in ("team/app:v1", "team/web:v2")
    ]


def verdicts(images: list[ImageReadiness]) -> list[Verdict]:
    return judge([Failover.of(each) for each in POOLS], images)


def test_the_table_shows_all_images_ready() -> None:
    assert start_table(verdicts(everywhere())) == (
        "pool        all up     acr down   hub down           aliyun down\n"
        "──────────  ─────────  ─────────  ─────────────────  ─────────────────\n"
        "outside     yes        yes        yes                not used\n"
        "bytes_only  yes        yes        no, as configured  not used\n"
        "china       yes        not used   not used           no, as configured\n"
        "idle        no images  no images  no images          not used"
    )


def test_the_table_shows_an_image_that_the_mirror_lacks() -> None:
    assert start_table(verdicts(everywhere("absent"))).splitlines()[2:4] == [
        "outside     yes        yes        NO: team/web:v2    not used",
        "bytes_only  yes        yes        no, as configured  not used",
    ]


def test_the_table_shows_a_slow_mirror() -> None:
    assert start_table(verdicts(everywhere("slow"))).splitlines()[2:4] == [
        "outside     NO: team/web:v2  yes        NO: team/web:v2    not used",
        "bytes_only  NO: team/web:v2  yes        no, as configured  not used",
    ]


def test_the_table_counts_several_missing_images() -> None:
    images = [result("acr", image=f"team/{each}:v1") for each in "abc"]
    images += [result("hub", "absent", image=f"team/{each}:v1") for each in "abc"]
    (row,) = start_table(judge([Failover.of(pool(runtime="docker"))], images)).splitlines()[2:]
    assert row == "outside  yes     NO: team/a:v1 and 2 more  yes"


@pytest.mark.parametrize(
    ("images", "is_failed", "summary"),
    [
        (everywhere(), False, "nodes of every pool would start, as far as their configuration promises"),
        (everywhere("absent"), True, "nodes would not start: outside with hub down"),
        (everywhere("slow"), True, "nodes of outside, bytes_only would not start now"),
    ],
)
def test_the_report_fails_if_somebody_has_to_act(
    images: list[ImageReadiness], summary: str, *, is_failed: bool
) -> None:
    report = ReadinessReport.of(POOLS, images)
    assert (report.is_failed, report.summary) == (is_failed, summary)


def test_the_report_as_text_has_tables_then_faults_then_notes() -> None:
    images = [
        result("acr", "absent", problem="it is not there; copy it", slowest_seconds=0.2),
        result(
            "hub",
            digest=ONE,
            platforms=("linux/amd64",),
            blobs=3,
            size_bytes=9_500_000,
            read_bytes=2_000_000,
            slowest_seconds=1.234,
            note="digest not compared: quay.io does not answer",
        ),
    ]
    report = ReadinessReport.of([pool(runtime="docker", version="20.10")], images, notes=["a note"])
    assert report.text() == (
        "pool     all up  acr down  hub down\n"
        "───────  ──────  ────────  ───────────────\n"
        "outside  yes     yes       NO: team/app:v1\n"
        "\n"
        "pool     image        registry  state   digest               platforms    blobs    size    read  slowest\n"
        "───────  ───────────  ────────  ──────  ───────────────────  ───────────  ─────  ──────  ──────  ───────\n"
        "outside  team/app:v1  acr       absent  -                    -                0     0 B     0 B   0.20 s\n"
        f"outside  team/app:v1  hub       ready   {ONE.short}  linux/amd64      3  9.5 MB  2.0 MB   1.23 s\n"
        "\n"
        "outside: team/app:v1 from acr: it is not there; copy it\n"
        "\n"
        "team/app:v1 from hub: digest not compared: quay.io does not answer\n"
        "\n"
        "a note"
    )


def test_a_note_of_many_images_is_said_once() -> None:
    """Without a network, no digest is compared, for the same reason."""
    quay, ghcr = (f"digest not compared: {host} does not answer" for host in ("quay.io", "ghcr.io"))
    images = [
        result(registry, image=image, note=note)
        for registry in ("acr", "hub")
        for image, note in (("team/app:v1", quay), ("team/app:v2", quay), ("team/pause:v1", ghcr))
    ]
    report = ReadinessReport.of([pool(runtime="docker")], images)
    assert report.text().split("\n\n")[2:] == [f"2 images: {quay}", f"team/pause:v1 from acr, hub: {ghcr}"]


def test_the_report_explains_a_pool_that_promises_less() -> None:
    report = ReadinessReport.of([POOLS[2]], [result("aliyun", pool="china")])
    assert report.text().split("\n\n")[-1] == (
        "china: no tag can be pulled while aliyun is down, as configured; "
        "a mirror that is trusted with tags (trust: pull+resolve) would change that"
    )


def test_the_report_for_programs_is_json() -> None:
    report = ReadinessReport.of([pool(runtime="docker")], [result("acr"), result("hub", "absent", problem="gone")])
    document = json.loads(json.dumps(report.to_json()))
    assert document["verdicts"] == [
        {
            "pool": "outside",
            "down": down,
            "starts": down != "acr",
            "wait_seconds": 0,
            "is_promised": True,
            "images": ["team/app:v1"],
            "missing": ["team/app:v1"] if down == "acr" else [],
            "unknown": [],
        }
        for down in (None, "acr", "hub")
    ]
    assert [ImageReadiness.from_json(image) for image in document["images"]] == list(report.images)
    assert (document["is_failed"], document["summary"]) == (True, "nodes would not start: outside with acr down")


def test_copies_that_differ_are_wrong_while_no_source_answers() -> None:
    """Any of them may be a stranger's image."""
    note = "digest not compared: quay.io does not answer"
    images = [result("acr", digest=ONE, note=note), result("hub", digest=OTHER, note=note)]
    assert [(each.fault, each.problem) for each in fault_conflicting(images)] == [
        ("wrong", f"its digest is {each} here and another one elsewhere; find out which is right")
        for each in (ONE, OTHER)
    ]
    same = [result("acr", digest=ONE, note=note), result("hub", digest=ONE, note=note)]
    assert fault_conflicting(same) == same
    for_a_reason = [result("acr", digest=ONE, note="some platforms"), result("hub", digest=OTHER, note=note)]
    assert fault_conflicting(for_a_reason) == for_a_reason
    known = [result("acr", digest=ONE), result("hub", digest=OTHER)]
    assert fault_conflicting(known) == known


CHECK = EndpointCheck(
    pool="outside",
    registry=Registry(name="acr", host="acme.azurecr.io", private=True),
    repository=Repository("acme.azurecr.io", "team/app"),
    tags=(
        Expected(tag="v1", digest=ONE, said_by="quay.io"),
        Expected(tag="v2", digest=None, not_compared="quay.io does not answer"),
    ),
    resolves=False,
    copied_by="quay_to_acr",
    on_moved_tag=parse_policies({"v*": "keep"}),
    role="fallback",
)


def test_a_check_crosses_xcom() -> None:
    document = json.loads(json.dumps(CHECK.to_json()))
    assert document["label"] == "outside: team/app from acr"
    assert EndpointCheck.from_json(document) == CHECK


def test_a_check_of_a_registry_whose_pushes_start_mirrors_crosses_xcom() -> None:
    check = replace(CHECK, registry=replace(CHECK.registry, events=EventRules(chain=True)))
    assert EndpointCheck.from_json(json.loads(json.dumps(check.to_json()))) == CHECK


@given(fault=st.sampled_from([None, *FAULTS]), texts=st.lists(st.text(), min_size=3, max_size=3), number=st.integers(0))
def test_a_result_crosses_xcom(fault: Fault | None, texts: list[str], number: int) -> None:
    image = result("acr", fault, problem=texts[0], note=texts[1], platforms=(texts[2],), blobs=number)
    assert ImageReadiness.from_json(json.loads(json.dumps(image.to_json()))) == image


def test_a_check_task_retries_only_if_that_may_help() -> None:
    assert error_of_results([result("acr")]) is None
    missing, wrong = result("acr", "absent", problem="gone"), result("acr", "wrong", problem="another")
    both = error_of_results([missing, result("acr"), wrong])
    assert type(both) is TemporaryError
    assert str(both) == "team/app:v1 from acr: gone\nteam/app:v1 from acr: another"
    assert type(error_of_results([wrong])) is RefusedError


def test_an_image_whose_task_was_killed_is_unchecked() -> None:
    first = result("acr")
    second = result(
        "acr",
        "unchecked",
        image="team/app:v2",
        problem="not checked: its task check ended without a result; see its log",
    )
    assert add_unchecked([{"check": CHECK.to_json()}], [first]) == [first, second]


SIZES = st.dictionaries(st.binary(max_size=4).map(Digest.of), st.integers(0, 1000), max_size=20)


@given(sizes=SIZES, budget=st.integers(0, 5000), today=st.dates())
def test_downloads_fill_the_budget(sizes: dict[Digest, int], budget: int, today: date) -> None:
    """The order of the listing has no influence, and no blob that still fits is skipped."""
    chosen = choose_reads(sizes, budget, today)
    assert chosen == choose_reads(dict(reversed(sizes.items())), budget, today)
    left = budget - sum(sizes[each] for each in chosen)
    assert left >= 0
    assert all(sizes[each] > left for each in sizes.keys() - set(chosen))


def test_every_blob_is_downloaded_on_some_day() -> None:
    sizes = {Digest.of(bytes([number])): 10 for number in range(20)}
    days = [choose_reads(sizes, 50, date(2026, 1, day)) for day in range(1, 31)]
    assert all(len(day) == 5 for day in days)
    assert {digest for day in days for digest in day} == sizes.keys()


def test_the_trigger_form_has_the_default_limits() -> None:
    fields = {name: param.value for name, param in parameters().items()}
    assert fields == {"request_seconds": Limits().request_seconds, "read_megabytes": Limits().read_bytes / 1_000_000}


PARSED = """
import sys
import registry_sync.airflow.dags.readiness
packages = ("registry_sync.registry.", "registry_sync.nodes.", "registry_sync.skopeo.")
print(*sorted(name for name in sys.modules if name.startswith(packages)))
"""


def test_parsing_the_dag_file_loads_nothing_that_only_a_task_needs() -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-c", PARSED]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    values = ("ecr_host", "endpoint", "kinds", "same_registry", "traffic")
    assert ended.stdout.splitlines()[-1].split() == [f"registry_sync.registry.{name}" for name in values]


class TestKnownDamage:
    READY = ImageReadiness(pool="p", image="team/app:v1", registry="acr", digest=Digest.of(b"image"))
    KNOWN = KnownDamage(registry="acr", repository="team/app", digest=Digest.of(b"image"), problem="seen; do this")

    def test_it_makes_a_ready_image_damaged(self) -> None:
        assert fault_damaged([self.READY], [self.KNOWN]) == [
            replace(self.READY, fault="damaged", problem="seen; do this")
        ]

    @pytest.mark.parametrize(
        "other",
        [
            {"registry": "hub"},
            {"image": "team/app2:v1"},
            {"digest": Digest.of(b"another")},
            {"digest": None},
            {"fault": "absent", "problem": "gone"},
        ],
    )
    def test_it_leaves_others_as_they_are(self, other: dict[str, Any]) -> None:
        result = replace(self.READY, **other)
        assert fault_damaged([result], [self.KNOWN]) == [result]


@pytest.mark.parametrize(
    ("fields", "cell"),
    [
        ({"runtime": "docker", "version": "<29"}, "yes, after 10 s"),
        ({"runtime": "containerd"}, "NO: team/app:v1"),
        ({"runtime": "docker", "version": "28", "image_store": "containerd"}, "NO: team/app:v1"),
        ({"runtime": "crio"}, "NO: team/app:v1"),
        ({}, "NO: team/app:v1"),
    ],
)
def test_a_mirror_without_a_tls_handshake_delays_each_pull(fields: dict[str, Any], cell: str) -> None:
    """Containerd goes on after 50 s for each image, which is too long."""
    asked = pool(**fields)
    report = ReadinessReport.of([asked], [result("acr", "handshake"), result("hub")])
    assert start_table(report.verdicts).splitlines()[2].split("  ")[1:][0].strip() == cell


@pytest.mark.parametrize(
    ("faults", "cells", "summary"),
    [
        (
            {"acr": "unchecked", "hub": "unchecked"},
            "?: team/app:v1  ?: team/app:v1  ?: team/app:v1",
            "it is unknown if nodes of outside would start now",
        ),
        (
            {"acr": None, "hub": "unchecked"},
            "yes             ?: team/app:v1  yes",
            "it is unknown if nodes would start: outside with acr down",
        ),
        (
            {"acr": "unchecked", "hub": "wrong"},
            "?: team/app:v1  NO: team/app:v1  ?: team/app:v1",
            "nodes would not start: outside with acr down; it is unknown if nodes of outside would start now",
        ),
    ],
)
def test_what_could_not_be_told_is_no_no(faults: dict[str, Fault | None], cells: str, summary: str) -> None:
    results = [result(name, fault, problem="x") for name, fault in faults.items()]
    report = ReadinessReport.of([pool(runtime="containerd")], results)
    assert start_table(report.verdicts).splitlines()[2].split("  ", 1)[1].split() == cells.split()
    assert (report.summary, report.is_failed) == (summary, True)


def test_the_same_advice_is_said_once() -> None:
    """Twenty images that a run of one mirror brings are one thing to do."""
    run = "run the mirror 'm'"
    images = [
        replace(result("acr", "absent", problem=f"{name} not found; {run}"), image=name, advice=run)
        for name in ("team/a:v1", "team/b:v1")
    ]
    other = result("hub", "slow", problem="too late; wait")
    text = ReadinessReport.of([pool(runtime="docker")], [*images, replace(other, advice="wait")]).text()
    assert f"\n\nacr, 2 images: {run}\n  outside: team/a:v1: team/a:v1 not found\n" in text
    assert "  outside: team/b:v1: team/b:v1 not found\n\noutside: team/app:v1 from hub: too late; wait" in text
    assert text.count(run) == 1
