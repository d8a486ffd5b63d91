"""``notify:`` of a mirrors file."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from registry_sync.config.known_notifiers import KNOWN_NOTIFIERS
from registry_sync.config.notify import DEFAULT_REPEAT, EVENTS, Notifier
from registry_sync.routes.load import parse_mirrors
from registry_sync.tags.rules import Duration
from testkit.project import PROJECT

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"

FILE = """\
registries: {{quay: {{host: quay.io}}, acr: {{host: acr.example}}}}
defaults:
  source: quay
  destinations: [acr]
  notify: {defaults}
mirrors:
  m: {{repositories: [a/b], {mirror}}}
"""


def problems(notify: str) -> list[str]:
    """Problems of a mirror's ``notify:``, without its line."""
    text = FILE.format(defaults="null", mirror=f"notify: {notify}")
    _, found = parse_mirrors(text, Path("mirrors.yaml"))
    return [problem.removeprefix("mirrors.yaml:7: mirrors.m.notify") for problem in found]


def notifiers(defaults: str, mirror: str = "") -> tuple[Notifier, ...]:
    file, found = parse_mirrors(FILE.format(defaults=defaults, mirror=mirror), Path("mirrors.yaml"))
    assert found == ()
    return file.mirrors["m"].notify


def test_the_shortest_entry_has_all_events() -> None:
    written = f"[{{class: {SMTP}, with: {{to: [a@example.com, b@example.com]}}}}]"
    assert notifiers(written) == (
        Notifier(class_path=SMTP, arguments={"to": ["a@example.com", "b@example.com"]}, on=EVENTS),
    )
    assert timedelta(hours=24) == DEFAULT_REPEAT.length


def test_an_entry_with_all_keys() -> None:
    (notifier,) = notifiers("[{class: a.b.C, with: {n: 1, deep: {x: [true]}}, on: [stale, failed], repeat: 2d}]")
    assert notifier == Notifier(
        class_path="a.b.C",
        arguments={"n": 1, "deep": {"x": [True]}},
        on=("stale", "failed"),
        repeat=Duration("2d", timedelta(days=2)),
    )
    assert notifier.as_written() == {
        "class": "a.b.C",
        "with": {"n": 1, "deep": {"x": [True]}},
        "on": ["stale", "failed"],
        "repeat": "2d",
    }


def test_a_mirror_replaces_or_turns_off_the_default() -> None:
    assert [notifier.name for notifier in notifiers("[{class: a.B}]", "notify: [{class: c.D}]")] == ["D"]
    assert notifiers("[{class: a.B}]", "notify: null") == ()


def test_variables_are_replaced_in_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS", "ops@example.com")
    text = "env: [OPS]\n" + FILE.format(defaults="[{class: a.B, with: {to: '${OPS}'}}]", mirror="")
    file, found = parse_mirrors(text, Path("mirrors.yaml"))
    assert (found, file.mirrors["m"].notify[0].arguments) == ((), {"to": "ops@example.com"})


def test_a_variable_hides_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.slack.com/services/T00/B00/secret")
    text = "env: [HOOK]\n" + FILE.format(defaults="null", mirror="notify: [{class: a.B, with: {to: '${HOOK}'}}]")
    _, (problem,) = parse_mirrors(text, Path("mirrors.yaml"))
    assert "the argument 'to' looks like a secret" in problem
    assert "slack" not in problem


NO_PATH = f"is not the path of a class; write package.module.Class, such as {SMTP}"

SECRET = "which must not be in this file; put it into an Airflow Connection, and write"


