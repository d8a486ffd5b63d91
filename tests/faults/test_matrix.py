"""Each fault at each stage, through real operators, skopeo and registries: the result in Airflow, and the state after.

By default one stage of each row of the specification is run; ``make reliability`` runs all of them.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator

import pytest
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.registry.wire import transport
from registry_sync.registry.wire.exchange import RequestLimits
from registry_sync.sync.content import pauses
from testkit.interceptor import Interceptor
from testkit.waiting import PATIENCE_SECONDS
from tests.faults.faults import FAULTS
from tests.faults.specification import Case, cases
from tests.faults.stages import STAGES, Stage
from tests.faults.world import TAG, MirrorRun, World, a_world, outcome

HANG_READ_SECONDS, LIMIT_PATIENCE_SECONDS = 1.0, 1.0
"""Timeout of a read where a server hangs, and patience with rate limits."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("mirrors")) as world:
        yield world


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("mirrors"), tls=True) as world:
        yield world


@pytest.fixture(autouse=True)
def short_times(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between attempts, the patience with rate limits, and read timeouts where a server hangs.

    Elsewhere a server of ours that stands still for a while is no fault.
    """
    read_seconds = HANG_READ_SECONDS if case.hangs else PATIENCE_SECONDS
    limits = RequestLimits(read_seconds=read_seconds, patience_seconds=LIMIT_PATIENCE_SECONDS)
    monkeypatch.setattr(transport, "DEFAULT_LIMITS", limits)
    monkeypatch.setattr(pauses, "PATIENCE_SECONDS", LIMIT_PATIENCE_SECONDS)
    monkeypatch.setattr(random, "uniform", lambda low, _high: low if low >= 1 else 0.01)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_each_fault_has_the_specified_outcome(
    case: Case,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    world = request.getfixturevalue("encrypted" if case.fault == "certificate expired" else "plain")
    lasting, message = observe(world, case, None, capsys)
    assert lasting == case.lasting, message
    assert case.says in message
    if lasting not in ("success", "skipped"):
        assert world.wires[STAGES[case.stage].wire].host in message
    passing = observe(world, case, 1, capsys)[0] if case.passing else ""
    assert passing == case.passing
    record_property("seen", (case.fault, case.stage, case.mover, lasting, passing, case.says))


def observe(world: World, case: Case, times: int | None, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Run a mirror into the fault, and again without it. Return the first result in Airflow and its reason.

    A deferred task raises no error; its reason is in the log. A task that succeeds has notes in its report.
    """
    stage, name = STAGES[case.stage], f"{hashlib.sha256(f'{case} {times}'.encode()).hexdigest()[:24]}/app"
    old, new = world.put(name, stage.scene)
    run = world.mirror(name, stage.scene, case.mover, stalls=case.stalls)
    if stage.task == "copy":
        assert run.plan().state == "success"
    world.wires[stage.wire].clear_requests()
    capsys.readouterr()
    try:
        if stage.scene == "pages":
            first_page(world, name)
        begin(world, case, times)
        started = time.monotonic()
        result = go(run, stage)
        seconds = time.monotonic() - started
    finally:
        world.repair()
    assert seconds < PATIENCE_SECONDS, "it hangs"
    assert was_asked(world.wires[stage.wire], stage) or case.fault == "certificate expired"
    report, printed = run.pushed(), capsys.readouterr().out
    told = outcome(result, report)
    reasons = {"wait": printed, "success": "\n".join(report["notes"]) if report else ""}
    whole = [{TAG: new.digest}] if told == "success" else [{TAG: each.digest} for each in (old, new)]
    assert world.shown(name) in whole
    assert outcome(go(run, stage), run.pushed()) == "success"
    assert world.shown(name) == {TAG: new.digest}
    return told, reasons.get(told, str(result.error))


def begin(world: World, case: Case, times: int | None) -> None:
    stage = STAGES[case.stage]
    wire, fault = world.wires[stage.wire], FAULTS[case.fault]
    if stage.after is None:
        fault(wire, stage.method, stage.path, times)
    else:
        world.wires["destination"].after(*stage.after, lambda _: fault(wire, stage.method, stage.path, times), times=1)


def first_page(world: World, name: str) -> None:
    """Answer the first request for the tags with a page, and a link to what the registry answers next."""
    body = json.dumps({"name": name, "tags": [TAG]}).encode()
    headers = {"Content-Type": "application/json", "Link": f'<list?last={TAG}>; rel="next"'}
    world.wires["source"].answer("GET", "/tags/list$", 200, body, headers, times=1)


def go(run: MirrorRun, stage: Stage) -> TaskRunResult:
    return run.copy() if stage.task == "copy" else run.both()


def was_asked(wire: Interceptor, stage: Stage) -> bool:
    return any(request.method == stage.method and re.search(stage.path, request.path) for request in wire.requests())
