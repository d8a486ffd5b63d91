"""Messages of the DAG mirror_watch, from Airflow's own task runner to a real mail server. Airflow's API is a fake."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.dags.watch import WATCH_TASK, build_watch_dag
from registry_sync.airflow.ids import REPORT_TASK
from registry_sync.airflow.messages import notifications
from registry_sync.config.document import MirrorsFile
from registry_sync.config.reading.file_text import PATH_VARIABLE
from registry_sync.routes.load import load_mirrors
from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document
from registry_sync.state.names import (
    DESTINATION_KEY,
    MESSAGES_ASSET,
    READINESS_ASSET,
    READINESS_KEY,
    UNCHECKED_KEY,
    asset_name,
    index_key,
    watched_key,
)
from registry_sync.state.readiness import PoolStart, ReadinessState
from registry_sync.state.route import Problem, RouteState
from testkit.mail import LOGIN, Mail, MailServer
from testkit.notifiers import HangingNotifier, KeepingNotifier
from testkit.task_runner import FakeApi, run

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
MAIL = {"class": SMTP, "with": {"to": "ops@example.com", "smtp_conn_id": "mail"}}
OWN = "testkit.notifiers"
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAYS = timedelta(days=5, minutes=1)
"""An age that messages show as 5 d, also when a test runs for minutes."""
RUN_ID = "scheduled__2026-11-29T03:00:00+00:00"
RUN_URL = "https://airflow.example/dags/mirror_one/runs/scheduled__2026-11-29T03%3A00%3A00%2B00%3A00"
BASE_URL = "https://airflow.example"


@dataclass(kw_only=True)
class Watch:
    """The DAG of a mirrors file, a fake of Airflow's API, and the mail server."""

    file: MirrorsFile
    dag: DAG
    api: FakeApi
    mail: MailServer

    def run(self) -> TaskRunResult:
        return run(self.dag, WATCH_TASK, self.api)

    def store(self, documents: Mapping[str, Any], mirror: str = "one") -> None:
        """Store values about a destination, as its runs would."""
        self.api.stored |= {(asset_name(mirror, "acr"), key): document for key, document in documents.items()}

    def remembered(self, mirror: str = "one") -> Any:
        return self.api.stored.get((MESSAGES_ASSET, mirror))


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def mail(mail_server: MailServer) -> MailServer:
    mail_server.take()
    mail_server.rejects = False
    KeepingNotifier.kept.clear()
    return mail_server


class ShortWait(Thread):
    """A thread whose end is waited for as long as is asked, but for the thread of a notifier that hangs."""

    def join(self, timeout: float | None = None) -> None:
        super().join(0.1 if self.name == HangingNotifier.__name__ else timeout)


@pytest.fixture
def watch(tmp_path: Path, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(notifications, "Thread", ShortWait)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{BASE_URL}/")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mirrors.yaml"))

    def new(
        *notifiers: Mapping[str, Any], schedule: str | None = None, mirrors: tuple[str, ...] = ("one",), **parts: Any
    ) -> Watch:
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps({**a_file(list(notifiers) or [MAIL], schedule, mirrors), **parts}))
        file = load_mirrors(path)
        api = FakeApi(dag_id="mirror_watch", connections={"mail": mail.connection})
        return Watch(file=file, dag=build_watch_dag(file, tmp_path / "dags" / "mirrors.py"), api=api, mail=mail)

    return new


def a_file(notifiers: list[Mapping[str, Any]], schedule: str | None, mirrors: tuple[str, ...]) -> dict[str, Any]:
    return {
        "registries": {"quay": {"host": "quay.io"}, "acr": {"host": "acr.example"}},
        "defaults": {"source": "quay", "destinations": ["acr"], "schedule": schedule, "notify": notifiers},
        "mirrors": {name: {"repositories": [f"{name}/app"]} for name in mirrors},
    }


STATE = DestinationState(
    mirror="one",
    destination="acr",
    host="acr.example",
    source_host="quay.io",
    run_id=RUN_ID,
    run_ended=NOW,
    listed_at=NOW,
    index_parts=1,
)
WELL = RouteFigures(looked_at=NOW, complete_at=NOW, selected=1, in_sync=1)
PROBLEM = Problem(tag="v1", error_class="refused", reason="the quota is <used> up", since=NOW - 9 * HOUR, tries=9)
FAILING = replace(WELL, in_sync=0, failing=1, failing_since=PROBLEM.since)
STALE = replace(WELL, in_sync=0, missing=1, oldest_lacking=NOW - DAYS, fresh_within=7200.0)


