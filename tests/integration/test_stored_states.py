"""States in a real database of Airflow: what is read, by whom, and in how many queries. And the commands over it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow import settings
from airflow.models.asset import AssetActive, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import DagRunState
from sqlalchemy import create_engine, delete, event, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from registry_sync.airflow.ids import MISTAKES_TAG, WATCH_DAG
from registry_sync.airflow.states.stored_states import StoredStates
from registry_sync.cli.arguments import FAILED, OK, UNUSABLE
from registry_sync.cli.main import main
from registry_sync.oci.reference import Digest
from registry_sync.state.document import read_document
from registry_sync.state.lookup.history import changes_since
from registry_sync.state.lookup.queries import find, get_overview, get_repository, list_failing, list_routes
from registry_sync.state.names import (
    ASSET_GROUP,
    DESTINATION_KEY,
    asset_name,
    index_key,
    pushes_asset_name,
    pushes_asset_uri,
    tags_key,
)
from registry_sync.state.pushes import LOST_KEY, LostEvents, PushesState
from registry_sync.state.route import KnownTag, TagTable
from registry_sync.state.runs import Run
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.given_states import destination as given
from testkit.given_states import tag
from testkit.loopback import LOOPBACK, free_port
from testkit.registry import RegistryProcess
from testkit.states import SyntheticDestination, synthetic_destination, synthetic_states
from testkit.states_database import write_states

DAG_GONE = (
    "Airflow no longer has its DAG; if you removed the mirror, delete its history and state (docs/state.md), else see "
    "Airflow's import errors"
)

NOW = datetime.now(UTC).replace(microsecond=0)
STATES = synthetic_states(now=NOW, routes=30, tags=20)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of an SQLite database that ``airflow db migrate`` has made, with synthetic states in it."""
    home = tmp_path_factory.mktemp("states")
    LocalAirflow(home).migrate()
    return f"sqlite:///{home}/airflow.db"


