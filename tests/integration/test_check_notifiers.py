"""``python -m registry_sync check`` of a file with notifiers. Nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import registry_sync.airflow.hooks.registry  # noqa: F401 - Airflow binds its logging to what standard output is just now
from registry_sync.cli.arguments import FAILED, UNANSWERED
from registry_sync.cli.main import main

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
TO = {"to": "ops@example.com", "smtp_conn_id": "mail"}


def check(folder: Path, *notifiers: dict[str, Any], own: list[Any] | None = None) -> int:
    """Run ``check`` on a file of two mirrors without requests to registries: both are closed ports."""
    mirror = {"source": "a", "destinations": ["b"], "repositories": ["x/y"]}
    file = folder / "mirrors.yaml"
    document = {
        "registries": {name: {"host": "127.0.0.1:1", "tls": False} for name in "a"} | {"b": {"host": "127.0.0.1:2"}},
        "defaults": {"notify": list(notifiers)},
        "mirrors": {"one": mirror, "two": {**mirror, "prefix": "z/", **({"notify": own} if own else {})}},
    }
    file.write_text(json.dumps(document))
    return main(["check", str(file)])


def shown(text: str) -> list[str]:
    """The rows of notifiers in the table."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line.removeprefix("notifier ") for line in lines if line.startswith("notifier ")]


def test_each_notifier_is_checked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps({"conn_type": "smtp", "host": "127.0.0.1"}))
    assert check(tmp_path, {"class": SMTP, "with": TO}) == UNANSWERED  # the registries are down
    assert shown(capsys.readouterr().out) == ["SmtpNotifier mirrors one, two ok, nothing was sent"]


NOT_ACCEPTED = f"{SMTP} does not accept the arguments of with:"
SLACK = "airflow.providers.slack.notifications.slack"
INSTALL_SLACK = "install apache-airflow-providers-slack on the workers, or correct class: in notify"


@pytest.mark.parametrize(
    ("written", "arguments", "problem"),
    [
        (SMTP, TO, "Airflow has no Connection 'mail'; create it, or write the id of another as smtp_conn_id"),
        (SMTP, {}, f"{NOT_ACCEPTED} SmtpNotifier.__init__() missing 1 required positional argument: 'to'"),
        (
            SMTP,
            {**TO, "topic": "x"},
            f"{NOT_ACCEPTED} BaseNotifier.__init__() got an unexpected keyword argument 'topic'",
        ),
        (
            f"{SLACK}.SlackNotifier",
            {},
            f"cannot import {SLACK}.SlackNotifier: No module named 'airflow.providers.slack'; {INSTALL_SLACK}",
        ),
        (f"{SMTP}X", {}, f"the module {SMTP.rpartition('.')[0]} has no class SmtpNotifierX; correct class: in notify"),
        ("pathlib.Path", {}, "pathlib.Path is not a notifier: a subclass of airflow.sdk.BaseNotifier"),
        ("airflow.sdk.task", {}, "airflow.sdk.task is not a notifier: a subclass of airflow.sdk.BaseNotifier"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str, arguments: dict[str, Any], problem: str
) -> None:
    own = [{"class": "testkit.notifiers.KeepingNotifier"}]
    assert check(tmp_path, {"class": written, "with": arguments}, own=own) == FAILED
    printed = capsys.readouterr()
    name = written.rpartition(".")[2]
    assert shown(printed.out) == [
        f"{name} mirrors one MISSING",
        "KeepingNotifier mirrors two ok, nothing was sent",
    ]
    assert f"\n\nMISSING: notifier {name}: mirrors one: {problem}\n\n" in printed.out


def test_a_file_with_none_has_no_such_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mirrors.yaml"
    file.write_text(json.dumps({"registries": {"a": {"host": "127.0.0.1:1", "tls": False}}, "mirrors": {}}))
    assert main(["check", str(file)]) == UNANSWERED
    assert "notifier" not in capsys.readouterr().out
