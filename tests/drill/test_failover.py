"""The drill: real daemons with our rendered files, while a registry is down, broken, or serves a stranger's image.

The registries' access logs show the requests of the daemons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from registry_sync.nodes.readiness.model import Fault
from registry_sync.nodes.runtime_failover import Failover, gets_image
from testkit import images
from testkit.loopback import Request
from tests.drill.conftest import HUB_ADDRESS, MIRROR_ADDRESS, Lab
from tests.drill.runtimes import PullFailedError
from tests.drill.table import record

pytestmark = pytest.mark.timeout(120)

State = Literal["up", "down", "broken"]
Copy = Literal["same", "none", "theirs", "without a layer", "with a damaged layer"]
Got = Literal["ours", "theirs", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """The situation of a pull: the state of both registries, the mirror's copy, and the kind of reference."""

    hub: State = "up"
    mirror: State = "up"
    copy: Copy = "same"
    by: Literal["tag", "digest"] = "tag"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The result of a pull.

    ``sent_by``: the registries that sent blobs. ``silent``: those without a request. ``refusals``: the mirror's errors.
    """

    got: Got = "ours"
    sent_by: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    refusals: frozenset[int] = frozenset()


HUB, MIRROR, BOTH = frozenset({"hub"}), frozenset({"mirror"}), frozenset({"hub", "mirror"})
FAILS = Seen(got="nothing", silent=BOTH)
FROM_HUB = Seen(sent_by=HUB)
FROM_MIRROR, FROM_MIRROR_ALONE = Seen(sent_by=MIRROR), Seen(sent_by=MIRROR, silent=HUB)

CASES: Mapping[str, tuple[Case, Seen, Seen, Seen]] = {
    # case                      docker, containerd, containerd with a mirror for bytes only
    "mirror up": (Case(), FROM_MIRROR_ALONE, FROM_MIRROR_ALONE, FROM_MIRROR),
    "hub down, by tag": (Case(hub="down"), FROM_MIRROR_ALONE, FROM_MIRROR_ALONE, FAILS),
    "hub down, by digest": (
        Case(hub="down", by="digest"),
        FROM_MIRROR_ALONE,
        FROM_MIRROR_ALONE,
        FROM_MIRROR_ALONE,
    ),
    "mirror down": (
        Case(mirror="down"),
        Seen(sent_by=HUB, silent=MIRROR),
        Seen(sent_by=HUB, silent=MIRROR),
        Seen(sent_by=HUB, silent=MIRROR),
    ),
    "mirror broken": (
        Case(mirror="broken"),
        Seen(sent_by=HUB, refusals=frozenset({500})),
        Seen(sent_by=HUB, refusals=frozenset({500})),
        Seen(sent_by=HUB, refusals=frozenset({500})),
    ),
    "tag missing": (
        Case(copy="none"),
        Seen(sent_by=HUB, refusals=frozenset({404})),
        Seen(sent_by=HUB, refusals=frozenset({404})),
        Seen(sent_by=HUB, refusals=frozenset({404})),
    ),
    "both down": (Case(hub="down", mirror="down"), FAILS, FAILS, FAILS),
    "squatted, by tag": (
        Case(copy="theirs"),
        Seen(got="theirs", sent_by=MIRROR, silent=HUB),
        Seen(got="theirs", sent_by=MIRROR, silent=HUB),
        Seen(sent_by=HUB, refusals=frozenset({404})),
    ),
    "squatted, by digest": (
        Case(copy="theirs", by="digest"),
        Seen(sent_by=HUB, refusals=frozenset({404})),
        Seen(sent_by=HUB, refusals=frozenset({404})),
        Seen(sent_by=HUB, refusals=frozenset({404})),
    ),
    "layer missing": (
        Case(copy="without a layer"),
        Seen(sent_by=BOTH, refusals=frozenset({404})),
        Seen(sent_by=BOTH, refusals=frozenset({404})),
        Seen(sent_by=BOTH, refusals=frozenset({404})),
    ),
    "layer damaged": (
        Case(copy="with a damaged layer"),
        Seen(sent_by=BOTH),
        Seen(got="nothing", sent_by=MIRROR, silent=HUB),
        Seen(got="nothing", sent_by=MIRROR),
    ),
}


COLUMNS = ("docker", "containerd", "containerd_pull_only", "", "docker_containerd_store")
"""Pools by the column of their expectations. Docker with containerd's store pulls as containerd does."""


