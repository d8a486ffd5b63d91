"""Would a node start? The table for every failover, the values that carry it, and what is read whole on which day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_sync.airflow.operators.readiness import error_of, with_unchecked
from registry_sync.airflow.readiness_dag import parameters
from registry_sync.config.model import Registry
from registry_sync.config.node_pools import NodePool, NodePoolEntry
from registry_sync.errors import RefusedError, TemporaryError
from registry_sync.nodes.readiness.check import EndpointCheck, Expected, Fault, ImageReadiness, Limits, choose_reads
from registry_sync.nodes.readiness.report import ReadinessReport, distrust_differing
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
from registry_sync.tags.overwrite_policy import parse_policies
from testkit.airflow import PROJECT

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")
MIRROR, HUB = PullEndpoint(registry="acr"), PullEndpoint(registry="hub")
BYTES_ONLY = PullEndpoint(registry="acr", resolves=False)
FAULTS: tuple[Fault, ...] = get_args(Fault)


def failover(*endpoints: PullEndpoint, behaviour: Behaviour = "containerd") -> Failover:
    return Failover(pool="p", behaviour=behaviour, endpoints=endpoints)


def pool(name: str = "outside", *, mirrors: tuple[Any, ...] = ("acr",), **fields: Any) -> NodePool:
    return NodePoolEntry.model_validate({"registry": "hub", "mirrors": mirrors, **fields}).parse(name)


def found(registry: str, fault: Fault | None = None, *, pool: str = "outside", **fields: Any) -> ImageReadiness:
    return ImageReadiness(pool=pool, image=fields.pop("image", "team/app:v1"), registry=registry, fault=fault, **fields)


WITH_THE_MIRROR_FAULTY: Mapping[Fault, tuple[str, str, str, str]] = {
    # fault         docker, containerd, crio, unknown: whether a node gets the image, as the hub has it
    "absent": ("yes", "yes", "yes", "yes"),
    "incomplete": ("yes", "yes", "no", "no"),
    "unreadable": ("yes", "no", "no", "no"),
    "damaged": ("yes", "no", "no", "no"),
    "wrong": ("no", "no", "no", "no"),
    "slow": ("no", "no", "no", "no"),
    "silent": ("no", "no", "no", "no"),  # how long each waits is not known here
    "unchecked": ("no", "no", "no", "no"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_a_mirror_with_a_fault(fault: Fault, behaviour: Behaviour) -> None:
    expected = dict(zip(get_args(Behaviour), WITH_THE_MIRROR_FAULTY[fault], strict=True))[behaviour]
    asked = failover(MIRROR, HUB, behaviour=behaviour)
    assert gets_image(asked, {"acr": fault, "hub": None}, None) is (expected == "yes")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behaviour", get_args(Behaviour))
def test_a_mirror_that_is_ready_is_enough(fault: Fault, behaviour: Behaviour) -> None:
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
        (None, None, "hub", False),  # nobody says what the tag is
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
def test_a_mirror_for_bytes_only(mirror: Fault | None, hub: Fault | None, down: str | None, *, gets: bool) -> None:
    assert gets_image(failover(BYTES_ONLY, HUB), {"acr": mirror, "hub": hub}, down) is gets


@pytest.mark.parametrize("mirror", [None, *FAULTS])
def test_cri_o_passes_such_a_mirror_by_for_tags(mirror: Fault | None) -> None:
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
def test_two_mirrors_where_the_second_is_for_bytes_only(
    faults: Mapping[str, Fault | None], down: str | None, *, gets: bool
) -> None:
    """The second helps with bytes, and only the first or the hub with tags."""
    asked = failover(MIRROR, PullEndpoint(registry="ghcr", resolves=False), HUB)
    expected = gets and faults["acr"] in (None, "incomplete")
    assert gets_image(asked, faults, down) is expected


@pytest.mark.parametrize("mirror", [None, *FAULTS])
def test_of_an_unknown_runtime_only_what_all_of_them_do_counts(mirror: Fault | None) -> None:
    """With a mirror for bytes only, containerd takes what the hub lacks from there, and CRI-O does not look there."""
    asked = failover(BYTES_ONLY, HUB, behaviour="unknown")
    assert not gets_image(asked, {"acr": mirror, "hub": "incomplete"}, None)
    assert not gets_image(asked, {"acr": mirror, "hub": "damaged"}, None)
    assert gets_image(asked, {"acr": mirror, "hub": None}, None) is (mirror in (None, "absent", "incomplete"))


@given(
    endpoints=st.lists(st.booleans(), max_size=2),
    faults=st.fixed_dictionaries({name: st.sampled_from([None, *FAULTS]) for name in ("a", "b", "c")}),
    down=st.sampled_from([None, "a", "b", "c"]),
)
def test_what_an_unknown_runtime_gets_every_one_gets(
    endpoints: list[bool], faults: dict[str, Fault | None], down: str | None
) -> None:
    mirrors = [PullEndpoint(registry=name, resolves=each) for name, each in zip("ab", endpoints, strict=False)]
    unknown, *known = (
        gets_image(failover(*mirrors, PullEndpoint(registry="c"), behaviour=each), faults, down)
        for each in get_args(Behaviour)[::-1]
    )
    everyone = all(known[: 3 if all(endpoints) else 2])  # dockerd has no mirrors for bytes only
    assert unknown is everyone


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
def test_a_mirror_that_takes_no_connection(fields: dict[str, Any], seconds: int, cell: str) -> None:
    """A runtime waits for it, pull after pull; what is longer than half a minute is no start in good time."""
    asked = Failover.of(pool(**fields))
    assert asked.dial_seconds == seconds
    rows = start_table(judge([asked], [found("acr", "silent"), found("hub")])).splitlines()
    assert rows[2] == f"outside  {cell}  yes       NO: team/app:v1"
    rows = start_table(judge([asked], [found("acr"), found("hub", "silent")])).splitlines()
    assert rows[2] == "outside  yes     NO: team/app:v1  yes"


def test_a_mirror_that_takes_no_connection_and_is_not_asked_first() -> None:
    """Who is waited for is whom a pull meets before it finds the image."""
    asked = Failover(pool="outside", behaviour="docker", endpoints=(MIRROR, HUB), dial_seconds=15)
    waits = [each.wait_seconds for each in judge([asked], [found("acr"), found("hub", "silent")])]
    assert waits == [0, 0, 0]
    waits = [each.wait_seconds for each in judge([asked], [found("acr", "silent"), found("hub")])]
    assert waits == [15, 0, 0]


@given(
    behaviour=st.sampled_from(get_args(Behaviour)),
    faults=st.fixed_dictionaries({name: st.sampled_from([None, *FAULTS]) for name in ("a", "b", "c")}),
    resolves=st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_laws(behaviour: Behaviour, faults: dict[str, Fault | None], resolves: list[bool]) -> None:
    """What is ready everywhere is pulled; down is as absent; and to mend a registry never makes anything worse."""
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
        ({"runtime": "containerd"}, "containerd"),
        ({"runtime": "k3s"}, "containerd"),
        ({"runtime": "talos"}, "containerd"),
        ({"runtime": "crio"}, "crio"),
    ],
)
def test_runtimes(fields: dict[str, Any], behaviour: Behaviour) -> None:
    assert behaviour_of(pool(**fields)) == behaviour


def test_the_order_is_that_of_the_mirrors_file() -> None:
    mirrors = ("acr", {"registry": "ghcr", "trust": "pull"})
    assert Failover.of(pool(mirrors=mirrors, runtime="crio")) == Failover(
        pool="outside",
        behaviour="crio",
        endpoints=(MIRROR, PullEndpoint(registry="ghcr", resolves=False), HUB),
        dial_seconds=60,
    )


POOLS = (
    pool("outside", runtime="containerd"),
    pool("bytes_only", mirrors=({"registry": "acr", "trust": "pull"},), runtime="containerd"),
    NodePool(name="china", registry="aliyun", runtime="docker"),
    pool("idle"),
)


def everywhere(fault_at_acr: Fault | None = None) -> list[ImageReadiness]:
    """Two images, of which the second has a fault at the mirror."""
    return [
        found(registry, fault_at_acr if (registry, image) == ("acr", "team/web:v2") else None, pool=name, image=image)
        for name, registries in (("outside", ("acr", "hub")), ("bytes_only", ("acr", "hub")), ("china", ("aliyun",)))
        for registry in registries
        for image in ("team/app:v1", "team/web:v2")
    ]


def verdicts(images: list[ImageReadiness]) -> list[Verdict]:
    return judge([Failover.of(each) for each in POOLS], images)


def test_the_table_with_everything_ready() -> None:
    assert start_table(verdicts(everywhere())) == (
        "pool        all up     acr down   hub down           aliyun down\n"
        "──────────  ─────────  ─────────  ─────────────────  ─────────────────\n"
        "outside     yes        yes        yes                not used\n"
        "bytes_only  yes        yes        no, as configured  not used\n"
        "china       yes        not used   not used           no, as configured\n"
        "idle        no images  no images  no images          not used"
    )


def test_the_table_with_an_image_missing_at_the_mirror() -> None:
    assert start_table(verdicts(everywhere("absent"))).splitlines()[2:4] == [
        "outside     yes        yes        NO: team/web:v2    not used",
        "bytes_only  yes        yes        no, as configured  not used",
    ]


def test_the_table_with_a_slow_mirror() -> None:
    assert start_table(verdicts(everywhere("slow"))).splitlines()[2:4] == [
        "outside     NO: team/web:v2  yes        NO: team/web:v2    not used",
        "bytes_only  NO: team/web:v2  yes        no, as configured  not used",
    ]


def test_several_images_are_counted() -> None:
    images = [found("acr", image=f"team/{each}:v1") for each in "abc"]
    images += [found("hub", "absent", image=f"team/{each}:v1") for each in "abc"]
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
def test_what_somebody_has_to_act_upon(images: list[ImageReadiness], summary: str, *, is_failed: bool) -> None:
    report = ReadinessReport.of(POOLS, images)
    assert (report.is_failed, report.summary) == (is_failed, summary)


def test_a_report_as_text() -> None:
    images = [
        found("acr", "absent", problem="it is not there; copy it", slowest_seconds=0.2),
        found(
            "hub",
            digest=str(ONE),
            platforms=("linux/amd64",),
            blobs=3,
            size_bytes=9_500_000,
            read_bytes=2_000_000,
            slowest_seconds=1.234,
            note="its digest was compared with no other",
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
        "team/app:v1 from hub: its digest was compared with no other\n"
        "\n"
        "a note"
    )


def test_a_pool_that_promises_less_is_told_so() -> None:
    report = ReadinessReport.of([POOLS[2]], [found("aliyun", pool="china")])
    assert report.text().split("\n\n")[-1] == (
        "china: no tag can be pulled while aliyun is down, by the pool's own configuration; "
        "a mirror whose tags are trusted (trust: pull+resolve) would change that"
    )


def test_a_report_for_programs() -> None:
    report = ReadinessReport.of([pool(runtime="docker")], [found("acr"), found("hub", "absent", problem="gone")])
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
        }
        for down in (None, "acr", "hub")
    ]
    assert [ImageReadiness.from_json(each) for each in document["images"]] == list(report.images)
    assert (document["is_failed"], document["summary"]) == (True, "nodes would not start: outside with acr down")


def test_copies_that_differ_while_no_source_answers() -> None:
    """Each may be the squatter's."""
    note = "its digest was compared with no other"
    images = [found("acr", digest=str(ONE), note=note), found("hub", digest=str(OTHER), note=note)]
    assert [(each.fault, each.problem) for each in distrust_differing(images)] == [
        ("wrong", f"it is {each} there and another image elsewhere, and nothing says which is right; compare them")
        for each in (ONE, OTHER)
    ]
    same = [found("acr", digest=str(ONE), note=note), found("hub", digest=str(ONE), note=note)]
    assert distrust_differing(same) == same
    for_a_reason = [found("acr", digest=str(ONE), note="some platforms"), found("hub", digest=str(OTHER), note=note)]
    assert distrust_differing(for_a_reason) == for_a_reason
    known = [found("acr", digest=str(ONE)), found("hub", digest=str(OTHER))]
    assert distrust_differing(known) == known


