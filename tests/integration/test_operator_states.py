"""States that the operators write, through Airflow's own task runner and over real registries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.routes.load import load_mirrors
from registry_sync.state.changes import Change, Changes
from registry_sync.state.destination import DestinationState, RouteFigures, RouteIndex
from registry_sync.state.document import as_document, read_document
from registry_sync.state.names import DESTINATION_KEY, asset_name, index_key, tags_key
from registry_sync.state.route import RouteState, TagTable
from registry_sync.state.run_row import RunRow
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess
from testkit.task_runner import RUN_ID, THIS_TASK, FakeApi, run
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.test_operators import COPY, PLAN, Run, a_mirrors_file

pytestmark = pytest.mark.usefixtures("minimal_jitter")

ASSET = asset_name("team", "backup")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(kw_only=True)
class StateRun(Run):
    """A DAG run whose states are read from the fake of Airflow's API."""

    def read(self, key: str, kind: type[Any]) -> Any:
        return read_document(kind, self.api.stored[ASSET, key])

    def route(self, name: str) -> RouteState:
        state = self.read(name, RouteState)
        assert isinstance(state, RouteState)
        return state

    def row(self, map_index: int = 0) -> RunRow:
        return read_document(RunRow, self.api.xcoms[COPY, map_index, "report"]["row"])

    def destination(self) -> DestinationState:
        state = self.read(DESTINATION_KEY, DestinationState)
        assert isinstance(state, DestinationState)
        return state

    def rows_stored(self) -> dict[str, RouteFigures]:
        return dict(self.read(index_key(0), RouteIndex).routes)


NewRun = Callable[..., StateRun]


@pytest.fixture
def new_run(tmp_path: Path) -> NewRun:
    def new(
        source: RegistryProcess | Interceptor, destination: Interceptor, *repositories: Any, **options: Any
    ) -> StateRun:
        path = tmp_path / "mirrors.yaml"
        path.write_text(json.dumps(a_mirrors_file(source, destination, repositories, None, None, options)))
        file = load_mirrors(path)
        dag = build_dag(file.mirrors["team"], file)
        return StateRun(dag=dag, api=FakeApi(dag_id=dag.dag_id))

    return new


def push(source: RegistryProcess, name: str, *tags: str) -> None:
    for tag in tags:
        images.push(source.url, name, tag, images.image([], labels={"tag": tag}))


