"""``check`` with a database of Airflow: pools, processes, settings, Connections."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from airflow import settings
from airflow.jobs.job import Job, JobState
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.pool import Pool
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from registry_sync.airflow.checks.database import check_database
from registry_sync.airflow.checks.settings import check_map_length, check_queues
from registry_sync.airflow.hooks.find_connection import find_connection
from registry_sync.checks.finding import Finding
from registry_sync.checks.registries import MAX_REPOSITORIES, check_registries
from registry_sync.checks.report_text import advice, findings_table
from registry_sync.cli.arguments import FAILED, UNANSWERED
from registry_sync.cli.main import main
from registry_sync.config.connection_type import known_type
from registry_sync.config.document import MirrorsFile
from registry_sync.config.registry import Registry
from registry_sync.registry.endpoint import Credentials
from registry_sync.routes.load import load_mirrors
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.registry import RegistryProcess
from testkit.routes import LoopbackConnections
from testkit.scripted import Reply, ScriptedRequest, ScriptedServer
from testkit.token_server import TokenServer


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("database")
    LocalAirflow(home).migrate()
    return f"sqlite:///{home}/airflow.db"


@pytest.fixture
def database(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of the database that commands of this process use."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    engine = create_engine(address)
    with Session(engine) as session:
        monkeypatch.setattr(settings, "Session", lambda: Session(engine))
        yield session
        session.rollback()
        for kind in (Job, Connection):
            session.query(kind).delete()
        session.query(Pool).filter(Pool.pool != "default_pool").delete()
        session.commit()
    engine.dispose()


def mirrors(folder: Path, repositories: list[Any] | None = None, **backup: Any) -> MirrorsFile:
    registries = {
        "origin": {"host": "127.0.0.1:1", "tls": False},
        "backup": {"host": "127.0.0.1:2", "tls": False, **backup},
    }
    mirror = {"source": "origin", "destinations": ["backup"], "repositories": repositories or ["team/app"]}
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps({"registries": registries, "mirrors": {"team": mirror}}))
    return load_mirrors(path)


def of(found: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in found if finding.subject == subject]


class TestPools:
    @pytest.mark.parametrize(
        ("slots", "verdict", "text"),
        [
            (None, "missing", "does not exist, so tasks to backup would wait for ever"),
            (0, "missing", "has no slots, so tasks to backup would wait for ever"),
            (4, "ok", "4 slots"),
            (-1, "ok", "unlimited"),
        ],
    )
    def test_one_that_lets_tasks_wait_for_ever_is_missing(
        self, database: Session, tmp_path: Path, slots: int | None, verdict: str, text: str
    ) -> None:
        if slots is not None:
            database.add(Pool(pool="acr", slots=slots, include_deferred=False))
            database.commit()
        (found,) = of(list(check_database(mirrors(tmp_path, pool="acr"))), "pool acr")
        assert (found.verdict, found.text) == (verdict, text)
        assert found.remedy == ("airflow pools set acr 4 'backup'" if verdict == "missing" else "")

    @pytest.mark.usefixtures("database")
    def test_the_default_pool_is_there(self, tmp_path: Path) -> None:
        (found,) = of(list(check_database(mirrors(tmp_path))), "pool default_pool")
        assert found.verdict == "ok"


@pytest.mark.parametrize(("is_paused", "is_stale"), [(True, False), (False, False), (True, True)])
def test_a_paused_dag_for_pushes_is_told(database: Session, tmp_path: Path, is_paused: bool, is_stale: bool) -> None:
    """A stale one is that of a mirror that has no events any more."""
    database.merge(DagBundleModel(name="bundle"))
    database.flush()
    database.merge(DagModel(dag_id="mirror_team_pushes", bundle_name="bundle", is_paused=is_paused, is_stale=is_stale))
    database.commit()
    found = of(list(check_database(mirrors(tmp_path))), "mirror_team_pushes")
    paused = Finding(
        subject="mirror_team_pushes",
        check="runs",
        verdict="warning",
        text="is paused, so pushes start nothing",
        remedy="airflow dags unpause mirror_team_pushes",
    )
    assert found == ([paused] if is_paused and not is_stale else [])


class TestProcesses:
    @pytest.mark.usefixtures("database")
    def test_without_a_heartbeat_they_are_missing(self, tmp_path: Path) -> None:
        found = {each.check: each for each in of(list(check_database(mirrors(tmp_path))), "Airflow")}
        assert found["triggerer"] == Finding(
            subject="Airflow",
            check="triggerer",
            verdict="missing",
            text="does not run (never seen): a task that a registry rate-limits for long is never resumed",
            remedy="start it: airflow triggerer",
        )
        assert {found[name].verdict for name in ("scheduler", "DAG processor")} == {"missing"}
        assert found["database"].verdict == "warning"

    @pytest.mark.parametrize(("age", "verdict"), [(0, "ok"), (3600, "missing")])
    def test_the_age_of_the_heartbeat_counts(self, database: Session, tmp_path: Path, age: int, verdict: str) -> None:
        job = Job(job_type="TriggererJob", state=JobState.RUNNING)
        job.latest_heartbeat = datetime.now(UTC) - timedelta(seconds=age)
        database.add(job)
        database.commit()
        (found,) = [each for each in check_database(mirrors(tmp_path)) if each.check == "triggerer"]
        assert found.verdict == verdict


def test_without_a_database_it_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    found = check_database(mirrors(tmp_path))
    assert {each.verdict for each in found} == {"skipped"}
    assert {each.text for each in found} == {NO_DATABASE}


NO_DATABASE = (
    "there is no database of Airflow here; run this where Airflow's scheduler or API server runs, whose database it "
    "reads; workers have no access to it"
)


def test_a_remark_that_the_table_cuts_is_whole_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    found = check_database(mirrors(tmp_path))
    assert "not checked: there is no database of Airflow here; run this where" in findings_table(found)
    assert advice(found) == f"not checked: Airflow: pools, scheduler, DAG processor, triggerer: {NO_DATABASE}"


@pytest.mark.parametrize("tables", ["", "CREATE TABLE notes (text TEXT)"], ids=["empty", "of others"])
def test_a_database_without_tables_of_airflow_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: str
) -> None:
    """Looking for a Connection leaves an empty file where there was none."""
    address = f"sqlite:///{tmp_path}/not ours.db"
    with closing(sqlite3.connect(tmp_path / "not ours.db")) as other:
        other.execute(tables)
    (tmp_path / "not ours.db").touch()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    found = check_database(mirrors(tmp_path))
    assert {each.verdict for each in found} == {"skipped"}
    assert {each.text for each in found} == {NO_DATABASE}


@pytest.mark.parametrize("is_empty", [False, True], ids=["absent", "empty"])
def test_a_connection_is_missing_where_no_database_can_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_empty: bool
) -> None:
    """Airflow asks its database nevertheless, and makes the file by that."""
    address = f"sqlite:///{tmp_path}/none.db"
    if is_empty:
        (tmp_path / "none.db").touch()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    engine = create_engine(address)
    monkeypatch.setattr(settings, "Session", lambda: Session(engine))
    assert main(["check", str(mirrors(tmp_path, connection="registry_src").path)]) == FAILED
    engine.dispose()
    assert (
        "MISSING: registry backup: Connection registry_src: no Airflow Connection named 'registry_src'; create it "
        "(type oci_registry or docker, with login and password: docs/connections.md), or remove 'connection:' if "
        "anonymous pulls are enough\n  → export AIRFLOW_CONN_REGISTRY_SRC='"
        """{"conn_type": "oci_registry", "login": "USER", "password": "PASSWORD"}'\n"""
    ) in capsys.readouterr().out


