"""Whole DAG runs: a real Airflow (scheduler, LocalExecutor), real registries, the real skopeo."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from testkit import images
from testkit.airflow import Component, LocalAirflow
from testkit.gpg import Signer
from testkit.interceptor import Interceptor
from testkit.pages_without_link import PagesWithoutLink
from testkit.processes import skopeos
from testkit.project import PROJECT
from testkit.registry import Htpasswd, RegistryProcess
from testkit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

PASSWORD = "hunter2-of-the-destination"
BASIC = b64encode(f"robot:{PASSWORD}".encode()).decode()
APP = images.multi_arch("app")
WEB = images.multi_arch("web", attestations=True)
BIG = images.image([images.big_layer(8_000_000)])


WRITERS: tuple[Component, ...] = ("scheduler", "dag-processor")
"""Components that write to the database. SQLite may be locked for the one command that bypasses the API."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A source, the same with short pages, an open destination, one with a password, and an Airflow.

    ``liar`` is an interceptor in front of the source, for which ``signer`` signs.
    """

    source: RegistryProcess
    liar: Interceptor
    quay: Interceptor
    signer: Signer
    paged: PagesWithoutLink
    open: RegistryProcess
    wire: Interceptor
    locked: RegistryProcess
    airflow: LocalAirflow
    file: Path

    def write(self, *, extra: str = "") -> None:
        """Write the mirrors file; ``extra`` are further mirrors."""
        now = datetime.now(UTC)
        start = now - timedelta(days=5)
        self.file.write_text(
            _MIRRORS.format(
                source=self.source.host,
                liar=self.liar.host,
                quay=self.quay.host,
                policy=self.signer.policy,
                registries_d=self.signer.registries_d,
                paged=self.paged.host,
                open=self.wire.host,
                locked=self.locked.host,
                start=f"{start:%Y-%m-%d}",
                last_hour=f"{now - timedelta(hours=1):%Y-%m-%dT%H}:00:00Z",
            )
            + extra
        )


_MIRRORS = """\
registries:
  source: {{host: "{source}", tls: false}}
  liar: {{host: "{liar}", tls: false}}
  quay: {{host: "{quay}", tls: false, kind: quay}}
  paged: {{host: "{paged}", tls: false}}
  open: {{host: "{open}", tls: false}}
  locked: {{host: "{locked}", tls: false, connection: registry_locked}}