def test_a_task_records_its_route_before_it_fails(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1", "v2")
    wire.answer("PUT", "/manifests/v2$", 403, b"{}")
    team = new_run(source, wire, name, fresh_within="2h")
    assert team.copy().state == "failed"
    state = team.route(name)
    assert (state.source, state.destination) == (f"{source.host}/{name}", f"{wire.host}/{name}")
    assert (state.run_id, state.task_id, state.map_index, state.fresh_within) == (RUN_ID, COPY, 0, 7200)
    assert (state.selected, state.in_sync, state.failing, state.listed) == (2, 1, 1, 2)
    assert [(problem.tag, problem.error_class) for problem in state.problems] == [("v2", "denied")]
    table = team.read(tags_key(name), TagTable)
    assert {tag.tag: tag.status for tag in table.tags} == {"v1": "in_sync", "v2": "failing"}
    row = team.row()
    assert (row.route, row.is_complete) == (name, True)
    assert [(change.tag, change.kind, change.repository) for change in row.changes.changes] == [
        ("v1", "arrived", f"{wire.host}/{name}")
    ]


def test_a_route_in_sync_asks_airflow_little(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    """Each request of a task costs the API server as much CPU as the whole route costs the task."""
    push(source, name, "v1")
    team = new_run(source, wire, name)
    for _ in range(2):  # one that copies, and one that finds the tag in sync
        assert team.copy().state == "success"
    before = team.route(name)
    team.api.requests.clear()
    assert team.copy().state == "success"
    assert team.api.requests == [
        "PATCH run",
        f"GET xcoms/{PLAN}/routes_0",
        f"GET store/{name}",
        f"PUT store/{name}",
        f"POST xcoms/{COPY}/report",
        "PATCH state",
    ]
    after = team.route(name)
    assert (after.in_sync, after.view) == (1, before.view)
    assert after.looked_at >= before.looked_at


def test_a_time_limit_that_ends_the_recording_leaves_the_report(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1")
    team = new_run(source, wire, name)
    assert team.plan().state == "success"
    task = team.dag.task_dict[COPY]
    assert isinstance(task, MappedOperator)
    task.partial_kwargs["execution_timeout"] = timedelta(seconds=PATIENCE_SECONDS)
    team.api.is_store_silent = True
    assert team.copy().state == "up_for_retry"
    report = team.api.xcoms[COPY, 0, "report"]
    assert (report["counts"]["copied"], "row" in report) == (1, False)
    assert team.api.stored == {}


def test_a_dry_run_writes_nothing(source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str) -> None:
    push(source, name, "v1")
    team = new_run(source, wire, name)
    assert team.plan(dry_run=True).state == "success"
    assert team.copy().state == "success"
    assert team.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"
    assert (team.api.stored, team.api.store_writes) == ({}, [])
    assert "row" not in team.api.xcoms[COPY, 0, "report"]


def test_a_run_over_some_tags_adds_to_the_state(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1", "v2")
    team = new_run(source, wire, name)
    assert team.copy().state == "success"
    complete_at = team.route(name).complete_at
    push(source, name, "v3", "v4")
    assert team.plan(tags=["v3"]).state == "success"
    assert team.copy().state == "success"
    state = team.route(name)
    assert (state.selected, state.in_sync, state.complete_at) == (3, 3, complete_at)
    assert team.row().is_complete is False


def test_a_retry_counts_once_and_keeps_the_changes_of_the_first_try(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1", "v2", "v3")
    wire.answer("PUT", "/manifests/v2$", 502, b"")
    wire.answer("PUT", "/manifests/v3$", 502, b"")
    team = new_run(source, wire, name)
    assert team.copy().state == "up_for_retry"
    assert [problem.tries for problem in team.route(name).problems] == [1, 1]
    del team.api.xcoms[COPY, 0, "report"]
    wire.clear_rules()
    wire.answer("PUT", "/manifests/v3$", 403, b"")
    assert team.copy(try_number=2).state == "failed"
    (problem,) = team.route(name).problems
    assert (problem.tag, problem.tries, problem.error_class) == ("v3", 1, "denied")
    assert [change.tag for change in team.row().changes.changes] == ["v1", "v2"]
    kept = read_document(Changes, team.api.stored[THIS_TASK, "changes"])
    assert [change.tag for change in kept.changes] == ["v1", "v2"]


def test_a_route_that_fails_as_a_whole_keeps_its_tags(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1")
    with Interceptor(source.url) as origin:
        team = new_run(origin, wire, name)
        assert team.copy().state == "success"
        origin.answer("GET", "/tags/list", 403, b"{}")
        assert team.copy().state == "failed"
    state = team.route(name)
    assert (state.in_sync, state.complete_at is not None) == (1, True)
    assert [(problem.tag, problem.error_class) for problem in state.problems] == [(None, "denied")]
    assert team.row().is_complete is False


@pytest.mark.parametrize("broken", ["writes", "documents"])
def test_a_broken_store_changes_nothing_but_a_warning(
    source: RegistryProcess,
    wire: Interceptor,
    new_run: NewRun,
    name: str,
    broken: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    push(source, name, "v1")
    team = new_run(source, wire, name)
    team.api.is_store_broken = broken == "writes"
    team.api.stored = {(ASSET, name): {"route": 7}, (ASSET, DESTINATION_KEY): "text", (ASSET, index_key(0)): []}
    with caplog.at_level(logging.WARNING):
        assert team.copy().state == "success"
        assert team.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"
    warnings = [record.getMessage() for record in caplog.records if record.name.endswith("state_store")]
    if broken == "writes":
        lost = f"The state of {name} → backup stays as it was, because Airflow's asset state store failed: "
        assert any(warning.startswith(lost) for warning in warnings)
        assert any(warning.startswith("The state of backup stays as it was, because ") for warning in warnings)
        assert team.row().figures is None
    else:
        reason = "the stored RouteState cannot be read: Input should be a valid string"
        assert f"The state {name!r} is lost and begins again: {reason}" in warnings
        assert (team.route(name).in_sync, team.destination().index_parts) == (1, 1)
    assert images.resolve(wire.url, name, "v1") is not None


def test_another_repository_under_the_same_name_begins_anew(
    source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
) -> None:
    push(source, name, "v1")
    team = new_run(source, wire, name)
    assert team.copy().state == "success"
    other = replace(team.route(name), destination="old.example/a", lag_seconds=99.0, selected=40)
    team.api.stored[ASSET, name] = as_document(other)
    assert team.copy().state == "success"
    assert (team.route(name).destination, team.route(name).lag_seconds) == (f"{wire.host}/{name}", None)


class TestReport:
    def test_it_writes_the_state_of_the_destination(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        push(source, f"{name}-b", "v1")
        team = new_run(source, wire, name, f"{name}-b")
        assert team.copy(map_index=0).state == "success"
        states = {PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "failed"}
        assert team.report(**states).state == "failed"
        state = team.destination()
        assert (state.is_failed, state.unreported, state.complete_run_id) == (True, (f"{name}-b",), None)
        assert (state.listed_at, state.changed_at) == (state.run_ended, state.run_ended)
        assert set(team.rows_stored()) == {name}
        assert team.copy(map_index=1).state == "success"
        assert team.report(**{**states, f"{COPY}_1": "success"}).state == "success"
        state = team.destination()
        assert (state.is_failed, state.unreported, state.complete_run_id) == (False, (), RUN_ID)
        assert set(team.rows_stored()) == {name, f"{name}-b"}

    def test_a_route_that_left_the_file_is_removed(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        push(source, f"{name}-b", "v1")
        both, one = new_run(source, wire, name, f"{name}-b"), new_run(source, wire, name)
        for map_index in (0, 1):
            assert both.copy(map_index=map_index).state == "success"
        states = {PLAN: "success", f"{COPY}_0": "success"}
        assert both.report(**states, **{f"{COPY}_1": "success"}).state == "success"
        one.api.stored = both.api.stored
        one.api.conf = {"repositories": [name]}
        assert one.copy().state == "success"
        assert one.report(**states).state == "success"
        assert set(one.rows_stored()) == {name, f"{name}-b"}
        assert (one.destination().complete_run_id, one.destination().index_parts) == (RUN_ID, 1)
        again = new_run(source, wire, name)
        again.api.stored = one.api.stored
        assert again.copy().state == "success"
        assert again.report(**states).state == "success"
        assert {key for _, key in again.api.stored} == {DESTINATION_KEY, index_key(0), name, tags_key(name)}

    @pytest.mark.parametrize("repair", ["a run of one repository", "another namespace fails", "it fails again"])
    def test_the_failure_of_a_namespace_ends_when_it_is_listed_again(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str, repair: str
    ) -> None:
        """Also by a run that does not list all routes."""
        namespace = name.rpartition("/")[2]
        push(source, name, "v1")
        push(source, f"{namespace}/one", "v1")
        with Interceptor(source.url) as front:
            front.answer("GET", "/v2/_catalog", 403)
            rules = [name, {"namespace": namespace}]
            first = new_run(front, wire, *rules)
            assert first.copy().state == "success"
            assert first.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "failed"
            assert set(first.rows_stored()) == {name, namespace}
            if repair != "it fails again":
                front.clear_rules()
            others = [{"namespace": "absent"}] if repair == "another namespace fails" else []
            second = new_run(front, wire, *rules, *others)
            second.api.stored = first.api.stored
            if not others:
                second.api.conf = {"repositories": [name]}
            assert second.copy().state == "success"
            second.report(**{PLAN: "success", f"{COPY}_0": "success"})
        is_failing = repair == "it fails again"
        assert (namespace in second.rows_stored()) == is_failing
        assert ((ASSET, namespace) in second.api.stored) == is_failing

    def test_a_list_that_failed_is_a_problem_since_then(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        team = new_run(source, wire, name)
        assert team.copy().state == "success"
        assert team.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"
        rows = team.rows_stored()
        wire.answer("GET", "/v2/$", 401, b"")
        failed = StateRun(dag=team.dag, api=FakeApi(dag_id=team.dag.dag_id, stored=team.api.stored))
        assert failed.plan().state == "failed"
        assert failed.report(**{PLAN: "failed"}).state == "failed"
        problem = failed.destination().problem
        assert problem is not None
        assert (problem.tag, problem.error_class, problem.tries) == (None, "denied", 1)
        assert wire.host in problem.reason
        assert failed.rows_stored() == rows

    def test_a_killed_list_is_a_problem_too(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        team = new_run(source, wire, name)
        assert team.report(**{PLAN: "failed"}).state == "failed"
        problem = team.destination().problem
        assert problem is not None
        assert problem.reason == f"the task {PLAN} ended without a result (failed); see its log"

    def test_a_scheduled_run_counts_routes_without_a_push_as_looked_at(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        team = new_run(source, wire, name)
        team.api.interval = (NOON, NOON + timedelta(hours=1))
        assert team.copy().state == "success"
        assert team.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"
        state = team.destination()
        assert (state.listed_at, state.complete_at) == (state.run_ended, state.run_ended)


class TestChanges:
    def test_a_moved_tag_and_its_backup_are_one_event(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        old, new = (images.image([], labels={"content": content}) for content in ("old", "new"))
        images.push(source.url, name, "latest", old)
        team = new_run(source, wire, name, backup_tag="{{ tag }}-was-{{ digest_short }}")
        assert team.copy().state == "success"
        images.push(source.url, name, "latest", new)
        assert team.copy().state == "success"
        assert run(team.dag, "changes", team.api).state == "success"
        (event,) = team.api.messages[-1]["outlet_events"]
        assert event["dest_asset_key"] == {"name": ASSET, "uri": f"x-registry-sync://{wire.host}/team/backup"}
        repository, old_digest = f"{wire.host}/{name}", str(old.digest)
        backup_tag = f"latest-was-{old_digest.removeprefix('sha256:')[:12]}"
        backup = {"repository": repository, "tag": backup_tag, "kind": "backed_up", "digest": old_digest}
        moved = {"repository": repository, "tag": "latest", "kind": "moved", "digest": str(new.digest)}
        assert event["extra"].pop("at")
        assert event["extra"] == {
            "mirror": "team",
            "destination": "backup",
            "host": wire.host,
            "run_id": RUN_ID,
            "total": 2,
            "changes": [backup, {**moved, "old_digest": old_digest}],
        }

    def test_a_run_that_changed_nothing_emits_no_event(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        team = new_run(source, wire, name)
        assert team.copy().state == "success"
        assert team.copy().state == "success"
        assert run(team.dag, "changes", team.api).state == "success"
        assert team.api.messages[-1]["outlet_events"] == []

    def test_an_event_is_cut_at_two_hundred_changes(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        push(source, name, "v1")
        team = new_run(source, wire, name)
        assert team.copy().state == "success"
        report = team.api.xcoms[COPY, 0, "report"]
        change = Change(repository="acr.example/a", tag="v1", kind="deleted", digest="sha256:a")
        rows = [RunRow(route=f"r{number}", changes=Changes.of(number * [change])) for number in (150, 151)]
        for map_index, row in enumerate(rows):
            team.api.xcoms[COPY, map_index, "report"] = {**report, "row": as_document(row)}
        assert run(team.dag, "changes", team.api).state == "success"
        (event,) = team.api.messages[-1]["outlet_events"]
        assert (event["extra"]["total"], len(event["extra"]["changes"])) == (301, 200)
