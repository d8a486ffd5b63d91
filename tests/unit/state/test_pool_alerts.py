"""Alerts about pools of nodes, from the stored result of the readiness checks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.config.notify import Notifier
from registry_sync.state.messages.alerts import Alert
from registry_sync.state.messages.message import write_message
from registry_sync.state.messages.notices import LastMessage, Notice, decide
from registry_sync.state.messages.pool_alerts import pool_alerts, unchecked_alerts, unchecked_since
from registry_sync.state.messages.subject import Subject
from registry_sync.state.readiness import PoolStart, ReadinessState, StartAnswer

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
REASON = "team/pause:v1 from acr: acr has no v1; run the mirror 'world'"
LACKS = PoolStart(pool="outside", down="hub", answer="does_not_start", missing=1, reasons=(REASON,), since=NOON - HOUR)
STARTS = PoolStart(pool="outside", answer="starts", since=NOON)
STATE = ReadinessState(read_at=NOON, run_id="run", starts=(STARTS, LACKS))


def test_an_outage_that_a_pool_would_not_survive() -> None:
    assert pool_alerts(STATE, "outside", NOON) == [
        Alert(
            kind="failed",
            key="does_not_start hub",
            place="outside with hub down",
            reason=f"nodes would not start: {REASON}",
            since=NOON - HOUR,
        )
    ]
    assert pool_alerts(STATE, "other", NOON + 9 * HOUR) == []


def test_what_could_not_be_told_is_another_alert() -> None:
    unknown = replace(STARTS, answer="unknown", reasons=("not checked: killed",))
    (alert,) = pool_alerts(replace(STATE, starts=(unknown,)), "outside", NOON)
    assert (alert.key, alert.place) == ("unknown ", "outside now")
    assert alert.reason == "it is unknown if nodes would start: not checked: killed"


@pytest.mark.parametrize("answer", ["starts", "not_promised", "no_images"])
def test_other_answers_are_well(answer: StartAnswer) -> None:
    assert pool_alerts(replace(STATE, starts=(replace(STARTS, answer=answer),)), "outside", NOON) == []


def test_a_result_that_nobody_renews_is_told() -> None:
    state = replace(STATE, starts=(STARTS,))
    assert pool_alerts(state, "outside", NOON + 3 * HOUR) == []
    (alert,) = pool_alerts(state, "outside", NOON + 5 * HOUR)
    assert alert == Alert(
        kind="failed",
        key="age",
        place="last check",
        reason=(
            "the checks of nodes are 5 h old, of 2026-11-29 12:00 UTC: what is known may be wrong; find out why "
            "the DAG mirror_readiness does not run"
        ),
        since=NOON + 3 * HOUR,
    )


@pytest.mark.parametrize(("hours", "count"), [(0, 0), (3, 0), (4, 1)])
def test_a_check_that_never_ran_is_told_once_it_is_late(hours: int, count: int) -> None:
    alert = Alert(
        kind="failed",
        key="unchecked",
        place="first check",
        reason="no check of nodes has stored a result yet; find out why the DAG mirror_readiness does not run, or "
        "trigger it",
        since=NOON,
    )
    assert unchecked_alerts(NOON, NOON + hours * HOUR) == [alert] * count


@pytest.mark.parametrize("stored", [None, "", "yesterday", 5, "2026-11-29T12:00:00"])
def test_the_first_look_counts_without_a_stored_time(stored: object) -> None:
    assert unchecked_since(stored, NOON) == NOON
    assert unchecked_since(NOON.isoformat(), NOON + HOUR) == NOON


def test_flips_are_told_and_nothing_else() -> None:
    """Ready, not ready, the same, unknown, ready again: three messages."""
    lacking = pool_alerts(STATE, "outside", NOON)
    unknown = pool_alerts(replace(STATE, starts=(replace(LACKS, answer="unknown"),)), "outside", NOON)
    last, subjects = LastMessage(), []
    for alerts in ([], lacking, lacking, unknown, unknown, [], []):
        decision = decide(Notifier(class_path="a.B"), alerts, last, NOON)
        if isinstance(decision, Notice):
            message = write_message(Subject.of_pool("outside"), decision, [])
            subjects.append((message.about, message.mirror, message.event, message.subject))
            decision = decision.remembered
        last = decision
    assert subjects == [
        ("nodes outside", "", "failed", "Node pool outside fails: 1 problem"),
        ("nodes outside", "", "failed", "Node pool outside fails: 1 problem"),
        ("nodes outside", "", "recovered", "Node pool outside recovered"),
    ]