CHECK = EndpointCheck(
    pool="outside",
    registry=Registry(name="acr", host="acme.azurecr.io", private=True),
    repository=Repository("acme.azurecr.io", "team/app"),
    tags=(
        Expected(tag="v1", digest=ONE, said_by="quay.io"),
        Expected(tag="v2", digest=None, said_by="since quay.io does not answer"),
    ),
    resolves=False,
    copied_by="quay_to_acr",
    on_moved_tag=parse_policies({"v*": "keep"}),
    place="fallback",
)


def test_a_check_crosses_xcom() -> None:
    document = json.loads(json.dumps(CHECK.to_json()))
    assert document["label"] == "outside: team/app from acr"
    assert EndpointCheck.from_json(document) == CHECK


@given(fault=st.sampled_from([None, *FAULTS]), texts=st.lists(st.text(), min_size=3, max_size=3), number=st.integers(0))
def test_a_result_crosses_xcom(fault: Fault | None, texts: list[str], number: int) -> None:
    image = found("acr", fault, problem=texts[0], note=texts[1], platforms=(texts[2],), blobs=number)
    assert ImageReadiness.from_json(json.loads(json.dumps(image.to_json()))) == image


def test_what_a_task_ends_with() -> None:
    assert error_of([found("acr")]) is None
    missing, wrong = found("acr", "absent", problem="gone"), found("acr", "wrong", problem="another")
    both = error_of([missing, found("acr"), wrong])
    assert type(both) is TemporaryError
    assert str(both) == "team/app:v1 from acr: gone\nteam/app:v1 from acr: another"
    assert type(error_of([wrong])) is RefusedError


