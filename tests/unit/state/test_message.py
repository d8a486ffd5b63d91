"""Messages, whole: subject, text and HTML."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_sync.config.notify import Notifier
from registry_sync.state.messages.alerts import Alert
from registry_sync.state.messages.message import Link, Message, write_message
from registry_sync.state.messages.notices import LastMessage, Notice, decide
from registry_sync.state.messages.subject import Subject

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOTIFIER = Notifier(class_path="a.B")
LINKS = (
    Link(title="Last run", url="https://airflow.example/dags/mirror_m/runs/scheduled__2026-11-29T12:00:00+00:00"),
    Link(title="Mirrors", url="https://airflow.example/plugin/registry_sync?a=1&b=2"),
)
FAILED = Alert(
    kind="failed",
    key="acr a/b v1",
    place="a/b:v1 → acr",
    reason="403 Forbidden: <insufficient_scope> & more; give the account the right to push",
    since=NOW - timedelta(hours=9),
    tries=9,
)
STALE = Alert(
    kind="stale",
    key="acr a/b stale",
    place="a/b → acr",
    reason="it lacks a tag of 2026-11-29 03:00 UTC; promised within 2 h",
    since=NOW - timedelta(hours=7),
)


def message(*alerts: Alert, last: LastMessage | None = None) -> Message:
    notice = decide(NOTIFIER, alerts, last or LastMessage(), NOW)
    assert isinstance(notice, Notice)
    return write_message(Subject.of_mirror("m"), notice, LINKS)


def last(*alerts: Alert, hours: int) -> LastMessage:
    notice = decide(NOTIFIER, alerts, LastMessage(), NOW - timedelta(hours=hours))
    assert isinstance(notice, Notice)
    return notice.remembered


def test_a_failure_and_a_broken_promise() -> None:
    assert message(FAILED, STALE) == Message(
        about="m",
        mirror="m",
        event="failed",
        severity="error",
        subject="Mirror m fails: 1 problem, 1 behind the promise",
        text="""\
New in mirror m: 2 problems.

Failing: 1

a/b:v1 → acr: 403 Forbidden: <insufficient_scope> & more; give the account the right to push
  since 2026-11-29 03:00 UTC, failed in 9 runs

Behind the promise (fresh_within): 1

a/b → acr: it lacks a tag of 2026-11-29 03:00 UTC; promised within 2 h
  since 2026-11-29 05:00 UTC

Last run: https://airflow.example/dags/mirror_m/runs/scheduled__2026-11-29T12:00:00+00:00
Mirrors: https://airflow.example/plugin/registry_sync?a=1&b=2""",
        html="""\
<p>New in mirror m: 2 problems.</p>
<h3>Failing: 1</h3>
<ul>
<li><b>a/b:v1 → acr</b>: 403 Forbidden: &lt;insufficient_scope&gt; &amp; more; give the account the right to push<br>\
<small>since 2026-11-29 03:00 UTC, failed in 9 runs</small></li>
</ul>
<h3>Behind the promise (fresh_within): 1</h3>
<ul>
<li><b>a/b → acr</b>: it lacks a tag of 2026-11-29 03:00 UTC; promised within 2 h<br>\
<small>since 2026-11-29 05:00 UTC</small></li>
</ul>
<p><a href="https://airflow.example/dags/mirror_m/runs/scheduled__2026-11-29T12:00:00+00:00">Last run</a> · \
<a href="https://airflow.example/plugin/registry_sync?a=1&amp;b=2">Mirrors</a></p>""",
    )


def test_recovery() -> None:
    found = message(last=last(FAILED, STALE, hours=4))
    assert (found.event, found.severity, found.subject) == ("recovered", "info", "Mirror m recovered")
    assert found.text.split("\n\n")[0] == (
        "No problem is left in mirror m. The last message, of 2026-11-29 08:00 UTC, had 2."
    )
    assert found.html.startswith(
        "<p>No problem is left in mirror m. The last message, of 2026-11-29 08:00 UTC, had 2.</p>"
    )


def test_a_new_problem_beside_known_ones_comes_first() -> None:
    new = replace(FAILED, key="acr a/b v2", place="a/b:v2 → acr", since=NOW, tries=1)
    found = message(FAILED, STALE, new, last=last(FAILED, STALE, hours=4))
    assert found.subject == "Mirror m fails: 2 problems, 1 behind the promise"
    assert found.text.startswith(
        "New in mirror m: 1 problem; 2 others were reported before and last.\n\nFailing: 2\n\na/b:v2 → acr: 403"
    )
    assert "since 2026-11-29 12:00 UTC, failed in 1 run\n" in found.text


@pytest.mark.parametrize(
    ("alert", "subject"),
    [
        (FAILED, "Mirror m still fails: 1 problem"),
        (replace(STALE, count=3), "Mirror m is still stale: 3 routes behind the promise"),
    ],
)
def test_a_repetition_says_so(alert: Alert, subject: str) -> None:
    found = message(alert, last=last(alert, hours=24))
    assert found.subject == subject
    assert found.text.startswith("Nothing has changed in mirror m since the last message.\n\n")


def test_a_promise_broken_later_than_the_failure() -> None:
    found = message(FAILED, STALE, last=last(FAILED, hours=4))
    assert (found.event, found.severity) == ("stale", "warning")
    assert found.subject == "Mirror m is stale: 1 route behind the promise, 1 problem"


def test_ten_alerts_are_shown_and_the_others_counted() -> None:
    alerts = [replace(FAILED, key=f"{n}", place=f"a/b:v{n} → acr") for n in range(30)]
    many = replace(FAILED, key="*", place="a/c → acr", count=100)
    found = message(*alerts, many)
    assert found.subject == "Mirror m fails: 130 problems"
    assert (found.text.count("403 Forbidden"), found.html.count("<li>")) == (10, 10)
    assert "\n\nFailing: 130\n" in found.text
    assert "\n\nand 120 more\n\nLast run" in found.text
    assert "</ul>\n<p>and 120 more</p>\n<p><a" in found.html


def test_texts_of_registries_cannot_forge_lines_or_markup() -> None:
    found = message(replace(FAILED, reason="no\n\nLast run: https://evil.example <script>{{ 1 }}</script>\x1b[31m"))
    assert r"no Last run: https://evil.example <script>{{ 1 }}</script>\x1b[31m" in found.text
    assert r"&lt;script&gt;{{ 1 }}&lt;/script&gt;\x1b[31m" in found.html


def test_the_owner_of_a_mirror_is_named() -> None:
    notice = decide(NOTIFIER, [FAILED], LastMessage(), NOW)
    assert isinstance(notice, Notice)
    sent = write_message(Subject.of_mirror("m"), notice, LINKS, "team <a>")
    assert (sent.owner, sent.subject) == ("team <a>", "Mirror m fails: 1 problem")
    assert sent.text.startswith("New in mirror m of team <a>: 1 problem.\n")
    assert sent.html.startswith("<p>New in mirror m of team &lt;a&gt;: 1 problem.</p>\n")