OF_OTHERS = "its id in the argument that the class has for it, or {{ conn.ID.password }}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[{with: {to: a}}]", ["[0]: 'class' is missing"]),
        (
            "[{class: SmtpNotifyer}]",
            [f"[0].class: 'SmtpNotifyer' {NO_PATH}"],
        ),
        (
            "[{class: 'airflow providers.X'}]",
            [f"[0].class: 'airflow providers.X' {NO_PATH}"],
        ),
        ("[{class: a.B, args: {to: a}}]", ["[0].args: unknown key 'args'; allowed are class, with, on, repeat"]),
        ("[{clas: a.B}]", ["[0].clas: unknown key 'clas'; did you mean 'class'?", "[0]: 'class' is missing"]),
        (
            "[{class: a.B, on: [fails]}]",
            ["[0].on[0]: expected 'failed', 'recovered' or 'stale', got 'fails'; did you mean 'failed'?"],
        ),
        ("[{class: a.B, on: failed}]", ["[0].on: expected a list, such as [a, b], got 'failed'"]),
        ("[{class: a.B, on: []}]", ["[0].on: it is empty; write a value, or remove it"]),
        (
            "[{class: a.B, on: [recovered]}]",
            ["[0]: a recovery is sent after a failure or a broken promise only; add failed or stale to on"],
        ),
        ("[{class: a.B, with: [to]}]", ["[0].with: expected a mapping (name: ...), got a list"]),
        ("[{class: a.B, repeat: daily}]", ["[0].repeat: expected a duration such as 12h, 90d or 6w, got 'daily'"]),
        ("{class: a.B}", [": expected a list, such as [a, b], got a mapping"]),
        ("[]", [": it is empty; write a notifier, or null for no messages"]),
        (
            f"[{{class: {SMTP}, with: {{to: a@b.c, smtp_password: hunter2}}}}]",
            [f"[0]: the argument 'smtp_password' looks like a secret, {SECRET} its id as smtp_conn_id"],
        ),
        (
            "[{class: a.B, with: {headers: {Authorization: hunter2}}}]",
            [f"[0]: the argument 'headers.Authorization' looks like a secret, {SECRET} {OF_OTHERS}"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(written: str, expected: list[str]) -> None:
    assert sorted(problems(written)) == sorted(expected)


def test_at_the_top_of_the_file_the_right_place_is_named() -> None:
    text = "notify: [{class: a.B}]\n" + FILE.format(defaults="null", mirror="")
    with pytest.raises(Exception, match="unknown key 'notify'; write it under defaults: for all mirrors, or in a"):
        parse_mirrors(text, Path("mirrors.yaml"))


def test_arguments_of_any_form_are_kept() -> None:
    arguments: dict[str, Any] = {"files": [], "cc": ["x@y.z"], "custom_headers": {"X-Team": "platform"}}
    (notifier,) = notifiers(
        f"[{{class: {SMTP}, with: {{files: [], cc: [x@y.z], custom_headers: {{X-Team: platform}}}}}}]"
    )
    assert notifier.arguments == arguments


PAGE = (PROJECT / "docs" / "notifications.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_an_example_of_the_page_is_valid(example: str) -> None:
    rest = "" if "mirrors:" in example else FILE.format(defaults="x", mirror="").partition("defaults:")[0]
    mirror = "mirrors: {m: {source: quay, destinations: [acr], repositories: [a/b]}}" if rest else ""
    file, found = parse_mirrors(f"{rest}{example}{mirror}", Path("mirrors.yaml"))
    (read,) = file.mirrors.values()
    assert (found, all(notifier.class_path in KNOWN_NOTIFIERS for notifier in read.notify)) == ((), True)


def test_the_page_names_the_arguments_that_are_filled_in() -> None:
    rows = re.findall(r"^\| `([\w.]+Notifier)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    named = {path: re.findall(r"`(\w+)`(?! when)", cell) for path, cell in rows}
    assert named == {path: list(known.defaults) for path, known in KNOWN_NOTIFIERS.items()}


MESSAGE = SimpleNamespace(
    about="m", event="recovered", severity="info", subject="Mirror m recovered", text="a <b> & c", html="<p>a</p>"
)


def test_the_arguments_that_are_filled_in_are_templates() -> None:
    environment = Environment(undefined=StrictUndefined)
    rendered = {
        path.rpartition(".")[2]: {
            name: environment.from_string(template).render(registry_sync=MESSAGE)
            for name, template in known.defaults.items()
        }
        for path, known in KNOWN_NOTIFIERS.items()
    }
    slack = {"text": "*Mirror m recovered*\na &lt;b&gt; &amp; c"}
    assert rendered == {
        "SmtpNotifier": {"subject": "Mirror m recovered", "html_content": "<p>a</p>"},
        "SlackNotifier": slack,
        "SlackWebhookNotifier": slack,
        "PagerdutyNotifier": {
            "summary": "Mirror m recovered",
            "severity": "info",
            "action": "resolve",
            "dedup_key": "registry_sync/m",
            "custom_details": "a <b> & c",
        },
    }