def documents(figures: RouteFigures, *problems: Problem, name: str = "one/app") -> dict[str, Any]:
    """Stored state of a destination with one route."""
    route = RouteState(
        route=name,
        source=f"quay.io/{name}",
        destination=f"acr.example/{name}",
        run_id=RUN_ID,
        task_id="to_acr",
        map_index=0,
        looked_at=NOW,
        failing=len(problems),
        problems=problems,
        problem_count=len(problems),
    )
    return {
        DESTINATION_KEY: as_document(replace(STATE, is_failed=bool(problems))),
        index_key(0): as_document(RouteIndex(routes={name: figures})),
        name: as_document(route),
    }


def minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def a_mail(subject: str, html: str) -> Mail:
    links = f'<p><a href="{RUN_URL}">Last run</a> · <a href="{BASE_URL}/plugin/registry_sync">Mirrors</a></p>'
    return Mail(sender=LOGIN, recipients=("ops@example.com",), subject=subject, html=f"{html}\n{links}")


def test_each_change_is_one_mail(watch: Any) -> None:
    watching = watch()
    watching.store(documents(WELL))
    assert (watching.run().state, watching.mail.take(), watching.remembered()) == ("success", [], None)
    watching.store(documents(FAILING, PROBLEM))
    assert watching.run().state == "success"
    assert watching.mail.take() == [
        a_mail(
            "Mirror one fails: 1 problem",
            f"""\
<p>New in mirror one: 1 problem.</p>
<h3>Failing: 1</h3>
<ul>
<li><b>one/app:v1 → acr</b>: the quota is &lt;used&gt; up<br>\
<small>since {minute(PROBLEM.since)}, failed in 9 runs</small></li>
</ul>""",
        )
    ]
    sent = minute(datetime.fromisoformat(next(iter(watching.remembered()["last"].values()))["at"]))
    watching.run()
    assert watching.mail.take() == []
    watching.store(documents(WELL))
    watching.run()
    assert watching.mail.take() == [
        a_mail(
            "Mirror one recovered",
            f"<p>No problem is left in mirror one. The last message, of {sent}, had 1.</p>",
        )
    ]
    watching.store(documents(STALE))
    watching.run()
    assert watching.mail.take() == [
        a_mail(
            "Mirror one is stale: 1 route behind the promise",
            f"""\
<p>New in mirror one: 1 problem.</p>
<h3>Behind the promise (fresh_within): 1</h3>
<ul>
<li><b>one/app → acr</b>: lacks a tag that the source has had for 5 d; the promise is 2 h<br>\
<small>since {minute(NOW - DAYS + 2 * HOUR)}</small></li>
</ul>""",
        )
    ]


def test_arguments_of_the_file_are_templates_and_texts_of_registries_are_not(watch: Any) -> None:
    own = {
        "class": SMTP,
        "with": {
            "to": ["a@example.com", "b@example.com"],
            "from_email": "mirrors@example.com",
            "subject": "[{{ registry_sync.severity }}] {{ registry_sync.mirror }} {{ registry_sync.event }}",
            "html_content": "<pre>{{ registry_sync.text | e }}</pre>",
            "smtp_conn_id": "mail",
        },
        "on": ["failed"],
    }
    watching = watch(own)
    watching.store(documents(FAILING, replace(PROBLEM, reason="{{ 6 * 7 }} {{ conn.mail.password }}")))
    assert watching.run().state == "success"
    (sent,) = watching.mail.take()
    assert (sent.recipients, sent.subject) == (("a@example.com", "b@example.com"), "[error] one failed")
    assert (
        sent.html
        == f"""\
<pre>New in mirror one: 1 problem.

Failing: 1

one/app:v1 → acr: {{{{ 6 * 7 }}}} {{{{ conn.mail.password }}}}
  since {minute(PROBLEM.since)}, failed in 9 runs

Last run: {RUN_URL}
Mirrors: {BASE_URL}/plugin/registry_sync</pre>"""
    )