mirrors:
  hourly:
    schedule: "@hourly"
    start_date: "{last_hour}"
    catchup: true
    source: source
    destinations: [open, locked]
    repositories: [team/app, {{repository: team/web, rename: web/site}}]
  daily:
    schedule: "@daily"
    start_date: "{start}"
    source: source
    destinations: [open]
    repositories: [{{repository: team/app, rename: daily/app}}]
  by_hand:
    source: source
    destinations: [open, locked]
    repositories:
      - {{repository: team/app, rename: hand/app}}
      - {{repository: team/web, rename: hand/web}}
      - {{repository: team/big, rename: hand/big}}
    retries: 0
  trusting:
    source: liar
    destinations: [open]
    policy: {policy}
    registries_d: {registries_d}
    repositories: [team/signed, team/unsigned]
    retries: 0
  linked:
    source: quay
    destinations: [open]
    repositories: [{{repository: team/app, rename: linked/app}}, {{repository: team/web, rename: linked/web}}]
    retries: 0
  lossy: {{source: source, destinations: [open], repositories: [team/lost], retries: 0}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("airflow")
    with ExitStack() as opened:
        source = opened.enter_context(RegistryProcess())
        paged = opened.enter_context(PagesWithoutLink(source, page_size=20))
        destination = opened.enter_context(RegistryProcess())
        wire = opened.enter_context(Interceptor(destination.url))
        liar = opened.enter_context(Interceptor(source.url))
        quay = opened.enter_context(Interceptor(source.url))
        (folder / "trust").mkdir()
        signer = opened.enter_context(Signer(folder / "trust", liar.host))
        locked = opened.enter_context(RegistryProcess(auth=Htpasswd(users={"robot": PASSWORD})))
        for tag in ("v1", "v2", "latest"):
            images.push(source.url, "team/app", tag, APP if tag == "v1" else images.multi_arch("app two"))
        images.push(source.url, "team/web", "v1", WEB)
        images.push(source.url, "team/big", "v1", BIG)
        airflow = LocalAirflow(
            folder / "home",
            mirrors_file=folder / "mirrors.yaml",
            paused=True,
            connections={
                "registry_locked": {
                    "conn_type": "docker",
                    "host": locked.host,
                    "login": "robot",
                    "password": PASSWORD,
                }
            },
            settings={
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            },
        )
        built = Stack(
            source=source,
            liar=liar,
            quay=quay,
            signer=signer,
            paged=paged,
            open=destination,
            wire=wire,
            locked=locked,
            airflow=airflow,
            file=folder / "mirrors.yaml",
        )
        built.write()
        opened.enter_context(airflow)
        yield built


def trigger_and_wait(stack: Stack, dag_id: str = "mirror_by_hand", **conf: Any) -> dict[str, Any]:
    """Trigger a DAG as its form does, and wait for the end of the run."""
    api = stack.airflow.api
    api.wait_for_dag(dag_id)
    api.unpause(dag_id)
    return api.wait_for_run(dag_id, api.trigger(dag_id, conf))


def labels(stack: Stack, run: dict[str, Any], task_id: str) -> dict[str, str]:
    """State of each mapped task by its label in the UI."""
    found = stack.airflow.api.task_instances(run["dag_id"], run["dag_run_id"], task_id)
    return {each["rendered_map_index"]: each["state"] for each in found}


def report_log(stack: Stack, run: dict[str, Any], try_number: int = 1) -> str:
    return stack.airflow.api.log(run["dag_id"], run["dag_run_id"], "report", try_number=try_number)


def test_a_scheduled_run_mirrors_all_routes_and_reports(stack: Stack) -> None:
    api = stack.airflow.api
    dag = api.wait_for_dag("mirror_hourly")
    assert dag["timetable_summary"] == "0 * * * *"
    api.unpause("mirror_hourly")
    wait_until(lambda: bool(api.dag_runs("mirror_hourly")), "the scheduler made a run")
    run = api.wait_for_run("mirror_hourly", api.dag_runs("mirror_hourly")[0]["dag_run_id"])
    api.unpause("mirror_hourly", paused=True)
    assert (run["run_type"], run["state"]) == ("scheduled", "success")
    start, end = (datetime.fromisoformat(run[f"data_interval_{side}"]) for side in ("start", "end"))
    assert end - start == timedelta(hours=1)
    assert labels(stack, run, "to_open") == {"team/app → open": "success", "team/web → open/web/site": "success"}
    assert labels(stack, run, "to_locked") == {"team/app → locked": "success", "team/web → locked/web/site": "success"}
    assert images.pull_whole(stack.open.url, "team/app", "v1") == {"linux/amd64", "linux/arm64"}
    assert images.resolve(stack.open.url, "web/site", "v1") == WEB.digest
    log = report_log(stack, run)
    assert f"{stack.source.host}/team/app" in log
    assert "hourly: 8 tags copied, 0 unchanged" in log


def test_a_new_mirror_waits_for_its_next_tick(stack: Stack) -> None:
    """The trigger form unpauses it, and the run that it asks for is the only one until then."""
    api = stack.airflow.api
    mirror = (
        "{{schedule: '{}', source: source, destinations: [open], repositories: [{{repository: team/app, rename: {}}}]}}"
    )
    new = {"monthly": mirror.format("@monthly", "new/a"), "minutely": mirror.format("* * * * *", "new/b")}
    stack.write(extra="".join(f"  {name}: {text}\n" for name, text in new.items()))
    try:
        for name in new:
            api.wait_for_dag(f"mirror_{name}")
        run_id = api.trigger("mirror_monthly", {"dry_run": True})
        unpaused = datetime.now(UTC)
        for name in new:
            api.unpause(f"mirror_{name}")
        run = api.wait_for_run("mirror_monthly", run_id)
        wait_until(lambda: bool(api.dag_runs("mirror_minutely")), "the scheduler made the run of a tick")
        minutely = api.dag_runs("mirror_minutely")[0]
        api.unpause("mirror_minutely", paused=True)
        monthly = api.call("GET", "dags/mirror_monthly")
    finally:
        stack.write()
    assert "monthly: 3 tags would be copied (dry run), 0 unchanged" in report_log(stack, run)
    assert datetime.fromisoformat(minutely["run_after"]) > unpaused - timedelta(seconds=35)  # half a minute of grace
    assert [dag_run["dag_run_id"] for dag_run in api.dag_runs("mirror_monthly")] == [run_id]
    assert datetime.fromisoformat(monthly["next_dagrun_run_after"]) > unpaused


def test_commands_use_connections_of_the_database(stack: Stack, tmp_path: Path) -> None:
    login = ("--conn-type", "docker", "--conn-login", "robot", "--conn-password", PASSWORD)
    added = stack.airflow.run("connections", "add", "registry_stored", *login)
    assert added.returncode == 0, added.stderr
    file = tmp_path / "mirrors.yaml"
    registries = f"{{locked: {{host: '{stack.locked.host}', tls: false, connection: registry_stored}}}}"
    file.write_text(f"registries: {registries}\nmirrors: {{}}\n")
    environment = {**stack.airflow.environment, "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-m", "registry_sync", "check", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rows = [re.split("  +", line) for line in done.stdout.splitlines()]
    assert ["registry locked", "log in", f"ok, {stack.locked.host} as 'robot'"] in rows, done.stderr


def test_workers_are_checked(stack: Stack) -> None:
    """``check --on-workers`` runs a DAG that is not paused, waits for it, and prints what its workers lack."""
    stack.airflow.api.wait_for_dag("mirrors_check")
    environment = {**stack.airflow.environment, "PYTHONPATH": str(PROJECT / "plugins")}
    command = [sys.executable, "-m", "registry_sync", "check", str(stack.file), "--on-workers", "--wait", "120"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rows = [re.split("  +", line) for line in done.stdout.splitlines()]
    assert ["default queue, pool default_pool", "worker", f"ok, {platform.node()}"] in rows, done.stderr
    assert ["registry locked", "log in", f"ok, {stack.locked.host} as 'robot'"] in rows
    assert ["registry open", "anonymous access", f"ok, {stack.wire.host}"] in rows
    assert re.search(r"default queue, pool default_pool: (success|failed)\n", done.stderr)


def test_a_manual_run_uses_its_parameters(stack: Stack) -> None:
    run = trigger_and_wait(stack, repositories=["team/a*"], destinations=["open"], tags=["v1"], dry_run=True)
    assert (run["run_type"], run["state"]) == ("manual", "success")
    assert "by_hand: 1 tags would be copied (dry run), 0 unchanged" in report_log(stack, run)
    assert images.resolve(stack.open.url, "hand/app", "v1") is None
    run = trigger_and_wait(stack, repositories=["team/a*"], destinations=["open"], tags=["v1"])
    assert labels(stack, run, "to_open") == {"team/app → open/hand/app": "success"}
    assert images.resolve(stack.open.url, "hand/app", "v1") == APP.digest
    assert images.resolve(stack.open.url, "hand/app", "v2") is None
    assert images.resolve(stack.open.url, "hand/web", "v1") is None


def test_an_unknown_parameter_is_refused(stack: Stack) -> None:
    run = trigger_and_wait(stack, repositorys=["team/app"])
    assert run["state"] == "failed"
    log = stack.airflow.api.log("mirror_by_hand", run["dag_run_id"], "routes_to_open")
    assert "unknown parameters ['repositorys']; the parameters of this DAG are ['accept', 'deep_check', " in log


def test_all_pages_of_tags_arrive_though_no_link_names_them(stack: Stack) -> None:
    """Nexus and others send full pages without ``Link``, https://github.com/sonatype/nexus-public/issues/209."""
    api, tags = stack.airflow.api, [f"v{number:02d}" for number in range(45)]
    for tag in tags:
        images.push(stack.source.url, "team/paged", tag, APP)
    stack.write(extra="  paged: {source: paged, destinations: [open], repositories: [team/paged]}\n")
    try:
        api.wait_for_dag("mirror_paged")
        api.unpause("mirror_paged")
        run = api.wait_for_run("mirror_paged", api.trigger("mirror_paged", {}))
    finally:
        stack.write()
    assert run["state"] == "success"
    assert "paged: 45 tags copied, 0 unchanged" in report_log(stack, run)
    assert {images.resolve(stack.open.url, "team/paged", tag) for tag in tags} == {APP.digest}


def test_a_backfill_runs_once_per_interval(stack: Stack) -> None:
    last = datetime.now(UTC).date() - timedelta(days=1)
    first = last - timedelta(days=2)
    api = stack.airflow.api
    api.wait_for_dag("mirror_daily")
    stack.airflow.stop(WRITERS)
    done = stack.airflow.run(
        *("backfill", "create", "--dag-id", "mirror_daily", "--from-date", str(first), "--to-date", str(last)),
        *("--max-active-runs", "1"),
    )
    assert done.returncode == 0, done.stderr
    stack.airflow.start(WRITERS)
    api.unpause("mirror_daily")
    wait_until(lambda: len(api.dag_runs("mirror_daily")) >= 3, "the backfill has its runs")
    api.unpause("mirror_daily", paused=False)
    runs = [dag_run for dag_run in api.dag_runs("mirror_daily") if dag_run["run_type"] == "backfill"]
    ended = [api.wait_for_run("mirror_daily", run["dag_run_id"]) for run in runs]
    api.unpause("mirror_daily", paused=True)
    assert [each["state"] for each in ended] == ["success"] * 3
    assert sorted(each["logical_date"][:10] for each in ended) == [str(first + timedelta(days=n)) for n in range(3)]
    assert images.resolve(stack.open.url, "daily/app", "v2") is not None
    reports = "\n".join(report_log(stack, each) for each in ended)
    assert reports.count("daily: 3 tags copied, 0 unchanged") == 1
    assert reports.count("daily: everything is in sync, nothing was copied (3 tags unchanged)") == 2


def test_a_failed_route_is_cleared_and_retried_alone(stack: Stack) -> None:
    api = stack.airflow.api
    stack.wire.answer("PUT", "/v2/hand/web/manifests/v1", 403, b'{"errors": [{"code": "DENIED", "message": "no"}]}')
    run = trigger_and_wait(stack, destinations=["open"], repositories=["team/app", "team/web"])
    stack.wire.clear_rules()
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    assert run["state"] == "failed"
    assert labels(stack, run, "to_open") == {
        "team/app → open/hand/app": "success",
        "team/web → open/hand/web": "failed",
    }
    log = report_log(stack, run)
    assert "by_hand: 1 of 2 routes failed" in log
    assert f"Failed:\n  {stack.source.host}/team/web:v1 → {stack.wire.host}/hand/web: " in log
    [failed] = [
        task_instance
        for task_instance in api.task_instances(dag_id, run_id, "to_open")
        if task_instance["state"] == "failed"
    ]
    assert failed["try_number"] == 1
    cleared = api.clear(dag_id, run_id, [("to_open", failed["map_index"])])
    assert {(each["task_id"], each["map_index"]) for each in cleared} == {
        ("to_open", failed["map_index"]),
        ("changes", -1),
        ("report", -1),
    }
    run = api.wait_for_run(dag_id, run_id)
    assert run["state"] == "success"
    tries = {
        task_instance["rendered_map_index"]: task_instance["try_number"]
        for task_instance in api.task_instances(dag_id, run_id, "to_open")
    }
    assert tries == {"team/app → open/hand/app": 1, "team/web → open/hand/web": 2}
    assert images.resolve(stack.open.url, "hand/web", "v1") == WEB.digest


def test_a_deep_check_repairs_what_the_destination_lost(stack: Stack) -> None:
    """A layer is lost, and an ordinary run does not notice. Then one is damaged, which docker-registry keeps."""
    chosen: dict[str, Any] = {"repositories": ["team/app"], "destinations": ["open"], "tags": ["v1"]}
    trigger_and_wait(stack, **chosen)
    layer = APP.children[0].blobs[-1].digest
    stack.open.forget_blob(layer)
    stack.open.restart()
    run = trigger_and_wait(stack, **chosen, deep_check=True)
    assert run["state"] == "success"
    log = report_log(stack, run)
    assert f"layer {layer} was missing at the destination; sent again" in log
    assert "by_hand: everything is in sync, nothing was copied (0 tags unchanged, 2 skipped), 1 repaired" in log
    images.pull_whole(stack.open.url, "hand/app", "v1")
    stack.open.damage_blob(layer)
    run = trigger_and_wait(stack, **chosen, deep_check=True)
    assert run["state"] == "failed"
    damaged = stack.airflow.api.xcom("mirror_by_hand", run["dag_run_id"], "report", "damaged")
    assert [each["parts"] for each in damaged["open"]] == [[str(layer)]]
    stack.open.damage_blob(layer)  # whole again
    run = trigger_and_wait(stack, **chosen, deep_check=True)
    assert run["state"] == "success"
    assert stack.airflow.api.xcom("mirror_by_hand", run["dag_run_id"], "report", "damaged") == {}


def test_a_policy_publishes_only_what_skopeo_accepted(stack: Stack) -> None:
    """The source refuses the unsigned image to skopeo, before its check; the destination has the content already."""
    signed, unsigned = images.multi_arch("signed"), images.image([images.layer({"a": b"unsigned"})])
    images.push(stack.source.url, "team/signed", "v1", signed)
    images.push(stack.source.url, "team/unsigned", "v1", unsigned)
    images.push(stack.open.url, "team/unsigned", None, unsigned)
    stack.signer.sign_all("team/signed", signed)
    stack.liar.answer("GET", "/v2/team/unsigned/manifests/sha256:", 405, only_skopeo=True)
    run = trigger_and_wait(stack, "mirror_trusting")
    assert labels(stack, run, "to_open") == {"team/signed → open": "success", "team/unsigned → open": "failed"}
    assert "trusting: 1 of 2 routes failed, 1 tags copied" in report_log(stack, run)
    assert images.pull_whole(stack.open.url, "team/signed", "v1") == {"linux/amd64", "linux/arm64"}
    assert images.resolve(stack.open.url, "team/unsigned", "v1") is None


def test_a_task_links_to_its_repositories(stack: Stack) -> None:
    """Also when the task fails: this source lists no tags. A docker-registry has no web page."""
    stack.quay.answer("GET", "/api/v1/repository$", 200, b'{"repositories": []}')
    run = trigger_and_wait(stack, "mirror_linked")
    host = stack.quay.host
    for index, name in enumerate(("app", "web")):
        links = stack.airflow.api.call(
            "GET", f"dags/mirror_linked/dagRuns/{run['dag_run_id']}/taskInstances/to_open/links?map_index={index}"
        )
        assert links["extra_links"] == {
            "Source repository": f"https://{host}/repository/team/{name}?tab=tags",
            "Destination repository": None,
            "Mirrors": f"{stack.airflow.url}/registry-sync/repository?name={quote(host)}%2Fteam%2F{name}",
        }


def test_a_layer_lost_at_the_destination_is_sent_again(stack: Stack) -> None:
    content = images.multi_arch("lost")
    images.push(stack.source.url, "team/lost", "v1", content)
    images.push(stack.open.url, "team/lost", "old", content)
    stack.open.forget_blob(content.children[1].blobs[-1].digest)
    stack.open.restart()
    run = trigger_and_wait(stack, "mirror_lossy")
    assert run["state"] == "success"
    assert "lossy: 1 tags copied" in report_log(stack, run)
    assert images.pull_whole(stack.open.url, "team/lost", "v1") == {"linux/amd64", "linux/arm64"}


def test_marking_a_task_failed_stops_skopeo(stack: Stack) -> None:
    api = stack.airflow.api
    api.wait_for_dag("mirror_by_hand")
    api.unpause("mirror_by_hand")
    stack.wire.slow("PATCH", "/v2/hand/big/", 200_000)
    run_id = api.trigger("mirror_by_hand", {"destinations": ["open"], "repositories": ["team/big"]})
    wait_until(lambda: bool(skopeos(stack.wire.host)), "skopeo runs")
    api.set_state("mirror_by_hand", run_id, "to_open", "failed", map_index=0)
    wait_until(lambda: not skopeos(stack.wire.host), "skopeo is gone")
    stack.wire.clear_rules()
    assert api.wait_for_run("mirror_by_hand", run_id)["state"] == "failed"
    assert images.resolve(stack.open.url, "hand/big", "v1") is None
    wait_until(lambda: not list((stack.airflow.home / "tmp").rglob("auth.json")), "no auth file is left")


def test_a_broken_mirror_is_an_import_error_and_the_others_keep_running(stack: Stack) -> None:
    api = stack.airflow.api
    stack.write(extra="  broken: {source: sauce, destinations: [open], repositories: [team/app], schedul: '@hourly'}\n")
    try:
        wait_until(lambda: "mirrors_check.py" in api.import_errors(), "the error is shown")
        shown = api.import_errors()
        assert set(shown) == {"mirrors_check.py"}
        text, line = shown["mirrors_check.py"], len(_MIRRORS.splitlines()) + 1
        assert f"mirrors.yaml:{line}: mirrors.broken.schedul: unknown key 'schedul'; did you mean 'schedule'?" in text
        assert not api.call("GET", "dags/mirror_hourly")["is_stale"]
    finally:
        stack.write()
    wait_until(lambda: not api.import_errors(), "the error is gone")


def test_invalid_yaml_is_an_import_error_while_runs_use_the_last_good_text(stack: Stack) -> None:
    api = stack.airflow.api
    before = {dag_run["dag_run_id"] for dag_run in api.dag_runs("mirror_hourly")}
    stack.file.write_text("registries: {a: [\n")
    try:
        wait_until(lambda: "mirrors_check.py" in api.import_errors(), "the error is shown")
        shown = api.import_errors()
        assert set(shown) == {"mirrors_check.py"}
        problem = "mirrors.yaml:2: this is not valid YAML: close the bracket of line 1"
        assert problem in shown["mirrors_check.py"]
        run = trigger_and_wait(stack, dry_run=True)
        assert run["state"] == "success"
        note = api.xcom("mirror_by_hand", run["dag_run_id"], "report")["note"]
        assert note.startswith("the mirrors file has an error; runs use its text of 20")
        assert f" UTC until it is corrected: {problem} (" in note
        assert note in report_log(stack, run)
        assert note in api.log("mirror_by_hand", run["dag_run_id"], "routes_to_open")
        assert api.wait_for_dag("mirror_hourly")
    finally:
        stack.write()
    wait_until(lambda: not api.import_errors(), "the error is gone")
    assert {dag_run["dag_run_id"] for dag_run in api.dag_runs("mirror_hourly")} >= before


def test_nothing_secret_is_in_logs_xcom_or_rendered_fields(stack: Stack) -> None:
    """The last test of this file: it reads everything that the tests before it wrote, at log level DEBUG."""
    api = stack.airflow.api
    run = trigger_and_wait(stack, destinations=["locked"], repositories=["team/app", "team/web"])
    assert run["state"] == "success"
    home = stack.airflow.home
    logs = [*(home / "logs").rglob("*.log"), *(home / "output").iterdir()]
    assert sum(path.stat().st_size for path in logs) > 10_000
    documents = [path.read_text(errors="replace") for path in logs]
    dags = ("mirror_hourly", "mirror_daily", "mirror_by_hand")
    for dag_id in dags:
        documents.append(json.dumps(api.call("GET", f"dags/{dag_id}/details")))
        documents.append(json.dumps(api.call("GET", f"dags/{dag_id}/dagRuns/~/taskInstances", limit=500)))
        entries = api.call("GET", f"dags/{dag_id}/dagRuns/~/taskInstances/~/xcomEntries", limit=500)["xcom_entries"]
        for entry in entries:
            value = api.xcom(dag_id, entry["run_id"], entry["task_id"], entry["key"], entry["map_index"])
            documents.append(json.dumps(value))
    assert any('"counts"' in each for each in documents), "no reports among the XComs"
    database = (home / "airflow.db").read_bytes().decode("latin-1")
    for document in (*documents, database):
        assert PASSWORD not in document
        assert BASIC not in document