@pytest.mark.usefixtures("database")
def test_a_connection_is_created_in_the_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(mirrors(tmp_path, connection="registry_src").path)]) == FAILED
    assert (
        f"\n  → airflow connections add registry_src --conn-type {known_type()} --conn-host 127.0.0.1:2 "
        '--conn-login "$USERNAME" --conn-password "$PASSWORD"\n'
    ) in capsys.readouterr().out


def test_a_database_of_another_revision_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/old.db"
    with closing(sqlite3.connect(tmp_path / "old.db")) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    engine = create_engine(address)
    monkeypatch.setattr(settings, "Session", lambda: Session(engine))
    (found,) = check_database(mirrors(tmp_path))
    engine.dispose()
    assert (found.subject, found.check, found.verdict, found.remedy) == (
        "Airflow",
        "database",
        "missing",
        "airflow db migrate",
    )
    assert found.text.startswith(f"cannot read Airflow's database at {address}: no such table: slot_pool; run this ")


def test_a_database_that_another_process_locks_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"sqlite:///{tmp_path}/locked.db"
    (tmp_path / "locked.db").touch()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    engine = create_engine(address, connect_args={"timeout": 0})
    monkeypatch.setattr(settings, "Session", lambda: Session(engine))
    with closing(sqlite3.connect(tmp_path / "locked.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        (found,) = check_database(mirrors(tmp_path))
    engine.dispose()
    assert (found.subject, found.check, found.verdict) == ("Airflow", "database", "unknown")
    assert found.text.startswith(f"cannot read Airflow's database at {address}: database is locked; run this ")


def test_a_mirror_with_too_many_repositories_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
    (found,) = check_map_length(mirrors(tmp_path, ["team/a", "team/b", "team/c"]))
    assert (found.verdict, found.text, found.remedy) == (
        "missing",
        "the mirror has 3 repositories, but Airflow maps at most 2, as this machine is set",
        "set AIRFLOW__CORE__MAX_MAP_LENGTH=103 or more for the API server and the workers",
    )


def test_a_queue_is_told_only_by_celery(tmp_path: Path) -> None:
    (found,) = check_queues(mirrors(tmp_path, queue="acr"))
    assert (found.subject, found.verdict) == ("queue acr", "skipped")
    assert found.text.endswith(" does not report which queues have workers; check --on-workers runs a task there")


@pytest.mark.parametrize("command", [["check"], ["plan", "--mirror", "team"], ["verify"]])
def test_commands_read_connections_of_the_database(
    database: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """The type is one of another service, which only who has read the Connection can know."""
    database.add(Connection(conn_id="stored", conn_type="aws", login="AKIA", password="the-secret-key"))
    database.commit()
    connection = find_connection("stored")
    assert connection is not None
    file = mirrors(tmp_path, connection="stored").path
    with RegistryProcess() as origin:
        images.push(origin.url, "team/app", "v1", images.image([]))
        file.write_text(file.read_text().replace("127.0.0.1:1", origin.host))
        assert main([command[0], str(file), *command[1:]]) == FAILED
    printed = capsys.readouterr()
    assert "has an identity of AWS" in printed.out + printed.err


def test_what_could_not_be_asked_has_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.integration.test_connection_types.Down")
    monkeypatch.setattr("airflow.sdk.configuration._secrets_backend_cache", {})
    file = mirrors(tmp_path, connection="stored").path
    with RegistryProcess() as origin:
        images.push(origin.url, "team/app", "v1", images.image([]))
        file.write_text(file.read_text().replace("127.0.0.1:1", origin.host))
        assert main(["plan", str(file), "--mirror", "team"]) == UNANSWERED
        assert "the secrets backend Down could not be asked" in capsys.readouterr().out
        assert main(["check", str(file)]) == UNANSWERED
    assert (
        "UNKNOWN: registry backup: Connection stored: it is unknown whether Airflow has a Connection 'stored': the "
        "secrets backend Down could not be asked (ConnectionError: vault.example:8200 refused stored)"
    ) in capsys.readouterr().out


class TestRights:
    @pytest.mark.parametrize(
        ("actions", "verdict", "text"),
        [
            (("pull", "push"), "ok", "granted"),
            (("pull",), "missing", "the token service grants pull for {}/team/app, but not push"),
        ],
    )
    def test_push_is_told_by_the_token(self, tmp_path: Path, actions: tuple[str, ...], verdict: str, text: str) -> None:
        robot = Credentials(username="robot", secret="of-the-robot-1")
        with (
            TokenServer({"robot": robot.secret}, grants={"robot": {"team/app": actions}}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as locked,
        ):
            file = mirrors(tmp_path)
            file.path.write_text(file.path.read_text().replace("127.0.0.1:2", locked.host))
            connections = LoopbackConnections(credentials={"backup": robot})
            found = list(check_registries(load_mirrors(file.path), connections))
            assert {request.method for request in locked.requests()} <= {"GET", "HEAD"}
        (push,) = [each for each in found if each.check.startswith("push ")]
        assert (push.verdict, push.text) == (verdict, text.format(locked.host))


class TestManyRepositories:
    def test_each_is_read_up_to_a_limit(self, tmp_path: Path) -> None:
        names = [f"team/app-{number}" for number in range(MAX_REPOSITORIES + 5)]
        lacking, lists = f"/v2/{names[-6]}/tags/list", Reply(status=200, body=b'{"tags": ["v1"]}')
        with ScriptedServer(lambda request: Reply(status=404) if lacking in request.target else lists) as origin:
            file = mirrors(tmp_path, list(names))
            file.path.write_text(file.path.read_text().replace("127.0.0.1:1", origin.host))
            found = list(check_registries(load_mirrors(file.path), LoopbackConnections()))
        asked = [each for each in origin.shown if "tags/list" in each.target]
        assert len(asked) == MAX_REPOSITORIES
        assert [(each.check, each.verdict, each.text) for each in of(found, "registry origin")][1:] == [
            (f"list tags of {names[99]} (mirror team)", "missing", found[1].text),
            ("read 99 repositories (mirror team)", "ok", ""),
        ]
        assert [each.text for each in of(found, "mirror team")] == ["5 of 105 repositories; plan reads all"]


class TestManyRegistries:
    """Several registries are checked at the same time."""

    def file(self, folder: Path, hosts: list[str]) -> MirrorsFile:
        registries = {f"r{number}": {"host": host, "tls": False} for number, host in enumerate(hosts)}
        mirrors = {
            f"m{number}": {"source": f"r{number}", "destinations": ["r0"], "prefix": f"m{number}/"}
            for number in range(1, len(hosts))
        }
        rules = {name: {**mirror, "repositories": ["team/app"]} for name, mirror in mirrors.items()}
        path = folder / "mirrors.yaml"
        path.write_text(json.dumps({"registries": registries, "mirrors": rules}))
        return load_mirrors(path)

    def test_one_that_hangs_delays_no_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first registry responds once the last has been read, and the findings are in the order of the file."""
        monkeypatch.setattr("registry_sync.checks.registries.PROGRESS_SECONDS", 0.2)
        last_is_read, told = Event(), list[str]()

        def tell(line: str) -> None:
            told.append(line)
            if line == "4 of 5 registries are checked; not yet: r0":
                last_is_read.set()

        def hang(_: ScriptedRequest) -> Reply:
            assert last_is_read.wait(60)
            return Reply(status=404)

        lists = Reply(status=200, body=b'{"tags": ["v1"]}')
        with ScriptedServer(hang) as slow, ScriptedServer(lambda _: lists) as quick:
            file = self.file(tmp_path, [slow.host, *(4 * [quick.host])])
            found = list(check_registries(file, LoopbackConnections(), tell))
        assert told[-1] == "4 of 5 registries are checked; not yet: r0"
        subjects = list(dict.fromkeys(each.subject for each in found))
        assert subjects == [f"registry r{number}" for number in range(5)]

    def test_an_unexpected_error_at_one_hides_no_other(self, tmp_path: Path) -> None:
        class Odd(LoopbackConnections):
            def client(self, registry: Registry, /) -> Any:
                if registry.name == "r1":
                    raise KeyError("odd")
                return super().client(registry)

        with ScriptedServer(lambda _: Reply(status=200, body=b'{"tags": ["v1"]}')) as quick:
            found = list(check_registries(self.file(tmp_path, 3 * [quick.host]), Odd()))
        verdicts = {(each.subject, each.check): each.verdict for each in found}
        assert verdicts["registry r1", "address"] == "unknown"
        assert verdicts["registry r2", "list tags of team/app (mirror m2)"] == "ok"