@pytest.mark.parametrize(
    ("notifier", "failure"),
    [
        ("RaisingNotifier", "RuntimeError: the service answers 503"),
        ("ExitingNotifier", "SystemExit: 3"),
        ("HangingNotifier", "it did not end in 60 seconds; the message may still arrive"),
        ("Absent", f"the module {OWN} has no class Absent; correct class: in notify"),
        ("MailServer", None),
    ],
)
def test_a_notifier_that_fails_keeps_no_other_from_its_message(watch: Any, notifier: str, failure: str | None) -> None:
    path = f"testkit.mail.{notifier}" if failure is None else f"{OWN}.{notifier}"
    failure = failure or f"{path} is not a notifier: a subclass of airflow.sdk.BaseNotifier"
    watching = watch({"class": path}, MAIL, mirrors=("one", "two"))
    watching.store(documents(FAILING, PROBLEM))
    watching.store(documents(FAILING, PROBLEM), mirror="two")
    ended = watching.run()
    subjects = [sent.subject for sent in watching.mail.take()]
    assert (ended.state, subjects) == ("failed", ["Mirror one fails: 1 problem", "Mirror two fails: 1 problem"])
    assert str(ended.error) == (
        "not all messages were sent:\n"
        f"  {notifier} did not send the message 'Mirror one fails: 1 problem': {failure}\n"
        f"  {notifier} did not send the message 'Mirror two fails: 1 problem': {failure}"
    )
    assert (watching.run().state, watching.mail.take()) == ("failed", [])


def test_what_was_not_sent_is_sent_by_a_later_run(watch: Any) -> None:
    watching = watch()
    watching.store(documents(FAILING, PROBLEM))
    watching.mail.rejects = True
    assert watching.run().state == "failed"
    watching.mail.rejects = False
    assert (watching.run().state, len(watching.mail.take())) == ("success", 1)
    assert (watching.run().state, watching.mail.take()) == ("success", [])


def test_a_notifier_may_take_the_message_from_the_context(watch: Any) -> None:
    watching = watch({"class": f"{OWN}.KeepingNotifier"})
    watching.store(documents(FAILING, PROBLEM))
    assert watching.run().state == "success"
    (message,) = KeepingNotifier.kept
    assert (message.mirror, message.event, message.severity) == ("one", "failed", "error")


def test_a_state_that_cannot_be_read_is_told(watch: Any) -> None:
    watching = watch(mirrors=("one", "two"))
    watching.store({DESTINATION_KEY: {"version": 9}})
    watching.store(documents(FAILING, PROBLEM), mirror="two")
    assert watching.run().state == "success"
    one, two = watching.mail.take()
    assert (one.subject, two.subject) == ("Mirror one fails: 1 problem", "Mirror two fails: 1 problem")
    assert "<b>state of acr</b>: the stored DestinationState cannot be read: " in one.html


def test_nodes_that_were_never_checked_are_told_once(watch: Any) -> None:
    """A new DAG is paused, and nothing else would tell that mirror_readiness does not run."""
    watching = watch(nodes={"outside": {"registry": "acr", "bootstrap_images": ["one/app"]}})
    watching.store(documents(WELL))
    assert (watching.run().state, watching.mail.take()) == ("success", [])
    key = (MESSAGES_ASSET, UNCHECKED_KEY)
    assert datetime.fromisoformat(watching.api.stored[key]) > NOW - HOUR
    watching.api.stored[key] = (NOW - 4 * HOUR).isoformat()
    assert watching.run().state == "success"
    (sent,) = watching.mail.take()
    assert sent.subject == "Node pool outside fails: 1 problem"
    assert (
        "<b>first check</b>: no check of nodes has stored a result yet; find out why the DAG mirror_readiness does not "
        "run, or trigger it<br>"
    ) in sent.html
    assert (watching.run().state, watching.mail.take()) == ("success", [])
    checked = ReadinessState(read_at=NOW, run_id=RUN_ID, starts=(PoolStart(pool="outside", answer="starts"),))
    watching.api.stored[READINESS_ASSET, READINESS_KEY] = as_document(checked)
    assert watching.run().state == "success"
    assert [sent.subject for sent in watching.mail.take()] == ["Node pool outside recovered"]
    assert key not in watching.api.stored


