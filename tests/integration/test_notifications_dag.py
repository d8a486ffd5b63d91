"""Messages of whole DAG runs: a real Airflow, real registries, the real skopeo, and a real mail server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape, unescape
from typing import Any
from urllib.parse import quote

import pytest

from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.mail import LOGIN, Mail, MailServer
from testkit.project import PROJECT
from testkit.registry import RegistryProcess

pytestmark = pytest.mark.timeout(300)

MIRRORS = """\
registries:
  source: {{host: "{source}", tls: false}}
  backup: {{host: "{backup}", tls: false}}
defaults:
  notify:
    - class: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      with: {{to: ops@example.com, smtp_conn_id: mail}}
    - class: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      with:
        to: text@example.com
        smtp_conn_id: mail
        subject: "[{{{{ registry_sync.severity }}}}] {{{{ registry_sync.subject }}}}"
        html_content: "<pre>{{{{ registry_sync.text | e }}}}</pre>"
    - {{class: testkit.notifiers.RaisingNotifier, on: [failed]}}
mirrors:
  one:
    source: source
    destinations: [backup]
    repositories: [team/app]
    fresh_within: 1h
    retries: 0
"""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A source, a destination behind an interceptor, a mail server, and an Airflow."""

    source: RegistryProcess
    wire: Interceptor
    mail: MailServer
    airflow: LocalAirflow

    def run(self, dag_id: str = "mirror_one") -> tuple[str, str]:
        """Trigger a DAG, wait for the end of its run, and return its id and its state."""
        api = self.airflow.api
        api.wait_for_dag(dag_id)
        api.unpause(dag_id)
        run = api.wait_for_run(dag_id, api.trigger(dag_id))
        return run["dag_run_id"], run["state"]

    def run_url(self, run_id: str) -> str:
        return f"{self.airflow.url}/dags/mirror_one/runs/{quote(run_id)}"

    def age(self, hours: float) -> None:
        """Move the times in the state of the mirror's destination into the past."""
        api = self.airflow.api
        found = api.call("GET", "assets", name_pattern="registry_sync/one/backup")["assets"]
        (asset,) = [each["id"] for each in found]
        for key in ("this destination", "routes 0"):
            path = f"assets/{asset}/state-store/{quote(key)}"
            api.call("PUT", path, json={"value": aged(api.call("GET", path)["value"], hours)})


def aged(document: Any, hours: float) -> Any:
    """A document with its times moved into the past."""
    match document:
        case dict():
            return {key: aged(value, hours) for key, value in document.items()}
        case str():
            try:
                return (datetime.fromisoformat(document) - timedelta(hours=hours)).isoformat()
            except ValueError:
                return document
    return document


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("airflow")
    with ExitStack() as opened:
        source = opened.enter_context(RegistryProcess())
        backup = opened.enter_context(RegistryProcess())
        wire = opened.enter_context(Interceptor(backup.url))
        mail = opened.enter_context(MailServer())
        for tag in ("v1", "v2"):
            images.push(source.url, "team/app", tag, images.multi_arch(tag))
        file = folder / "mirrors.yaml"
        file.write_text(MIRRORS.format(source=source.host, backup=wire.host))
        airflow = LocalAirflow(
            folder / "home",
            mirrors_file=file,
            paused=True,
            connections={"mail": mail.connection},
            settings={"PYTHONPATH": str(PROJECT)},
        )
        opened.enter_context(airflow)
        yield Stack(source=source, wire=wire, mail=mail, airflow=airflow)


def a_message(lines: list[str], run_url: str, stack: Stack) -> str:
    """A text message: its lines, and its links."""
    return "\n".join([*lines, "", f"Last run: {run_url}", f"Mirrors: {stack.airflow.url}/plugin/registry_sync"])


def text_of(mail: Mail) -> str:
    """The text of a mail whose template is the text within ``pre``."""
    return unescape(mail.html.removeprefix("<pre>").removesuffix("</pre>"))


def moments(mail: Mail) -> list[str]:
    """The times in a mail, which are those of the machine."""
    return re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", mail.html)


