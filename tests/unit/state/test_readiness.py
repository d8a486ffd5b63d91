"""Stored state of a readiness check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from registry_sync.config.node_pools import NodePool
from registry_sync.nodes.readiness.model import Fault, ImageReadiness
from registry_sync.nodes.readiness.report import ReadinessReport
from registry_sync.nodes.runtime_failover import Failover, PullEndpoint, judge
from registry_sync.state.document import as_document, read_document
from registry_sync.state.names import MAX_VALUE_BYTES
from registry_sync.state.readiness import PoolStart, ReadinessState, readiness_state

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

OUTSIDE = Failover(
    pool="outside",
    behaviour="containerd",
    endpoints=(PullEndpoint(registry="acr"), PullEndpoint(registry="hub")),
    dial_seconds=10,
)
ALONE = Failover(pool="alone", behaviour="docker", endpoints=(PullEndpoint(registry="hub"),))


def image(registry: str, fault: Fault | None = None, problem: str = "", *, pool: str = "outside") -> ImageReadiness:
    return ImageReadiness(pool=pool, image="team/pause:v1", registry=registry, fault=fault, problem=problem)


def state_of(images: Sequence[ImageReadiness], *failovers: Failover) -> ReadinessState:
    report = ReadinessReport(verdicts=tuple(judge(failovers, images)), images=tuple(images))
    return readiness_state(report, read_at=NOON, run_id="run")


def test_a_fault_is_the_reason_where_another_registry_is_down() -> None:
    state = state_of([image("acr", "absent", "acr has no v1"), image("hub")], OUTSIDE)
    reason = "team/pause:v1 from acr: acr has no v1"
    assert state == ReadinessState(
        read_at=NOON,
        run_id="run",
        is_failed=True,
        summary="nodes would not start: outside with hub down",
        starts=(
            PoolStart(since=NOON, pool="outside", answer="starts"),
            PoolStart(since=NOON, pool="outside", down="acr", answer="starts"),
            PoolStart(since=NOON, pool="outside", down="hub", answer="does_not_start", missing=1, reasons=(reason,)),
        ),
    )


def test_a_silent_registry_delays_the_start() -> None:
    state = state_of([image("acr", "silent", "no answer"), image("hub")], OUTSIDE)
    assert state.starts[0] == PoolStart(since=NOON, pool="outside", answer="starts", wait_seconds=10)


def test_an_outage_that_the_configuration_cannot_cover_is_not_promised() -> None:
    state = state_of([image("hub", pool="alone")], ALONE)
    assert not state.is_failed
    assert state.starts[1] == PoolStart(
        since=NOON,
        pool="alone",
        down="hub",
        answer="not_promised",
        missing=1,
        reasons=(
            (
                "alone: no tag can be pulled while hub is down, as configured; a mirror that is trusted with tags "
                "(trust: pull+resolve) would change that"
            ),
        ),
    )


def test_a_check_without_a_result_is_unknown_and_not_ready() -> None:
    state = state_of([image("acr", "unchecked", "not checked: killed"), image("hub")], OUTSIDE)
    assert (state.is_failed, [start.answer for start in state.starts]) == (True, ["unknown", "starts", "unknown"])


def test_a_pool_without_images_has_no_answer() -> None:
    assert [start.answer for start in state_of([], ALONE).starts] == ["no_images", "no_images"]


def test_the_state_always_fits_into_the_store() -> None:
    """100 pools of which every image is missing for a long reason."""
    pools = [replace(OUTSIDE, pool=f"pool-{number}") for number in range(100)]
    images = [
        replace(image("acr", "wrong", "x" * 1000, pool=pool.pool), image=f"team/image-{number}:v1")
        for pool in pools
        for number in range(5)
    ]
    state = state_of(images, *pools)
    document = json.dumps(as_document(state))
    assert len(document) <= MAX_VALUE_BYTES
    assert {start.missing for start in state.starts} == {5}
    assert read_document(ReadinessState, json.loads(document)) == state


def test_reasons_are_cut_to_one_line() -> None:
    (now, *_) = state_of([image("hub", "wrong", "a\nb\x1b[31m" + "c" * 1000, pool="alone")], ALONE).starts
    (reason,) = now.reasons
    assert len(reason) == 300
    assert reason.startswith("team/pause:v1 from hub: a b\\x1b[31mccc")


def test_a_pool_of_the_mirrors_file_has_an_answer_for_each_registry() -> None:
    pool = NodePool(name="outside", registry="hub")
    report = ReadinessReport.of([pool], [])
    assert [start.down for start in readiness_state(report, read_at=NOON, run_id="run").starts] == [None, "hub"]


def test_an_answer_keeps_the_time_of_the_check_that_gave_it_first() -> None:
    report = ReadinessReport(verdicts=tuple(judge([OUTSIDE], [image("acr"), image("hub")])), images=())
    later = NOON + timedelta(hours=1)
    before = state_of([image("acr", "absent", "gone"), image("hub")], OUTSIDE)
    after = readiness_state(report, read_at=later, run_id="next", before=before)
    assert [(start.down, start.since) for start in after.starts] == [(None, NOON), ("acr", NOON), ("hub", later)]