@pytest.fixture(scope="module")
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(database)
    with Session(engine) as session, session.begin():
        write_states(session, STATES)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose changes are rolled back."""
    with Session(engine) as session:
        yield session


def reader(session: Session, *mirrors: str) -> StoredStates:
    return StoredStates(session, mirrors or None)


def stored(mirror: str, destination: str) -> SyntheticDestination:
    return next(each for each in STATES if (each.mirror, each.destination) == (mirror, destination))


def test_every_destination_is_read_with_its_summary_and_index(session: Session) -> None:
    found = reader(session).destinations()
    assert found.keys() == {(each.mirror, each.destination) for each in STATES}
    documents = stored("giantswarm", "acr").documents
    assert found["giantswarm", "acr"] == {key: documents[key] for key in (DESTINATION_KEY, index_key(0))}
    assert found["new_team", "acr"] == {}


def test_routes_with_odd_names_do_not_disturb_an_index(session: Session) -> None:
    session.add_all(
        AssetStateStoreModel(asset_id=_asset(session, "kubernetes", "acr"), key=key, value="{}")
        for key in ("routes", "routes tags", "routes → x", "routes #2", "routes 7b", "destination", "Routes 1")
    )
    session.flush()
    assert reader(session).destinations()["kubernetes", "acr"].keys() == {DESTINATION_KEY, index_key(0)}


def test_values_are_read_by_key(session: Session) -> None:
    wanted = [
        ("giantswarm", "acr", "giantswarm/etcd"),
        ("giantswarm", "aliyun", tags_key("giantswarm/etcd")),
        ("giantswarm", "acr", "giantswarm/absent"),
        ("nobody", "acr", "giantswarm/etcd"),
    ]
    assert reader(session).read(wanted) == {
        (mirror, destination, key): stored(mirror, destination).documents[key]
        for mirror, destination, key in wanted[:2]
    }


def test_more_values_than_one_query_takes_are_read(session: Session) -> None:
    keys = [("giantswarm", "acr", f"team/app-{number}") for number in range(1200)]
    found = reader(session).read([*keys, ("giantswarm", "acr", "giantswarm/etcd")])
    assert list(found) == [("giantswarm", "acr", "giantswarm/etcd")]


@pytest.mark.parametrize("text", ["{half", "[" * 60_000, '{"host": "\\uD800"}'], ids=["half", "deep", "half character"])
def test_a_value_that_nobody_can_show_is_unknown(session: Session, text: str) -> None:
    asset = _asset(session, "kubernetes", "acr")
    broken = update(AssetStateStoreModel).where(AssetStateStoreModel.asset_id == asset).values(value=text)
    session.execute(broken)
    [row], kind = get_overview(reader(session), NOW, mirror="kubernetes"), "DestinationState"
    assert (row.status, row.reasons) == (
        "unknown",
        (f"the stored {kind} cannot be read: Input should be a dictionary or an instance of {kind}",),
    )


Answers = dict[str, Callable[[StoredStates], Any]]
QUERIES: Answers = {
    "overview": lambda states: [row.mirror for row in get_overview(states, NOW)],
    "routes": lambda states: [row.mirror for row in list_routes(states, NOW, limit=500).items],
    "find by name": lambda states: _mirrors_of(find(states, NOW, "etcd")),
    "find by tag": lambda states: _mirrors_of(find(states, NOW, ":v1.1", limit=100)),
    "find by digest": lambda states: _mirrors_of(find(states, NOW, "sha256:" + _digest()[7:20])),
    "failing": lambda states: [route.mirror for route in list_failing(states, NOW).items],
    "changes": lambda states: [
        item.mirror for item in changes_since(states, NOW - timedelta(days=9), offset=0, limit=500).page.items
    ],
}


def _mirrors_of(found: Any) -> list[str]:
    return [column.mirror for item in found.page.items for column in item.columns]


def _digest() -> str:
    return str(_tags("giantswarm", "giantswarm/etcd")[0].digest)


def _tags(mirror: str, route: str) -> tuple[KnownTag, ...]:
    """The stored tags of a route to the destination ``acr``."""
    return read_document(TagTable, stored(mirror, "acr").documents[tags_key(route)]).tags


@pytest.mark.parametrize("name", QUERIES)
def test_nothing_of_other_mirrors_is_in_an_answer(session: Session, name: str) -> None:
    assert set(QUERIES[name](reader(session))) >= {"giantswarm"}
    assert set(QUERIES[name](reader(session, "giantswarm"))) == {"giantswarm"}
    assert QUERIES[name](StoredStates(session, ())) == []


def test_totals_do_not_count_other_mirrors(session: Session) -> None:
    states = reader(session, "kubernetes")
    assert list_routes(states, NOW).total == 30
    assert find(states, NOW, "etcd").page.total == 2
    assert changes_since(states, NOW - timedelta(days=9), offset=0, limit=1).page.total == 20
    assert states.read([("giantswarm", "acr", "giantswarm/etcd")]) == {}
    assert get_repository(states, NOW, "quay.io/giantswarm/etcd").columns == ()
    assert states.runs().keys() == {"kubernetes"}


@pytest.mark.parametrize(("name", "limit"), [*((name, 10) for name in QUERIES)])
def test_the_number_of_queries_does_not_depend_on_the_routes(session: Session, name: str, limit: int) -> None:
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(session.get_bind(), "before_cursor_execute", count)
    try:
        QUERIES[name](reader(session))
    finally:
        event.remove(session.get_bind(), "before_cursor_execute", count)
    assert len(statements) <= limit


def test_mirrors_that_events_start_have_their_last_events(session: Session) -> None:
    """One without a stored value is among them, so that the page says that no event came yet."""
    for mirror in ("giantswarm", "hub", "removed"):
        name, uri = pushes_asset_name(mirror), pushes_asset_uri(mirror)
        asset = AssetModel(name=name, uri=uri, group=ASSET_GROUP)
        session.add(asset)
        session.flush()
        session.add(AssetActive(name=name, uri=uri))
        if mirror == "hub":
            session.add(AssetStateStoreModel(asset_id=asset.id, key=LOST_KEY, value='{"total": 3}'))
    assert reader(session).pushes() == {"giantswarm": {}, "hub": {LOST_KEY: {"total": 3}}}
    assert reader(session, "giantswarm").pushes() == {"giantswarm": {}}
    rows = {row.mirror: row.pushes for row in get_overview(reader(session), NOW)}
    assert rows["giantswarm"] == PushesState()
    assert rows["hub"] == PushesState(lost=LostEvents(total=3))
    assert rows["kubernetes"] is None


def test_a_search_for_wildcards_finds_nothing(session: Session) -> None:
    assert find(reader(session), NOW, ":%").page.total == 0
    assert find(reader(session), NOW, ":v1_1").page.total == 0


def test_runs_of_a_mirror(session: Session) -> None:
    session.add(
        DagRun(dag_id="mirror_hub", run_id="manual__1", run_type="manual", state=DagRunState.RUNNING, run_after=NOW)
    )
    session.flush()
    runs = reader(session).runs()
    hub = runs["hub"]
    state, started, ended = stored("hub", "acr").last_run or ("", NOW, NOW)
    assert hub.last == Run(
        run_id=f"scheduled__{ended:%Y-%m-%dT%H}:00:00+00:00", state=state, started_at=started, ended_at=ended
    )
    assert hub.running is not None
    assert (hub.running.run_id, hub.running.state) == ("manual__1", "running")
    assert (hub.dag_id, hub.is_paused, hub.is_gone, hub.next_run_at) == (
        "mirror_hub",
        False,
        False,
        stored("hub", "acr").next_run_at,
    )
    assert runs["archive"].is_paused
    assert (runs["new_team"].last, runs["new_team"].running) == (None, None)


def test_a_dry_run_does_not_hide_a_run_that_never_reported(session: Session) -> None:
    """The failed run left no state, and the dry run after it neither."""
    conf: dict[str, Any]
    for name, state, conf in (
        ("killed", DagRunState.FAILED, {"tags": ["v1"]}),
        ("dry", DagRunState.SUCCESS, {"dry_run": True, "tags": ["v1"]}),
    ):
        run = DagRun(dag_id="mirror_hub", run_id=name, run_type="manual", state=state, run_after=NOW, conf=conf)
        run.end_date = NOW + timedelta(minutes=1)
        session.add(run)
        session.flush()
    [row] = get_overview(reader(session), NOW + timedelta(minutes=2), mirror="hub", destination="acr")
    assert row.runs is not None
    assert row.runs.last is not None
    assert row.runs.last.run_id == "killed"
    assert "the run killed failed before it reported" in row.reasons


def test_a_mirror_whose_dag_was_deleted_is_unknown(session: Session) -> None:
    session.execute(delete(DagModel).where(DagModel.dag_id == "mirror_kubernetes"))
    [row] = get_overview(reader(session), NOW, mirror="kubernetes")
    assert DAG_GONE in row.reasons


@pytest.mark.parametrize(("has_dag", "has_mistake", "shown"), [(False, False, 0), (True, False, 1), (False, True, 1)])
def test_a_mirror_is_removed_when_its_dag_was_deleted_and_its_state_was_reset(
    session: Session, has_dag: bool, has_mistake: bool, shown: int
) -> None:
    asset = session.scalar(select(AssetModel.id).where(AssetModel.name == asset_name("kubernetes", "acr")))
    session.execute(delete(AssetStateStoreModel).where(AssetStateStoreModel.asset_id == asset))
    if not has_dag:
        session.execute(delete(DagModel).where(DagModel.dag_id == "mirror_kubernetes"))
    if has_mistake:
        session.add(ParseImportError(filename="/opt/airflow/dags/mirrors_check.py", stacktrace="a mistake"))
    assert len(get_overview(reader(session), NOW, mirror="kubernetes", destination="acr")) == shown


def test_a_disabled_mirror_is_known_by_its_schedule(session: Session) -> None:
    text = "disabled until 2999-01-31 00:00 UTC"
    disabled = {"timetable_summary": text, "next_dagrun_create_after": None}
    session.execute(update(DagModel).where(DagModel.dag_id == "mirror_kubernetes").values(**disabled))
    [row] = get_overview(reader(session), NOW, mirror="kubernetes")
    assert (row.status, row.reasons[0], row.is_broken) == ("disabled", text, False)
    others = get_overview(reader(session), NOW, mirror="giantswarm")
    assert "disabled" not in {row.status for row in others}


def _asset(session: Session, mirror: str, destination: str) -> int:
    name = asset_name(mirror, destination)
    return next(asset.id for asset in session.query(AssetModel).where(AssetModel.name == name))


def _deactivate(session: Session, mirror: str, destination: str) -> None:
    """Deactivate the asset, like Airflow when no DAG has it any more."""
    session.execute(delete(AssetActive).where(AssetActive.name == asset_name(mirror, destination)))
    session.execute(update(DagModel).where(DagModel.dag_id == f"mirror_{mirror}").values(is_stale=True))


def test_a_removed_mirror_is_not_shown(session: Session) -> None:
    _deactivate(session, "kubernetes", "acr")
    assert get_overview(reader(session), NOW, mirror="kubernetes") == []


@pytest.mark.parametrize("file", ["mirrors_check.py", "/opt/airflow/dags/mirrors.py"])
def test_a_mirror_that_is_gone_with_an_error_in_the_file_is_unknown(session: Session, file: str) -> None:
    _deactivate(session, "kubernetes", "acr")
    session.add(ParseImportError(timestamp=NOW, filename=file, bundle_name="dags-folder", stacktrace="mirrors.yaml:3"))
    session.flush()
    [row] = get_overview(reader(session), NOW, mirror="kubernetes")
    assert (row.status, row.reasons[0]) == ("failing", "2 routes failing")
    assert DAG_GONE in row.reasons


def test_an_error_of_the_mirrors_file_counts_in_a_dag_file_of_any_name(session: Session) -> None:
    text = "Traceback …\nregistry_sync.errors.MirrorsFileError: mirrors.yaml:3: mirrors.a: 'source' is missing"
    session.add(ParseImportError(timestamp=NOW, filename="team.py", bundle_name="dags-folder", stacktrace=text))
    session.flush()
    assert reader(session).has_file_errors()


def test_mistakes_are_known_without_a_file_that_raises_them(session: Session) -> None:
    session.add(DagModel(dag_id=WATCH_DAG, bundle_name="dags-folder", fileloc="/dags/mirrors.py"))
    session.add(DagTag(dag_id=WATCH_DAG, name="registry_sync"))
    session.flush()
    assert not reader(session).has_file_errors()
    session.add(DagTag(dag_id=WATCH_DAG, name=MISTAKES_TAG))
    session.flush()
    assert reader(session).has_file_errors()


def test_a_pool_that_does_not_exist_is_known_while_tasks_wait_for_it(session: Session) -> None:
    run = session.scalars(select(DagRun).where(DagRun.dag_id == "mirror_giantswarm")).first()
    assert run is not None
    tasks = [("to_acr", "scheduled", "absent"), ("to_hub", "scheduled", "default_pool"), ("to_x", "success", "gone")]
    own = {"dag_id": run.dag_id, "run_id": run.run_id, "try_number": 0, "max_tries": 0, "hostname": "", "unixname": ""}
    own |= {"pool_slots": 1, "queue": "default", "priority_weight": 1, "executor_config": {}, "operator": ""}
    rows = [{**own, "id": uuid4(), "task_id": task, "state": state, "pool": pool} for task, state, pool in tasks]
    session.execute(insert(TaskInstance), rows)
    assert reader(session).missing_pools() == {"absent": ["giantswarm"]}
    assert reader(session, "kubernetes").missing_pools() == {}
    session.add(Pool(pool="absent", slots=1, include_deferred=False))
    session.flush()
    assert reader(session).missing_pools() == {}


def test_errors_in_other_dag_files_do_not_count(session: Session) -> None:
    session.add(ParseImportError(timestamp=NOW, filename="other.py", bundle_name="dags-folder", stacktrace="x"))
    session.flush()
    assert not reader(session).has_file_errors()


def test_the_state_at_another_host_is_not_mixed_in(session: Session) -> None:
    session.execute(delete(AssetActive).where(AssetActive.name == asset_name("kubernetes", "acr")))
    moved = synthetic_destination("kubernetes", "registry.k8s.io", "acr", "new.azurecr.io", now=NOW, routes=2, tags=3)
    write_states(session, [moved])
    [row] = get_overview(reader(session), NOW, mirror="kubernetes")
    assert (row.host, row.routes) == ("new.azurecr.io", 2)


def test_assets_of_others_are_ignored(session: Session) -> None:
    others = [
        AssetModel(name="registry_sync/team/acr", uri="x-other://team/acr", group="asset"),
        AssetModel(name="registry_sync/nodes", uri="x-registry-sync://nodes", group=ASSET_GROUP),
    ]
    session.add_all([*others, *(AssetActive(name=other.name, uri=other.uri) for other in others)])
    session.flush()
    assert reader(session).destinations().keys() == {(each.mirror, each.destination) for each in STATES}


def test_changes_are_paged_from_the_newest(session: Session) -> None:
    first = changes_since(reader(session, "hub"), NOW - timedelta(days=9), destination="acr", offset=0, limit=3)
    second = changes_since(reader(session, "hub"), NOW - timedelta(days=9), destination="acr", offset=3, limit=3)
    events = stored("hub", "acr").events
    assert (*first.page.items, *second.page.items) == events[:6]
    assert (first.page.total, first.unreadable) == (20, 0)
    assert changes_since(reader(session), NOW - timedelta(hours=1), mirror="hub", offset=0, limit=9).page.total == 1 * 2


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    database: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run a command over the database; return exit code, output and errors."""
    assert engine.url.database

    def command(*arguments: str, address: str = database) -> tuple[int, str, str]:
        _use_database(monkeypatch, address)
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield command
    monkeypatch.undo()
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def _use_database(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def test_status_prints_a_table_and_reasons(command: Command) -> None:
    code, printed, errors = command("status", "--mirror", "giantswarm", "--mirror", "new_team")
    assert (code, errors) == (FAILED, "")
    table, *reasons = printed.split("\n\n")
    lines = [re.sub(r"\d+ (min|s|h|d)\b", r"N \1", line) for line in table.splitlines()]
    assert lines[0] == "mirror      destination  status   in sync  missing  failing  locked  behind   looked at"
    assert [line.split()[:4] for line in lines[2:]] == [
        ["giantswarm", "acr", "failing", "585/600"],
        ["giantswarm", "aliyun", "failing", "588/600"],
        ["new_team", "acr", "unknown", "0/0"],
        ["giantswarm", "ghcr", "in", "sync"],
    ]
    assert reasons[-2] == "new_team → acr\n  no run has reported yet"
    assert reasons[-1].splitlines()[:2] == [
        "Failing, the oldest first:",
        (
            "  quay.io/giantswarm/cert-manager-1:v1.1.8 → acr, for 1 d 6 h: "
            "gsoci.azurecr.io refuses the push of v1.1.8: 403"
        ),
    ]
    assert max(map(len, printed.splitlines())) <= 120


def test_the_exit_code_of_status_tells_whether_promises_are_kept(command: Command, engine: Engine) -> None:
    calm = [replace(state, mirror="calm") for state in synthetic_states(now=NOW, routes=3, tags=3, trouble=False)[:1]]
    with Session(engine) as session, session.begin():
        write_states(session, calm)
    assert command("status", "--mirror", "calm")[0] == OK
    assert command("status", "--mirror", "archive")[0] == FAILED
    assert command("status", "--mirror", "absent") == (
        UNUSABLE,
        "",
        "Airflow has no mirror 'absent'; its mirrors are archive, calm, giantswarm, hub, kubernetes, new_team\n",
    )


def test_status_prints_json(command: Command) -> None:
    code, printed, errors = command("status", "--mirror", "new_team", "--json")
    assert (code, errors) == (FAILED, "")
    document = json.loads(printed)
    assert (document["notes"], document["total"]) == ([], 1)
    assert document["items"][0] | {"dag": None} == {
        "mirror": "new_team",
        "destination": "acr",
        "host": "",
        "source_host": "",
        "status": "unknown",
        "is_broken": True,
        "reasons": ["no run has reported yet"],
        "routes": 0,
        "routes_by_status": {},
        "tags": dict.fromkeys(("selected", "in_sync", "missing", "changed", "failing", "locked", "kept"), 0),
        "oldest_lacking": None,
        "fresh_within_seconds": None,
        "failing_since": None,
        "arrival_seconds": None,
        "looked_at": None,
        "complete_at": None,
        "changed_at": None,
        "summary": "",
        "problem": None,
        "unreported": [],
        "dag": None,
        "events": None,
    }


def test_where_prints_the_places_of_a_tag(command: Command) -> None:
    code, printed, errors = command("where", "core/etcd:v1.1.9")
    assert (code, errors) == (FAILED, "")  # the notes say that one destination cannot be read
    assert printed == (
        "registry.k8s.io/core/etcd\n"
        "tag     at                          status   digest        arrived           lag\n"
        "──────  ──────────────────────────  ───────  ────────────  ────────────────  ──────\n"
        f"v1.1.9  gsoci.azurecr.io/core/etcd  in sync  {_short('core/etcd')}  {_arrived('core/etcd')}  15 min\n"
        "\n"
        "note: hub to harbor: the stored DestinationState cannot be read: Field required\n"
    )


def _short(route: str) -> str:
    return str(_newest(route).digest)[7:19]


def _arrived(route: str) -> str:
    return f"{_newest(route).published_at:%Y-%m-%d %H:%M}"


def _newest(route: str) -> KnownTag:
    return next(tag for tag in _tags("kubernetes", route) if tag.tag == "v1.1.9")


def test_where_suggests_similar_names(command: Command) -> None:
    code, printed, _ = command("where", "etc")
    assert code == FAILED
    assert printed.splitlines()[:2] == ["no mirrored repository has 'etc'", "  similar: docker.io/library/etcd"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("where", "etcd", "--live"), "--live needs a tag or a digest: write IMAGE:TAG or IMAGE@DIGEST\n"),
        (
            ("where", "sha256:123"),
            "'sha256:123' is not the beginning of a digest; write 6 of its digits or more, such as sha256:0123ab\n",
        ),
    ],
)
def test_where_refuses_what_it_cannot_answer(command: Command, arguments: tuple[str, ...], message: str) -> None:
    assert command(*arguments) == (UNUSABLE, "", message)


