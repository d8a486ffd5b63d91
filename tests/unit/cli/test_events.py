"""The command ``events``, and the checks of webhooks."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from registry_sync.airflow.checks.events import check_events
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.events.addresses import Address
from registry_sync.events.instructions import SETTINGS
from registry_sync.events.reception import Request, read_request
from registry_sync.events.reported import ReportedPush
from registry_sync.events.senders.table import SENDERS
from registry_sync.routes.load import load_mirrors
from testkit.webhooks import SECRET

FILE = """\
registries:
  quay: {host: quay.io, events: {webhook: {secret: quay_events}}}
  harbor: {host: harbor.example, kind: harbor, events: {webhook: {secret: harbor_events}}}
  goal: {host: goal.example, events: {webhook: {secret: unused}}}
mirrors:
  one: {source: quay, destinations: [goal], repositories: [team/app]}
  two: {source: quay, destinations: [goal], prefix: two/, repositories: [team/app]}
  three: {source: harbor, destinations: [goal], prefix: three/, repositories: [{namespace: team}]}
"""

QUAY = Address(scope="registry", name="quay").path(SECRET)
HARBOR = Address(scope="registry", name="harbor").path(SECRET)

CREATE = 'airflow connections add harbor_events --conn-type generic --conn-password "$(openssl rand -hex 32)"'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE)
    connection("quay_events", SECRET, monkeypatch)
    connection("harbor_events", SECRET, monkeypatch)
    return path


def connection(name: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'{{"conn_type": "generic", "password": "{secret}"}}'
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)


def test_each_address_is_printed_with_its_setting(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(file), "--url", "https://hooks.example/"]) == OK
    assert (
        capsys.readouterr().out
        == f"""\
registry quay (starts one, two)
  address  https://hooks.example{QUAY}
  enter    {SETTINGS["quay"].place}
  proof    none; keep the address secret
  try      curl -H "Authorization: Bearer $SECRET" -d '{{"repository": "team/app", "tags": ["latest"]}}' https://hooks.example{QUAY}
  secret   the password of the Connection quay_events (--show-secrets prints it)

registry harbor (starts three)
  address  https://hooks.example{HARBOR}
  enter    {SETTINGS["harbor"].place}
  proof    Auth header: $SECRET
  try      curl -H "Authorization: Bearer $SECRET" -d '{{"repository": "team/app", "tags": ["latest"]}}' https://hooks.example{HARBOR}
  secret   the password of the Connection harbor_events (--show-secrets prints it)
"""
    )


def test_secrets_are_printed_when_asked_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(file)]) == OK
    assert SECRET not in capsys.readouterr().out
    assert main(["events", str(file), "--show-secrets"]) == OK
    printed = capsys.readouterr().out
    assert f"  proof    Auth header: {SECRET}\n" in printed
    assert "$SECRET" not in printed
    assert printed.count(f"  secret   {SECRET}\n") == 2


ODD = """it's $(rm) "x" `y` !z"""


def test_a_secret_is_quoted_for_the_shell(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_QUAY_EVENTS", json.dumps({"conn_type": "generic", "password": ODD}))
    assert main(["events", str(file), "--show-secrets", "--url", "https://hooks.example/a(b)"]) == OK
    lines = capsys.readouterr().out.splitlines()
    words = shlex.split(next(line for line in lines if line.startswith("  try")))
    assert words[3] == f"Authorization: Bearer {ODD}"
    assert words[-1].startswith("https://hooks.example/a(b)/registry-sync-events/registry/quay/")
    assert f"  secret   {ODD}" in lines


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example",
        "ftp://hooks.example",
        "https://",
        "https://h.example/?a=b",
        "https://h.example:x",
        "http://h/#a",
    ],
)
def test_an_address_that_no_registry_can_reach_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["events", str(file), "--url", url])
    assert ended.value.code == UNUSABLE
    expected = f"argument --url: expected http(s)://host[:port][/path] without a query, got {url!r}\n"
    assert capsys.readouterr().err.endswith(expected)


@pytest.mark.parametrize("events", ["{chain: true}", "{queue: {scheme: sqs}}"])
def test_a_mirror_without_a_webhook_needs_no_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], events: str
) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(
        FILE.replace("{webhook: {secret: quay_events}}", events).replace(
            ", events: {webhook: {secret: harbor_events}}", ""
        )
    )
    assert main(["events", str(path)]) == OK
    assert capsys.readouterr().out == (
        "No webhook starts a mirror. Queues or other mirrors start one, two, which need no address.\n"
    )


def test_the_command_that_is_printed_is_genuine(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["events", str(file), "--show-secrets"])
    command = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  try"))
    _, _, _, header, _, body, _ = shlex.split(command)
    name, _, value = header.partition(": ")
    request = Request(headers=[(name.lower().encode(), value.encode())], body=body.encode())
    found = read_request(request, kind="quay", host="quay.io", secret=SECRET)
    assert isinstance(found, tuple)
    assert isinstance(found[0], ReportedPush)


def test_a_missing_secret_says_how_to_create_it(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection("harbor_events", "", monkeypatch)
    assert main(["events", str(file), "--url", "https://hooks.example"]) == FAILED
    printed = capsys.readouterr().out
    assert printed.endswith(f"""
registry harbor has no address yet: the Connection harbor_events does not exist, or has no password
  create   {CREATE}
           (one that exists: set its password instead, in Admin, Connections)
""")


def test_a_file_without_events_says_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text("registries: {quay: {host: quay.io}}\nmirrors: {}\n")
    assert main(["events", str(path)]) == UNUSABLE
    assert capsys.readouterr().err == (
        f"{path}: no webhook starts a mirror; write events: {{webhook: {{secret: CONNECTION_ID}}}} at a registry that "
        "a mirror reads from\n"
    )


def test_the_check_finds_missing_and_weak_secrets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection("quay_events", "short", monkeypatch)
    monkeypatch.delenv("AIRFLOW_CONN_HARBOR_EVENTS")
    findings = check_events(load_mirrors(file))
    found = [(finding.subject, finding.check, finding.verdict, finding.text, finding.remedy) for finding in findings]
    weak = "the secret has 5 characters; 16 or more cannot be found by trying"
    missing = "does not exist, or has no password, so every event is refused; create it, or set its password"
    unused = "has no effect: no mirror reads from this registry"
    assert found == [
        ("events of registry quay", "Connection quay_events", "warning", weak, ""),
        ("events of registry harbor", "Connection harbor_events", "missing", missing, CREATE),
        ("registry goal", "events", "warning", unused, ""),
    ]


def test_every_sender_has_a_setting() -> None:
    assert SETTINGS.keys() == SENDERS.keys()
    assert {kind for kind, setting in SETTINGS.items() if not setting.proof} == {
        kind for kind, sender in SENDERS.items() if not sender.proves
    }