def test_a_run_that_fails_again_recovers_and_goes_stale(stack: Stack) -> None:
    """The notifier that raises changes neither the outcome of a run nor the messages of others."""
    denied = "answered 403 DENIED: no <push> (not permitted with these credentials, or it does not exist)"
    stack.wire.answer("PUT", "/manifests/v1", 403, b'{"errors": [{"code": "DENIED", "message": "no <push>"}]}')
    failed, state = stack.run()
    html, text = stack.mail.take()
    assert (state, html.sender, html.recipients, text.recipients) == (
        "failed",
        LOGIN,
        ("ops@example.com",),
        ("text@example.com",),
    )
    (since,) = moments(html)
    url = stack.run_url(failed)
    reason = f"PUT {stack.wire.url}/v2/team/app/manifests/v1 {denied}"
    assert (html.subject, html.html) == (
        "Mirror one fails: 1 problem",
        f"""\
<p>New in mirror one: 1 problem.</p>
<h3>Failing: 1</h3>
<ul>
<li><b>team/app:v1 → backup</b>: {escape(reason)}<br><small>since {since}, failed in 1 run</small></li>
</ul>
<p><a href="{url}">Last run</a> · <a href="{stack.airflow.url}/plugin/registry_sync">Mirrors</a></p>""",
    )
    lines = [
        "New in mirror one: 1 problem.",
        "",
        "Failing: 1",
        "",
        f"team/app:v1 → backup: {reason}",
        f"  since {since}, failed in 1 run",
    ]
    assert (text.subject, text_of(text)) == ("[error] Mirror one fails: 1 problem", a_message(lines, url, stack))
    report = stack.airflow.api.log("mirror_one", failed, "report")
    assert f"RaisingNotifier did not send the message '{html.subject}': RuntimeError: the service answers 503" in report

    assert (stack.run()[1], stack.mail.take()) == ("failed", [])

    watched, state = stack.run("mirror_watch")
    assert (state, stack.mail.take()) == ("failed", [])
    log = stack.airflow.api.log("mirror_watch", watched, "watch")
    assert (
        "not all messages were sent:\n  RaisingNotifier did not send the message 'Mirror one fails: 1 problem'" in log
    )

    stack.wire.clear_rules()
    succeeded, state = stack.run()
    html, text = stack.mail.take()
    (sent,) = moments(html)
    url = stack.run_url(succeeded)
    opening = f"No problem is left in mirror one. The last message, of {sent}, had 1."
    mirrors_url = f"{stack.airflow.url}/plugin/registry_sync"
    assert (state, html.subject) == ("success", "Mirror one recovered")
    assert html.html == (f'<p>{opening}</p>\n<p><a href="{url}">Last run</a> · <a href="{mirrors_url}">Mirrors</a></p>')
    assert (text.subject, text_of(text)) == ("[info] Mirror one recovered", a_message([opening], url, stack))

    stack.age(hours=5 * 24 + 0.1)
    assert stack.run("mirror_watch")[1] == "success"
    html, text = stack.mail.take()
    (since,) = moments(html)
    assert (html.subject, html.html) == (
        "Mirror one is stale: 1 route behind the promise",
        f"""\
<p>New in mirror one: 1 problem.</p>
<h3>Behind the promise (fresh_within): 1</h3>
<ul>
<li><b>1 route → backup</b>: not looked at for up to 5 d; the promise is 1 h<br><small>since {since}</small></li>
</ul>
<p><a href="{url}">Last run</a> · <a href="{stack.airflow.url}/plugin/registry_sync">Mirrors</a></p>""",
    )
    lines = [
        "New in mirror one: 1 problem.",
        "",
        "Behind the promise (fresh_within): 1",
        "",
        "1 route → backup: not looked at for up to 5 d; the promise is 1 h",
        f"  since {since}",
    ]
    assert text.subject == "[warning] Mirror one is stale: 1 route behind the promise"
    assert text_of(text) == a_message(lines, url, stack)