def test_a_secret_in_a_reason_is_masked(watch: Any) -> None:
    watching = watch()
    watching.store(documents(FAILING, PROBLEM))
    watching.run()  # Airflow knows the password now
    watching.mail.take()
    reason = f"{watching.mail.connection['password']} is wrong"
    watching.store(documents(replace(FAILING, failing=2), PROBLEM, replace(PROBLEM, tag="v2", reason=reason)))
    watching.run()
    (sent,) = watching.mail.take()
    assert "<b>one/app:v2 → acr</b>: *** is wrong<br>" in sent.html


LONG_AGO = {"schedule": "@hourly", "since": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("paused", "queued", "cause"),
    [
        ({"mirror_one": True}, 1, "its DAG is paused"),
        ({"mirror_one": False}, 2, "2 queued runs do not start: is the scheduler running?"),
        ({"mirror_one": False}, 0, "is the scheduler running, and does the task report store its results?"),
        ({}, 0, "Airflow does not know its DAG: see the import errors, or the DAG mirror_watch"),
    ],
)
def test_a_mirror_that_never_ran_is_told_once(watch: Any, paused: dict[str, bool], queued: int, cause: str) -> None:
    watching = watch(schedule="@hourly")
    watching.api.paused, watching.api.runs = paused, {("mirror_one", "queued"): queued}
    assert (watching.run().state, watching.mail.take()) == ("success", [])  # the mirror is new
    watching.api.stored[MESSAGES_ASSET, watched_key("one")] = LONG_AGO
    assert watching.run().state == "success"
    (sent,) = watching.mail.take()
    due = (datetime.now(UTC) - timedelta(minutes=15)).replace(minute=0)
    assert sent == Mail(
        sender=LOGIN,
        recipients=("ops@example.com",),
        subject="Mirror one fails: 1 problem",
        html=f"""\
<p>New in mirror one: 1 problem.</p>
<h3>Failing: 1</h3>
<ul>
<li><b>mirror one</b>: no run came: one should have started at {minute(due)}, and none has ended yet; {cause}<br>\
<small>since {minute(due)}</small></li>
</ul>
<p><a href="{BASE_URL}/plugin/registry_sync">Mirrors</a></p>""",
    )
    watching.run()
    assert watching.mail.take() == []
    watching.store(documents(WELL))
    watching.run()
    assert [mail.subject for mail in watching.mail.take()] == ["Mirror one recovered"]


def test_a_run_that_is_running_is_not_missed(watch: Any) -> None:
    watching = watch(schedule="@hourly")
    watching.api.paused, watching.api.runs = {"mirror_one": False}, {("mirror_one", "running"): 1}
    watching.api.stored[MESSAGES_ASSET, watched_key("one")] = LONG_AGO
    assert (watching.run().state, watching.mail.take()) == ("success", [])
    watched = watching.api.stored[MESSAGES_ASSET, watched_key("one")]
    assert watched == LONG_AGO | {"running_since": watched["running_since"]}


def test_a_run_that_hangs_is_told_once_it_runs_for_a_day(watch: Any) -> None:
    watching = watch(schedule="@hourly")
    watching.api.paused, watching.api.runs = {"mirror_one": False}, {("mirror_one", "running"): 1}
    began = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    watching.api.stored[MESSAGES_ASSET, watched_key("one")] = LONG_AGO | {"running_since": began}
    assert watching.run().state == "success"
    (sent,) = watching.mail.take()
    assert "a run is running for longer than a day: see its tasks" in sent.html
    watching.api.runs = {}
    assert watching.run().state == "success"
    assert watching.api.stored[MESSAGES_ASSET, watched_key("one")] == LONG_AGO


def run_report(watch: Watch, **states: str) -> TaskRunResult:
    """Run the task ``report`` of the mirror after tasks with these states."""
    dag = build_dag(watch.file.mirrors["one"], watch.file)
    no_routes: dict[Any, Any] = {(task, -1, "return_value"): [] for task, state in states.items() if state == "success"}
    api = replace(watch.api, dag_id=dag.dag_id, states=states, xcoms={**watch.api.xcoms, **no_routes})
    return run(dag, REPORT_TASK, api)


def test_a_run_that_cannot_list_repositories_is_told_by_itself(watch: Any) -> None:
    watching = watch()
    ended = run_report(watching, routes_to_acr="failed")
    (sent,) = watching.mail.take()
    assert (ended.state, sent.subject) == ("failed", "Mirror one fails: 1 problem")
    assert (
        "<b>list of routes → acr</b>: the task routes_to_acr ended without a result (failed); see its log<br>"
        in sent.html
    )
    run_report(watching, routes_to_acr="failed")
    assert (watching.run().state, watching.mail.take()) == ("success", [])