def words(seen: Seen) -> str:
    """A result in the words of the table: who sent the content."""
    if seen.got == "nothing":
        return "**fails**"
    if seen.got == "theirs":
        return "**the stranger's image**"
    return " and ".join(name for name in ("mirror", "hub") if name in seen.sent_by)


@pytest.mark.parametrize("name", CASES)
def test_a_node_gets_the_predicted_image(lab: Lab, name: str) -> None:
    """The result is the one in the table, and the one that ``nodes check`` predicts."""
    case, *expected = CASES[name]
    seen = run_case(lab, name, case)
    record(lab.name, name, words(seen))
    assert seen == expected[COLUMNS.index(lab.pool.name) % 3]
    if case.by == "tag":
        assert gets_image(Failover.of(lab.pool), faults(case, lab), None) is (seen.got == "ours")


def test_the_hub_resolves_tags_before_a_mirror_for_bytes_only(lab: Lab) -> None:
    repository, _ = push(lab, "one head", Case())
    lab.hub.start()
    lab.mirror.start()
    lab.runtime.pull(f"docker.io/{repository}", "v1")
    head = Request(method="HEAD", path=f"/v2/{repository}/manifests/v1", status=200)
    assert lab.hub.requests() == ([head] if lab.pool.name == "containerd_pull_only" else [])


def test_the_error_names_one_registry_of_two(lab: Lab) -> None:
    """Errors of dockerd name the registry that was tried last, those of containerd the first one."""
    with pytest.raises(PullFailedError, match=r"connect: connection refused$") as caught:
        lab.runtime.pull("docker.io/team/app", "v1")
    named = [each for each in (HUB_ADDRESS, MIRROR_ADDRESS) if f"dial tcp {each}:443" in str(caught.value)]
    names_mirror = lab.pool.name in ("containerd", "docker_containerd_store")
    assert named == [MIRROR_ADDRESS if names_mirror else HUB_ADDRESS]


def run_case(lab: Lab, name: str, case: Case) -> Seen:
    """Set up a case, pull, and return the result."""
    repository, ours = push(lab, name, case)
    for registry, state in ((lab.hub, case.hub), (lab.mirror, case.mirror)):
        if state != "down":
            registry.start(is_broken=state == "broken")
    got = pull(lab, repository, "v1" if case.by == "tag" else str(ours.digest), ours)
    requests = {"hub": lab.hub.requests(), "mirror": lab.mirror.requests()}
    return Seen(
        got=got,
        sent_by=frozenset(name for name in requests if has_sent_blobs(requests[name])),
        silent=frozenset(name for name in requests if not requests[name]),
        refusals=frozenset(request.status for request in requests["mirror"] if request.status >= 400),
    )


def push(lab: Lab, name: str, case: Case) -> tuple[str, images.Image]:
    """Push an image for the case to Docker Hub, and the case's copy of it to the mirror."""
    repository = f"team/{name.replace(',', '').replace(' ', '-')}"
    ours, theirs = images.multi_arch(f"ours, {name}"), images.multi_arch(f"theirs, {name}")
    lab.hub.push(repository, "v1", ours)
    if case.copy != "none":
        lab.mirror.push(repository, "v1", theirs if case.copy == "theirs" else ours)
    for child in ours.children:
        if case.copy == "without a layer":
            lab.mirror.forget_blob(child.blobs[-1].digest)
        elif case.copy == "with a damaged layer":
            lab.mirror.damage_blob(child.blobs[-1].digest)
    return repository, ours


def pull(lab: Lab, repository: str, target: str, ours: images.Image) -> Got:
    try:
        image_id = lab.runtime.pull(f"docker.io/{repository}", target)
    except PullFailedError:
        return "nothing"
    configs = {str(child.blobs[0].digest) for child in ours.children}
    return "ours" if image_id in {*configs, str(ours.digest)} else "theirs"  # containerd's store: the index


def has_sent_blobs(requests: Sequence[Request]) -> bool:
    return any(request.method == "GET" and "/blobs/" in request.path and request.status == 200 for request in requests)


def faults(case: Case, lab: Lab) -> dict[str, Fault | None]:
    """The faults that ``nodes check`` would find in a case."""
    is_trusted_with_tags = lab.pool.pool_mirrors[0].trust == "pull+resolve"
    copies: Mapping[Copy, Fault | None] = {
        "same": None,
        "none": "absent",
        "theirs": "wrong" if is_trusted_with_tags else "absent",
        "without a layer": "incomplete",
        "with a damaged layer": "damaged",
    }
    return {
        "hub": None if case.hub == "up" else "absent",
        "acme": copies[case.copy] if case.mirror == "up" else "absent",
    }
