"""Sequences of runs: which message a notifier gets after each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.config.notify import EVENTS, Event, Notifier
from registry_sync.state.document import as_document, size_of
from registry_sync.state.messages.alerts import Alert, AlertKind
from registry_sync.state.messages.notices import (
    MAX_REMEMBERED,
    LastMessage,
    MirrorNotices,
    Notice,
    decide,
    notifier_key,
    read_notices,
)
from registry_sync.state.names import MAX_VALUE_BYTES

START = datetime(2026, 11, 29, 3, tzinfo=UTC)
NOTIFIER = Notifier(class_path="a.B")


def an_alert(name: str) -> Alert:
    """An alert of a capital letter is a broken promise."""
    kind: AlertKind = "stale" if name.isupper() else "failed"
    return Alert(kind=kind, key=name, place=name, reason="no", since=START)


def told_after(steps: Sequence[tuple[float, str]], on: Sequence[Event] = EVENTS) -> list[str]:
    """The messages after each step: hours since the start, and the letters of the alerts at that time.

    A message is its event and its alerts, those that are new before the bar.
    """
    notifier, last, messages = replace(NOTIFIER, on=tuple(on)), LastMessage(), list[str]()
    for hours, letters in steps:
        decision = decide(notifier, [an_alert(letter) for letter in letters], last, START + timedelta(hours=hours))
        if isinstance(decision, Notice):
            names = [alert.key for alert in decision.alerts]
            new, old = "".join(names[: decision.new]), "".join(names[decision.new :])
            messages.append(f"{decision.event} {new}|{old}" if names else decision.event)
            last = decision.remembered
        else:
            messages.append("")
            last = decision
        last = read_notices(as_document(MirrorNotices(last={"x": last}))).last["x"]  # as it is stored
    return messages


@pytest.mark.parametrize(
    ("steps", "messages"),
    [
        ([(0, ""), (1, "")], ["", ""]),
        # Fails, fails alike, recovers, stays well
        ([(0, "a"), (1, "a"), (2, ""), (3, "")], ["failed a|", "", "recovered", ""]),
        # A new problem is sent at once, and those known before come after it
        ([(0, "ab"), (1, "abc")], ["failed ab|", "failed c|ab"]),
        # Part of it recovers: nothing; the same fails again: it is new
        ([(0, "ab"), (1, "a"), (2, "ab"), (3, "")], ["failed ab|", "", "failed b|a", "recovered"]),
        # Repeated after a day, counted from the last message
        ([(0, "a"), (23.9, "a"), (24, "a"), (47, "a"), (48, "a")], ["failed a|", "", "failed |a", "", "failed |a"]),
        ([(0, "a"), (20, "ab"), (30, "ab"), (44, "ab")], ["failed a|", "failed b|a", "", "failed |ab"]),
        # Goes stale, then fails too, then only stale, then well
        ([(0, "A"), (1, "Aa"), (2, "A"), (3, "")], ["stale A|", "failed a|A", "", "recovered"]),
        # A failure that breaks a promise later
        ([(0, "a"), (3, "aA")], ["failed a|", "stale A|a"]),
        # Both at once: one message
        ([(0, "aA")], ["failed aA|"]),
        # Recovers, and fails again: new
        ([(0, "a"), (1, ""), (2, "a")], ["failed a|", "recovered", "failed a|"]),
    ],
)
def test_messages_of_a_sequence_of_runs(steps: list[tuple[float, str]], messages: list[str]) -> None:
    assert told_after(steps) == messages


@pytest.mark.parametrize(
    ("on", "messages"),
    [
        (["failed"], ["failed a|", "", "", "failed a|"]),
        (["recovered"], ["", "", "", ""]),
        (["stale"], ["", "stale A|", "", ""]),
        (["failed", "recovered"], ["failed a|", "", "recovered", "failed a|"]),
        (["stale", "recovered"], ["", "stale A|", "recovered", ""]),
    ],
)
def test_a_notifier_gets_only_its_events(on: list[Event], messages: list[str]) -> None:
    assert told_after([(0, "a"), (1, "aA"), (2, ""), (3, "a")], on) == messages


def test_what_was_not_sent_is_due_again() -> None:
    alerts = [an_alert("a")]
    assert decide(NOTIFIER, alerts, LastMessage(), START) == decide(NOTIFIER, alerts, LastMessage(), START)
    first = decide(NOTIFIER, alerts, LastMessage(), START)
    assert isinstance(first, Notice)
    well = decide(NOTIFIER, [], first.remembered, START + timedelta(hours=1))
    assert well == Notice(event="recovered", resolved=first.remembered)


def test_another_reason_or_age_is_no_change() -> None:
    first = decide(NOTIFIER, [an_alert("a")], LastMessage(), START)
    assert isinstance(first, Notice)
    later = replace(an_alert("a"), reason="another", since=START + timedelta(hours=2), tries=3, count=9)
    assert decide(NOTIFIER, [later], first.remembered, START + timedelta(hours=1)) == first.remembered


def test_alerts_beyond_the_memory_are_told_again_with_the_repetition_only() -> None:
    alerts = [an_alert(f"a{number}") for number in range(15)]
    first = decide(NOTIFIER, alerts, LastMessage(), START, limit=10)
    assert isinstance(first, Notice)
    assert (len(first.remembered.alerts), first.remembered.count) == (10, 15)
    for minutes in (15, 30, 45):
        assert (
            decide(NOTIFIER, alerts, first.remembered, START + timedelta(minutes=minutes), limit=10) == first.remembered
        )
    repeated = decide(NOTIFIER, alerts, first.remembered, START + timedelta(hours=24), limit=10)
    assert isinstance(repeated, Notice)
    assert repeated.remembered.count == 15


@pytest.mark.parametrize("count", [1, 4, 60])
def test_memories_of_all_notifiers_fit_into_one_value(count: int) -> None:
    alerts = [an_alert(f"a{number}") for number in range(MAX_REMEMBERED + 500)]
    last = {}
    for number in range(count):
        notice = decide(NOTIFIER, alerts, LastMessage(), START, limit=MAX_REMEMBERED // count)
        assert isinstance(notice, Notice)
        last[notifier_key(replace(NOTIFIER, class_path=f"a.B{number}"))] = notice.remembered
    assert size_of(as_document(MirrorNotices(last=last))) <= MAX_VALUE_BYTES


@pytest.mark.parametrize("document", ["x", {"last": {"k": {"at": "yesterday"}}}, {"other": 1, "last": 3}])
def test_what_cannot_be_read_is_told_again(document: object) -> None:
    assert read_notices(document) == MirrorNotices()


def test_other_arguments_make_another_notifier() -> None:
    others = [
        replace(NOTIFIER, arguments={"to": "a"}),
        replace(NOTIFIER, on=("failed",)),
        replace(NOTIFIER, class_path="a.C"),
    ]
    assert len({notifier_key(notifier) for notifier in [NOTIFIER, *others]}) == 4
    assert notifier_key(NOTIFIER) == notifier_key(Notifier(class_path="a.B"))