ADVICE = "run this where Airflow's scheduler or API server runs, whose database it reads; workers have no access to it"


def test_without_a_database_the_commands_say_where_to_run_them(command: Command, tmp_path: Path) -> None:
    absent, empty = f"sqlite:///{tmp_path}/absent.db", f"sqlite:///{tmp_path}/empty.db"
    (tmp_path / "empty.db").touch()
    no_file, no_tables = (f"there is no database of Airflow at {address}; {ADVICE}\n" for address in (absent, empty))
    assert command("status", address=absent) == command("where", "etcd", address=absent) == (UNUSABLE, "", no_file)
    assert not (tmp_path / "absent.db").exists()
    assert command("status", address=empty) == (UNUSABLE, "", no_tables)
    with closing(sqlite3.connect(tmp_path / "empty.db")) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
    no_table = f"cannot read Airflow's database at {empty}: no such table: import_error; {ADVICE}\n"
    assert command("status", address=empty) == (UNUSABLE, "", no_table)


OLD, NEW = images.image([]), images.multi_arch("new")


@pytest.fixture(scope="module")
def live_file(
    engine: Engine,
    source: RegistryProcess,
    destination: RegistryProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A mirrors file, and states of its mirror that are right about some tags and wrong about others."""
    for name in ("same", "moved", "arrived", "absent", "gone"):
        images.push(source.url, "team/app", name, NEW)
    images.push(destination.url, "team/app", "same", NEW)
    images.push(destination.url, "team/app", "moved", OLD)
    images.push(destination.url, "team/app", "arrived", NEW)
    digest = str(NEW.digest)
    there = {"same": "in_sync", "moved": "in_sync", "gone": "in_sync", "arrived": "missing", "absent": "missing"}
    tags = tuple(tag(name, status, digest, pushed=NOW) for name, status in there.items())  # type: ignore[arg-type]
    hosts = {"backup": destination.host, "down": unused_host()}
    with Session(engine) as session, session.begin():
        write_states(
            session,
            [
                given(
                    name,
                    {"team/app": tags[:1] if name == "down" else tags},
                    mirror="live",
                    host=host,
                    source_host=source.host,
                    now=NOW,
                )
                for name, host in hosts.items()
            ],
        )
    registries = {name: {"host": host, "tls": False} for name, host in (("origin", source.host), *hosts.items())}
    mirror = {"source": "origin", "destinations": list(hosts), "repositories": ["team/app"]}
    path = tmp_path_factory.mktemp("live") / "mirrors.yaml"
    path.write_text(json.dumps({"registries": registries, "mirrors": {"live": mirror}}))
    return path


@pytest.mark.parametrize(
    ("name", "status", "now", "verdict"),
    [
        ("same", "in sync", NEW.digest, "same"),
        ("moved", "in sync", OLD.digest, "differs"),
        ("gone", "in sync", None, "differs"),
        ("arrived", "missing", NEW.digest, "differs"),
        ("absent", "missing", None, "same"),
    ],
)
def test_the_state_is_compared_with_the_registry(
    command: Command,
    live_file: Path,
    source: RegistryProcess,
    destination: RegistryProcess,
    name: str,
    status: str,
    now: Digest | None,
    verdict: str,
) -> None:
    code, printed, errors = command(
        "where", f"{source.host}/team/app:{name}", "--live", "--mirrors-file", str(live_file)
    )
    assert (code, errors) == (FAILED, "")  # one registry is down, and other states cannot be read
    lines = {line.split()[1]: line.split() for line in printed.splitlines()[3:5]}
    assert lines[f"{source.host}/team/app"] == [name, f"{source.host}/team/app", "source", _hex(NEW.digest)]
    digest = _hex(now) if now else "absent"
    known = [name, f"{destination.host}/team/app", *status.split(), _hex(NEW.digest)]
    assert lines[f"{destination.host}/team/app"] == [*known, digest, verdict]


def test_a_registry_that_is_down_is_its_own_error(command: Command, live_file: Path, source: RegistryProcess) -> None:
    code, printed, _ = command(
        "where", f"{source.host}/team/app:same", "--live", "--json", "--mirrors-file", str(live_file)
    )
    live = json.loads(printed)["live"]
    assert code == FAILED
    assert [entry["verdict"] for entry in live] == ["", "same", "error"]
    assert re.search(r"cannot connect|Connection refused|connection", live[2]["error"], re.IGNORECASE)


def test_a_route_that_the_mirrors_file_no_longer_has_is_said(
    command: Command, live_file: Path, source: RegistryProcess, tmp_path: Path, destination: RegistryProcess
) -> None:
    document = json.loads(live_file.read_text())
    document["mirrors"]["live"]["destinations"] = ["down"]
    other = tmp_path / "mirrors.yaml"
    other.write_text(json.dumps(document).replace(destination.host, "elsewhere.example"))
    _, printed, _ = command("where", f"{source.host}/team/app:same", "--live", "--json", "--mirrors-file", str(other))
    backup = json.loads(printed)["live"][1]
    assert backup["error"] == f"the mirrors file has no such route to {destination.host}/team/app any more"


def _hex(digest: Digest) -> str:
    return digest.encoded[:12]


def unused_host() -> str:
    """A host and port of loopback on which nothing listens."""
    return f"{LOOPBACK}:{free_port()}"