@pytest.mark.parametrize("notifier", ["RaisingNotifier", "ExitingNotifier", "HangingNotifier", "Absent"])
@pytest.mark.parametrize("listing", ["failed", "success"])
def test_no_notifier_changes_the_outcome_of_a_run(watch: Any, notifier: str, listing: str) -> None:
    plain = run_report(watch(), routes_to_acr=listing)
    watching = watch({"class": f"{OWN}.{notifier}"}, MAIL)
    watching.store(documents(FAILING, PROBLEM))
    watching.mail.take()
    ended = run_report(watching, routes_to_acr=listing)
    assert (ended.state, str(ended.error)) == (plain.state, str(plain.error))
    assert [mail.subject[:14] for mail in watching.mail.take()] == ["Mirror one fai"]


def test_a_dry_run_tells_nothing(watch: Any) -> None:
    watching = watch()
    watching.store(documents(FAILING, PROBLEM))
    watching.api.conf = {"dry_run": True}
    assert (run_report(watching, routes_to_acr="failed").state, watching.mail.take()) == ("failed", [])


def test_nothing_is_sent_while_it_cannot_be_remembered(watch: Any) -> None:
    """Otherwise each run of the watch would send the same messages."""
    watching = watch()
    watching.store(documents(FAILING, PROBLEM))
    watching.api.is_store_broken = True
    ended = watching.run()
    assert (ended.state, watching.mail.take()) == ("failed", [])
    assert str(ended.error).startswith("no message is sent, because Airflow's asset state store cannot remember it: ")


def test_a_mistake_in_the_file_is_told_once_to_each_notifier(watch: Any) -> None:
    """A mirror with a mistake does not run, and nothing else would say so."""
    watching = watch(mirrors=("one", "two"))
    path = watching.file.path
    good = path.read_text()
    path.write_text(good.replace('"two/app"', '"two/APP"'))
    assert watching.run().state == "success"
    (sent,) = watching.mail.take()
    assert (sent.recipients, sent.subject) == (("ops@example.com",), "The mirrors file fails: 1 problem")
    problem = "'two/APP' is not a repository name: upper-case letters are not allowed; write 'two/app'"
    begin, _, end = sent.html.partition("<small>")
    assert (
        begin
        == f"""\
<p>New in the mirrors file: 1 problem.</p>
<h3>Failing: 1</h3>
<ul>
<li><b>mirrors.yaml:1</b>: mirrors.two.repositories[0]: {escape(problem)}<br>"""
    )
    assert end.endswith(f'</ul>\n<p><a href="{BASE_URL}/plugin/registry_sync">Mirrors</a></p>')
    path.write_text("\n" + good.replace('"two/app"', '"two/APP"'))
    watching.run()
    assert watching.mail.take() == []
    path.write_text(good)
    watching.run()
    assert [mail.subject for mail in watching.mail.take()] == ["The mirrors file recovered"]


def test_a_disabled_mirror_is_told_nothing_and_begins_anew_when_it_is_enabled(watch: Any, tmp_path: Path) -> None:
    watching = watch(schedule="@hourly")
    watching.api.paused, watching.api.runs = {"mirror_one": False}, {}
    watching.store(documents(FAILING, PROBLEM))
    watching.api.stored[MESSAGES_ASSET, watched_key("one")] = LONG_AGO
    path = tmp_path / "mirrors.yaml"
    text = json.loads(path.read_text())
    text["defaults"] |= {"enabled": False, "until": "2999-01-31"}
    path.write_text(json.dumps(text))
    watching.dag = build_watch_dag(load_mirrors(path), tmp_path / "dags" / "mirrors.py")
    assert (watching.run().state, watching.mail.take()) == ("success", [])
    assert (MESSAGES_ASSET, watched_key("one")) not in watching.api.stored
    watching.dag = build_watch_dag(watching.file, tmp_path / "dags" / "mirrors.py")
    assert watching.run().state == "success"
    assert [mail.subject for mail in watching.mail.take()] == ["Mirror one fails: 1 problem"]