def test_an_image_whose_task_was_killed_is_unchecked() -> None:
    first = found("acr")
    second = found(
        "acr", "unchecked", image="team/app:v2", problem="its task ended without a result; its own log says why"
    )
    assert with_unchecked([{"check": CHECK.to_json()}], [first]) == [first, second]


SIZES = st.dictionaries(st.binary(max_size=4).map(Digest.of), st.integers(0, 1000), max_size=20)


@given(sizes=SIZES, budget=st.integers(0, 5000), today=st.dates())
def test_what_is_read_whole(sizes: dict[Digest, int], budget: int, today: date) -> None:
    """As much as fits, the same in whatever order it is listed, and nothing that would still fit is left out."""
    chosen = choose_reads(sizes, budget, today)
    assert chosen == choose_reads(dict(reversed(sizes.items())), budget, today)
    left = budget - sum(sizes[each] for each in chosen)
    assert left >= 0
    assert all(sizes[each] > left for each in sizes.keys() - set(chosen))


def test_every_blob_has_its_day() -> None:
    sizes = {Digest.of(bytes([number])): 10 for number in range(20)}
    days = [choose_reads(sizes, 50, date(2026, 1, day)) for day in range(1, 31)]
    assert all(len(each) == 5 for each in days)
    assert {digest for each in days for digest in each} == sizes.keys()


def test_the_trigger_form_starts_from_the_usual_limits() -> None:
    fields = {name: each.value for name, each in parameters().items()}
    assert fields == {"request_seconds": Limits().request_seconds, "read_megabytes": Limits().read_bytes / 1_000_000}


PARSED = """
import sys
import registry_sync.airflow.readiness_dag
packages = ("registry_sync.registry.", "registry_sync.nodes.", "registry_sync.skopeo.")
print(*sorted(name for name in sys.modules if name.startswith(packages)))
"""


def test_parsing_the_dag_file_loads_nothing_that_only_a_task_needs() -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-c", PARSED]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "registry_sync.registry.endpoint registry_sync.registry.kinds"
