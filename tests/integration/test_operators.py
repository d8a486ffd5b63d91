"""The operators through Airflow's own task runner, over real registries. Airflow's API is a fake at the wire."""

from __future__ import annotations

import json
import logging
import os
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.execution_time.comms import DeferTask, RetryTask
from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.runs import label
from registry_sync.airflow.runs.deferral import MAX_DEFERRALS
from registry_sync.airflow.runs.retries import JITTER_SECONDS
from registry_sync.airflow.triggers.not_before import NotBeforeTrigger
from registry_sync.config.reading.file_text import PATH_VARIABLE
from registry_sync.errors import (
    ConfigurationError,
    DeniedError,
    LockedTag,
    NotWhole,
    RateLimited,
    RefusedError,
    TemporaryError,
)
from registry_sync.registry.endpoint import Credentials
from registry_sync.routes.load import load_mirrors
from registry_sync.routes.route import Route, route_key
from registry_sync.skopeo.local import find_skopeo
from registry_sync.skopeo.policy import can_verify_sigstore
from registry_sync.sync.report import OUTCOMES
from registry_sync.sync.run_state import Watermark
from testkit import images
from testkit.interceptor import Interceptor
from testkit.loopback import Request
from testkit.registry import Htpasswd, RegistryProcess
from testkit.task_runner import FakeApi, run, supervise, trigger_arguments
from testkit.times import Due
from testkit.token_server import TokenServer
from testkit.waiting import PATIENCE_SECONDS
from tests.integration.conftest import SkopeoLog

READER = Credentials(username="reader", secret="reads-only-7f3a")
WRITER = Credentials(username="writer", secret="writes-too-9c1e")
DIGEST = f"sha256:{64 * 'a'}"
PLAN, COPY, REPORT = "routes_to_backup", "to_backup", "report"
Server = RegistryProcess | Interceptor
pytestmark = pytest.mark.usefixtures("minimal_jitter")


@dataclass(kw_only=True)
class Run:
    """A DAG run of one mirror: its DAG, and a fake of Airflow's API."""

    dag: DAG
    api: FakeApi

    def plan(self, **conf: Any) -> TaskRunResult:
        self.api.conf = conf
        return run(self.dag, PLAN, self.api)

    def copy(self, *, map_index: int = 0, try_number: int = 1) -> TaskRunResult:
        """Run one of the mapped tasks over the rows of the first task."""
        if (PLAN, -1, "return_value") not in self.api.xcoms:
            assert self.plan(**self.api.conf).state == "success"
        return run(self.dag, COPY, self.api, map_index=map_index, try_number=try_number)

    def report(self, **states: str) -> TaskRunResult:
        self.api.states = states
        return run(self.dag, REPORT, self.api)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The routes of the run, as JSON: at most one page of them."""
        rows = [json.loads(text) for text in self.api.xcoms[PLAN, -1, "routes_0"]]
        assert self.api.xcoms[PLAN, -1, "return_value"] == list(range(len(rows)))
        return rows

    def pushed(self, map_index: int = 0) -> dict[str, Any]:
        """Report that a mapped task pushed."""
        return {field: value for field, value in self.api.xcoms[COPY, map_index, "report"].items() if field != "row"}


NewRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def labels_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no task takes long enough to show its label before it ends."""
    monkeypatch.setattr(label, "SHOWN_AFTER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def new_run(tmp_path: Path) -> NewRun:
    def new(
        source_server: Server,
        destination_server: Server,
        *repositories: Any,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        source: Mapping[str, Any] | None = None,
        destination: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        path = tmp_path / "mirrors.yaml"
        path.write_text(
            json.dumps(a_mirrors_file(source_server, destination_server, repositories, source, destination, options))
        )
        file = load_mirrors(path)
        dag = build_dag(file.mirrors["team"], file)
        return Run(dag=dag, api=FakeApi(dag_id=dag.dag_id, connections=connections or {}))

    return new


def a_mirrors_file(
    source_server: Server,
    destination_server: Server,
    repositories: Any,
    source: Mapping[str, Any] | None,
    destination: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    registries = {
        "origin": {"host": source_server.host, "tls": False, **(source or {})},
        "backup": {"host": destination_server.host, "tls": False, **(destination or {})},
    }
    mirror = {"source": "origin", "destinations": ["backup"], "repositories": list(repositories), **options}
    return {"registries": registries, "mirrors": {"team": mirror}}


def a_connection(credentials: Credentials, host: str = "") -> dict[str, Any]:
    return {"host": host, "login": credentials.username, "password": credentials.secret}


def counts(**numbers: int) -> dict[str, int]:
    """Counts of a report that are not zero."""
    return {**dict.fromkeys(OUTCOMES, 0), **numbers}


def failed_at_once(result: TaskRunResult, error: type[Exception]) -> str:
    """Check that a task failed although it had retries left, and return its message."""
    assert isinstance(result.error, error), result
    assert result.state == "failed"
    assert getattr(result.msg, "state", None) == "failed"
    return str(result.error)


def retried(result: TaskRunResult, error: type[Exception]) -> RetryTask:
    assert isinstance(result.error, error), result
    assert result.state == "up_for_retry"
    assert isinstance(result.msg, RetryTask)
    return result.msg


def deferred(result: TaskRunResult) -> DeferTask:
    assert result.state == "deferred", result
    assert result.error is None
    assert isinstance(result.msg, DeferTask)
    return result.msg


class TestPlanRoutes:
    def test_routes_are_pushed_for_the_mapped_task(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/b", {"repository": "team/a", "rename": "copies/a"})
        assert run.plan().state == "success"
        assert [row["route"]["label"] for row in run.rows] == ["team/a → backup/copies/a", "team/b → backup"]
        assert [(row["scope"]["tags"], row["scope"]["dry_run"]) for row in run.rows] == [([], False), ([], False)]

    def test_parameters_reach_the_rows(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/a", "team/b", "other/c")
        conf = {
            "repositories": ["team/*", ""],
            "destinations": ["backup"],
            "tags": ["v1*", " v2 ", ""],
            "dry_run": True,
        }
        assert run.plan(**conf).state == "success"
        assert [row["route"]["source_repository"] for row in run.rows] == ["team/a", "team/b"]
        assert [(row["scope"]["tags"], row["scope"]["dry_run"]) for row in run.rows] == 2 * [(["v1*", "v2"], True)]

    def test_an_accepted_tag_reaches_its_row_only(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/app", "team/web")
        assert run.plan(accept=[f"team/web:v1@{DIGEST}", ""]).state == "success"
        assert [row["scope"]["accepted"] for row in run.rows] == [{}, {"v1": DIGEST}]
        later = new_run(source, destination, "team/app", "team/web")
        assert later.plan().state == "success"
        assert [row["scope"]["accepted"] for row in later.rows] == [{}, {}]

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            (f"v1@{DIGEST}", f"accept: 'v1@{DIGEST}' names no repository, and this run has 2; write REPOSITORY:v1@"),
            (f"team/api:v1@{DIGEST}", "accept: no repository of this run is 'team/api'; it has team/app, team/web"),
        ],
    )
    def test_an_accepted_tag_of_no_route_is_refused(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, entry: str, problem: str
    ) -> None:
        ended = new_run(source, destination, "team/app", "team/web").plan(accept=[entry])
        assert isinstance(ended.error, ConfigurationError)
        assert str(ended.error).startswith(problem)

    def test_only_a_run_by_hand_accepts(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        """A backfill takes a conf, too."""
        run = new_run(source, destination, "team/app")
        run.api.interval = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        ended = run.plan(accept=[f"v1@{DIGEST}"])
        assert isinstance(ended.error, ConfigurationError)
        assert str(ended.error) == "accept is for a run by hand, and this is a scheduled run; trigger the DAG with it"

    def test_a_namespace_is_listed_at_the_registry(self, destination: RegistryProcess, new_run: NewRun) -> None:
        with RegistryProcess() as namespaced:
            for repository in ("team/app", "team/app-test", "team/db", "other/app"):
                images.push(namespaced.url, repository, "v1", images.image([]))
            run = new_run(namespaced, destination, {"namespace": "team", "exclude": ["*-test"]})
            assert run.plan().state == "success"
        assert [row["route"]["label"] for row in run.rows] == ["team/app → backup", "team/db → backup"]

    def test_a_destination_that_is_not_selected_is_not_contacted(
        self, source: RegistryProcess, destination: RegistryProcess, tmp_path: Path
    ) -> None:
        document = a_mirrors_file(source, destination, ["team/a"], None, None, {"destinations": ["backup", "third"]})
        document["registries"]["third"] = {"host": "third.invalid"}
        (tmp_path / "mirrors.yaml").write_text(json.dumps(document))
        file = load_mirrors(tmp_path / "mirrors.yaml")
        dag = build_dag(file.mirrors["team"], file)
        api = FakeApi(dag_id=dag.dag_id, conf={"destinations": ["backup"]})
        assert run(dag, "routes_to_third", api).state == "success"
        assert api.xcoms == {("routes_to_third", -1, "return_value"): []}

    def test_a_glob_without_a_match_is_refused(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        result = new_run(source, destination, "team/a", "team/b").plan(repositories=["team/a", "taem/*"])
        assert failed_at_once(result, ConfigurationError) == (
            "no repository of this mirror matches taem/*; it has team/a, team/b"
        )

    def test_an_unknown_parameter_is_refused(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        result = new_run(source, destination, "team/a").plan(repositorys=["team/a"])
        assert failed_at_once(result, ConfigurationError) == (
            "unknown parameters ['repositorys']; the parameters of this DAG are ['accept', 'deep_check', "
            "'destinations', 'dry_run', 'read_megabytes', 'repositories', 'tags', 'window', 'window_from', "
            "'window_to']"
        )

    def test_more_routes_than_airflow_maps_are_refused(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
        result = new_run(source, destination, "team/a", "team/b", "team/c").plan()
        assert failed_at_once(result, ConfigurationError) == (
            "mirror 'team' has 3 routes, but Airflow maps at most 2 (max_map_length): split the mirror, or set "
            "AIRFLOW__CORE__MAX_MAP_LENGTH higher for the API server and the workers"
        )

    def test_a_missing_skopeo_is_reported(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        result = new_run(source, destination, "team/a").plan()
        message = failed_at_once(result, ConfigurationError)
        assert message.startswith("skopeo not found on this worker's PATH; ")
        assert "apt-get install skopeo" in message

    @pytest.mark.parametrize("place", ["mirror", "destination"])
    def test_direct_transfer_needs_no_skopeo(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        place: str,
    ) -> None:
        images.push(source.url, name, "v1", content := images.multi_arch(name))
        direct: dict[str, Any] = {"transfer": "direct"}
        options = direct if place == "mirror" else {"destination": direct}
        run = new_run(source, destination, name, **options)
        monkeypatch.setenv("PATH", "/nonexistent")
        assert run.copy().state == "success"
        assert images.resolve(destination.url, name, "v1") == content.digest

    def test_an_old_skopeo_is_refused(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        old = tmp_path / "skopeo"
        old.write_text("#!/bin/sh\necho skopeo version 1.4.1\n")
        old.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        result = new_run(source, destination, "team/a").plan()
        message = failed_at_once(result, ConfigurationError)
        assert message.startswith(f"{old} is skopeo 1.4.1, but at least 1.9.0 is needed; ")

    @pytest.mark.parametrize("down", ["source", "destination"])
    def test_a_registry_that_is_down_is_retried(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, down: str
    ) -> None:
        with RegistryProcess() as gone:
            pass
        ends = (gone, destination) if down == "source" else (source, gone)
        result = new_run(*ends, "team/a", "team/b").plan()
        assert retried(result, TemporaryError).retry_reason == "temporary"
        assert str(result.error) == f"http://{gone.host} cannot be reached: [Errno 111] Connection refused"

    def test_a_wrong_password_is_one_clear_failure(self, source: RegistryProcess, new_run: NewRun) -> None:
        wrong = a_connection(Credentials(username="writer", secret="a-wrong-guess"))
        with TokenServer({WRITER.username: WRITER.secret}) as tokens, RegistryProcess(auth=tokens.token_auth) as locked:
            run = new_run(
                *(source, locked, "team/a", "team/b"),
                destination={"connection": "at_backup"},
                connections={"at_backup": wrong},
            )
            message = failed_at_once(run.plan(), DeniedError)
            realm = tokens.realm.removeprefix("http://").removesuffix("/token")
        assert message == (
            f"{realm} rejects the login of 'writer' to {locked.host}: 401 UNAUTHORIZED: incorrect username or password"
        )


class TestPolicy:
    """The mapped task's skopeo enforces the policy. A policy that cannot be enforced fails the planning task."""

    def test_a_policy_is_enforced(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str, tmp_path: Path
    ) -> None:
        policy = tmp_path / "policy.json"
        policy.write_text('{"default": [{"type": "reject"}]}')
        images.push(source.url, name, "v1", content := images.multi_arch(name))
        run = new_run(source, destination, name, policy=str(policy))
        message = failed_at_once(run.copy(), RefusedError)
        assert f"v1: {source.host}/{name}@{content.digest} is not accepted by the policy {str(policy)!r}; " in message
        assert images.resolve(destination.url, name, "v1") is None

    def test_a_missing_policy_is_reported(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/a", policy="/nowhere/policy.json")
        message = failed_at_once(run.plan(), ConfigurationError)
        assert message == "the policy '/nowhere/policy.json' cannot be read on this worker: No such file or directory"

    def test_a_policy_that_this_skopeo_cannot_enforce_is_refused(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, tmp_path: Path
    ) -> None:
        if can_verify_sigstore(find_skopeo()):
            pytest.skip("this skopeo can verify sigstore signatures; Debian 12's cannot")
        policy = tmp_path / "policy.json"
        policy.write_text('{"default": [{"type": "sigstoreSigned"}]}')
        run = new_run(source, destination, {"repository": "team/a", "policy": str(policy)})
        message = failed_at_once(run.plan(), ConfigurationError)
        assert message.startswith(f"the policy {str(policy)!r} requires sigstore signatures (sigstoreSigned), which ")


class TestConnections:
    def test_a_missing_connection_is_reported(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        result = new_run(source, destination, "team/a", source={"connection": "at_origin"}).plan()
        assert failed_at_once(result, ConfigurationError) == (
            "registry 'origin': no Airflow Connection named 'at_origin'; create it (type oci_registry or docker, "
            "with login and password: docs/connections.md), or remove 'connection:' if anonymous pulls are enough"
        )

    def test_a_password_is_not_sent_to_another_host(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        connections = {"at_backup": a_connection(WRITER, "registry.example:5000")}
        destination.clear_requests()
        run = new_run(source, destination, "team/a", destination={"connection": "at_backup"}, connections=connections)
        assert failed_at_once(run.plan(), ConfigurationError) == (
            "Connection 'at_backup' is for host 'registry.example:5000', but registry 'backup' of the mirrors file is "
            f"'{destination.host}'; its password was not sent. Correct the host of the Connection or of the registry"
        )
        assert destination.requests() == []

    @pytest.mark.parametrize("form", ["host:port", "host and port", "url", "none"])
    def test_a_connections_host_may_be_written_in_several_ways(
        self, source: RegistryProcess, new_run: NewRun, name: str, form: str
    ) -> None:
        images.push(source.url, name, "v1", images.image([]))
        with RegistryProcess(auth=Htpasswd(users={WRITER.username: WRITER.secret})) as locked:
            host, port = locked.host.split(":")
            ways: dict[str, dict[str, Any]] = {
                "host:port": {"host": locked.host},
                "host and port": {"host": host, "port": int(port)},
                "url": {"host": f"{locked.url}/v2/"},
                "none": {},
            }
            run = new_run(
                *(source, locked, name),
                destination={"connection": "at_backup"},
                connections={"at_backup": {**a_connection(WRITER), **ways[form]}},
            )
            assert run.copy().state == "success"
        assert run.pushed()["counts"]["copied"] == 1

    def test_a_connection_deleted_before_the_route_starts_is_reported(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(
            *(source, destination, "team/a"),
            source={"connection": "at_origin"},
            connections={"at_origin": a_connection(READER)},
        )
        assert run.plan().state == "success"
        run.api.connections = {}
        message = failed_at_once(run.copy(), ConfigurationError)
        assert message.startswith("registry 'origin': no Airflow Connection named 'at_origin'; ")
        assert (run.pushed()["error"], run.pushed()["error_class"]) == (message, "configuration")


class TestMirrorRepository:
    def test_it_copies_pushes_its_report_and_has_a_label(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        content = images.multi_arch(name)
        images.push(source.url, name, "v1", content)
        run = new_run(source, destination, name)
        result = run.copy()
        assert result.state == "success"
        assert result.ti.rendered_map_index == f"{name} → backup"
        assert run.api.messages[-1]["rendered_map_index"] == f"{name} → backup"
        assert run.api.rendered == []
        report = run.pushed()
        assert report["counts"] == counts(copied=1)
        assert [tag["tag"] for tag in report["tags"]] == ["v1"]
        assert set(run.api.xcoms) == {
            (PLAN, -1, "found_repositories"),
            (PLAN, -1, "listed_routes"),
            (PLAN, -1, "return_value"),
            (PLAN, -1, "routes_0"),
            (COPY, 0, "report"),
        }
        assert images.pull_whole(destination.url, name, "v1") == {"linux/amd64", "linux/arm64"}

    def test_it_pulls_a_page_of_a_thousand_routes(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, *(f"team/app{number:04}" for number in range(1000)))
        assert run.plan().state == "success"
        run.api.pulled.clear()
        failed_at_once(run.copy(map_index=777), ConfigurationError)
        assert run.pushed(777)["source"] == f"{source.host}/team/app0777"
        assert run.api.rendered == ["team/app0777 → backup"]
        assert [key for key, _ in run.api.pulled] == ["routes_38"]
        assert sum(size for _, size in run.api.pulled) < 22_000  # the list of all routes has 760,000 bytes

    def test_a_page_that_was_deleted_fails_its_routes(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        """``airflow db clean`` deletes XComs of old runs, whose tasks can still be cleared."""
        run = new_run(source, destination, "team/a")
        assert run.plan().state == "success"
        del run.api.xcoms[PLAN, -1, "routes_0"]
        message = (
            "Airflow no longer has the XCom 'routes_0' of the task routes_to_backup, with the routes of this run; "
            "clear routes_to_backup, so that it lists them again, or trigger a new run"
        )
        assert failed_at_once(run.copy(), ConfigurationError) == message
        assert str(run.report(**{PLAN: "success", f"{COPY}_0": "failed"}).error) == message

    def test_a_long_label_is_cut_to_airflows_column(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        long_name = "/".join(["a-quite-long-part-of-a-name"] * 9)
        run = new_run(source, destination, long_name)
        failed_at_once(run.copy(), ConfigurationError)
        assert [len(each) for each in run.api.rendered] == [250]

    def test_the_runs_tags_and_dry_run_are_used(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.image([], labels={"tag": tag}))
        run = new_run(source, destination, name)
        assert run.plan(tags=["v2"], dry_run=True).state == "success"
        assert run.copy().state == "success"
        assert [(each["tag"], each["outcome"]) for each in run.pushed()["tags"]] == [("v2", "would_copy")]
        assert images.resolve(destination.url, name, "v2") is None

    def test_a_failure_names_each_tag_and_pushes_its_report_first(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        for tag in ("v1", "v2", "v3"):
            images.push(source.url, name, tag, images.image([], labels={"tag": tag}))
        wire.answer("PUT", "/manifests/v1$", 409, b'{"errors": [{"code": "DENIED", "message": "quota"}]}')
        wire.answer("PUT", "/manifests/v2$", 413, b"too large")
        run = new_run(source, wire, name)
        message = failed_at_once(run.copy(), RefusedError)
        assert message == (
            f"{source.host}/{name} → {wire.host}/{name}: 2 tags failed\n"
            f"  v1: PUT {wire.url}/v2/{name}/manifests/v1 answered 409 DENIED: quota\n"
            f"  v2: PUT {wire.url}/v2/{name}/manifests/v2 answered 413 too large; a proxy in front of the registry "
            "limits the size of requests (nginx: client_max_body_size)"
        )
        report = run.pushed()
        assert {each["tag"]: each["outcome"] for each in report["tags"]} == {
            "v1": "failed",
            "v2": "failed",
            "v3": "copied",
        }
        assert report["counts"]["failed"] == 2

    def test_a_route_that_fails_as_a_whole_pushes_a_report(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        run = new_run(source, destination, name)
        message = failed_at_once(run.copy(), ConfigurationError)
        assert message.startswith(f"the source has no repository {source.host}/{name}; check its name in ")
        assert run.pushed() == {
            "mirror": "team",
            "route_key": route_key(Route.from_json(run.rows[0]["route"])),
            "source": f"{source.host}/{name}",
            "destination": f"{destination.host}/{name}",
            "counts": {},
            "tags": [],
            "notes": [],
            "sent_bytes": 0,
            "seconds": 0.0,
            "dry_run": False,
            "window": "",
            "planned_deletions": None,
            "deep_check": None,
            "selects_none": False,
            "selected": None,
            "requested": None,
            "totals": None,
            "error": message,
            "error_class": "configuration",
            "retry_at": None,
            "lacking": None,
            "stale_tags": [],
            "traffic": {"requests": 1, "manifests": 0, "pulls": 0, "waits": 0, "wait_seconds": 0.0},
        }

    def test_a_timeout_stops_skopeo(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        content = images.image([images.layer({"a": name.encode()})])
        images.push(source.url, name, "v1", content)
        with Interceptor(source.url) as slow:
            slow.hang("GET", f"/blobs/{content.blobs[1].digest}$")
            run = new_run(slow, destination, name)
            task = run.dag.task_dict[COPY]
            assert isinstance(task, MappedOperator)
            task.partial_kwargs["execution_timeout"] = timedelta(seconds=1)
            result = run.copy()
            assert result.state == "up_for_retry"
            assert type(result.error).__name__ == "AirflowTaskTimeout"
            assert processes_naming(slow.host) == {}
        assert images.resolve(destination.url, name, "v1") is None


class TestRetries:
    """The outcome of a task for each class of error."""

    def fails_with(self, new_run: NewRun, wire: Interceptor, source: RegistryProcess, name: str, status: int) -> Run:
        images.push(source.url, name, "v1", images.image([]))
        wire.answer("PUT", "/manifests/v1$", status)
        return new_run(source, wire, name)

    @pytest.mark.parametrize(
        ("try_number", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (60, 900)]
    )
    def test_temporary_errors_are_retried_with_growing_delays(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str, try_number: int, seconds: int
    ) -> None:
        run = self.fails_with(new_run, wire, source, name, 503)
        message = retried(run.copy(try_number=try_number), TemporaryError)
        assert message.retry_reason == "temporary"
        assert message.retry_delay_seconds == seconds
        assert run.api.messages[-1]["retry_reason"] == "temporary"

    def test_retry_delays_have_jitter(
        self,
        source: RegistryProcess,
        wire: Interceptor,
        new_run: NewRun,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda low, high: high if low >= 1 else 0.01)
        run = self.fails_with(new_run, wire, source, name, 503)
        assert retried(run.copy(), TemporaryError).retry_delay_seconds == 45

    def test_the_last_try_fails_the_task(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        run = self.fails_with(new_run, wire, source, name, 503)
        assert run.plan().state == "success"
        run.api.should_retry = False
        assert failed_at_once(run.copy(try_number=4), TemporaryError).endswith(
            f"  v1: PUT {wire.url}/v2/{name}/manifests/v1 answered 503"
        )

    @pytest.mark.parametrize(("status", "error"), [(401, DeniedError), (403, DeniedError), (405, RefusedError)])
    def test_permanent_errors_fail_at_once(
        self,
        source: RegistryProcess,
        wire: Interceptor,
        new_run: NewRun,
        name: str,
        status: int,
        error: type[Exception],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        run = self.fails_with(new_run, wire, source, name, status)
        failed_at_once(run.copy(), error)

    def test_one_temporary_error_makes_the_route_retry(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        run = self.fails_with(new_run, wire, source, name, 409)
        images.push(source.url, name, "v2", images.image([]))
        wire.answer("PUT", "/manifests/v2$", 502)
        message = retried(run.copy(), TemporaryError)
        assert message.retry_reason == "temporary"

    def test_a_retry_copies_only_what_is_missing(
        self,
        source: RegistryProcess,
        wire: Interceptor,
        new_run: NewRun,
        name: str,
        skopeo_log: SkopeoLog,
    ) -> None:
        run = self.fails_with(new_run, wire, source, name, 503)
        images.push(source.url, name, "v2", images.image([], labels={"name": name}))
        retried(run.copy(), TemporaryError)
        assert len(skopeo_log.copies) == 2
        wire.clear_rules()
        assert run.copy(try_number=2).state == "success"
        assert len(skopeo_log.copies) == 2
        assert run.pushed()["counts"] == counts(copied=1, unchanged=1)


class TestLackingArtifacts:
    """A signature that the destination refuses. Its image is published, and in sync from then on."""

    @pytest.fixture
    def refused(self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str) -> Run:
        """A run whose destination refuses the signature of v1."""
        content = images.image([], labels={"name": name})
        images.push(source.url, name, "v1", content)
        images.push(source.url, name, images.cosign_tag(content), images.cosign_signature(content))
        wire.answer("PUT", r"/manifests/sha256-.*\.sig$", 403)
        return new_run(source, wire, name, transfer="direct")

    def test_a_retry_does_not_forget_it(
        self, refused: Run, source: RegistryProcess, wire: Interceptor, name: str
    ) -> None:
        images.push(source.url, name, "v2", images.image([], labels={"name": f"{name} v2"}))
        wire.answer("PUT", "/manifests/v2$", 502, times=3)
        retried(refused.copy(), TemporaryError)
        assert "cannot be copied" in failed_at_once(refused.copy(try_number=2), DeniedError)
        assert refused.pushed()["counts"] == counts(copied=1, unchanged=1, failed=1)

    def test_the_next_scheduled_run_tries_it_again(self, refused: Run, wire: Interceptor) -> None:
        for hour, state in ((1, "failed"), (2, "failed"), (3, "success"), (4, "success")):
            if hour == 3:
                wire.clear_rules()
            watermark = refused.api.xcoms.get(WATERMARK)
            refused.api.xcoms.clear()
            refused.api.xcoms |= {WATERMARK: watermark} if watermark else {}
            end = datetime(2026, 11, 24, hour, tzinfo=UTC)
            refused.api.interval = (end - timedelta(hours=1), end)
            assert refused.copy().state == state
            assert refused.report(**{PLAN: "success", f"{COPY}_0": state}).state == state
            assert ("full check" in refused.pushed()["window"]) == (hour == 1)
            left = Watermark.from_json(refused.api.xcoms[WATERMARK])
            lacks = [bool(found.image) for artifacts in left.lacking.values() for found in artifacts.artifacts]
            assert (len(left.routes), lacks, left.unchecked) == (1, [True] if hour < 3 else [], frozenset())


WATERMARK = (REPORT, -1, "watermark_backup")


class TestDeferral:
    @pytest.fixture
    def limited(self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str) -> Run:
        """A run whose destination rate-limits the second tag for two hours."""
        for tag in ("v1", "v2"):
            images.push(source.url, name, tag, images.image([], labels={"tag": tag}))
        wire.answer("PUT", "/manifests/v2$", 429, headers={"Retry-After": "7200"})
        return new_run(source, wire, name)

    def test_a_long_rate_limit_defers_the_task_without_a_retry(self, limited: Run) -> None:
        due = Due(timedelta(hours=2))
        message = deferred(limited.copy())
        arguments = trigger_arguments(message)
        resume_at = datetime.fromisoformat(arguments["resume_at"])
        assert due.is_at(resume_at, jitter=timedelta(seconds=JITTER_SECONDS))
        module, _, name = message.classpath.rpartition(".")
        trigger = getattr(import_module(module), name)(**arguments)
        assert isinstance(trigger, NotBeforeTrigger)
        assert trigger.serialize() == (message.classpath, arguments)
        assert (message.next_method, message.next_kwargs) == ("execute", {"deferrals": 1})
        assert [each["state"] for each in limited.api.messages] == ["success", "deferred"]
        assert limited.pushed()["counts"]["failed"] == 1
        assert limited.pushed()["retry_at"] is not None

    def test_a_rate_limit_on_reading_defers_the_task(
        self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        images.push(source.url, name, "v1", images.image([]))
        wire.answer("HEAD", "/manifests/v1$", 429, headers={"Retry-After": "7200"})
        run = new_run(source, wire, name)
        deferred(run.copy())
        assert run.pushed()["error"] == f"HEAD {wire.url}/v2/{name}/manifests/v1 answered 429"
        assert run.pushed()["error_class"] == "rate_limited"

    def test_a_rate_limit_defers_planning(self, source: RegistryProcess, wire: Interceptor, new_run: NewRun) -> None:
        wire.answer("GET", "/v2/$", 429, headers={"Retry-After": "7200"})
        run = new_run(source, wire, "team/a")
        message = deferred(run.plan())
        assert (message.next_method, message.next_kwargs) == ("execute", {"deferrals": 1})
        run.api.resume = message
        wire.clear_rules()
        assert run.plan().state == "success"
        assert [row["route"]["label"] for row in run.rows] == ["team/a → backup"]

    def test_a_resumed_task_copies_only_what_is_missing(self, limited: Run, wire: Interceptor) -> None:
        limited.api.resume = deferred(limited.copy())
        wire.clear_rules()
        assert limited.copy().state == "success"
        assert limited.pushed()["counts"] == counts(copied=1, unchanged=1)

    def test_deferrals_are_limited(self, limited: Run) -> None:
        for deferrals in range(1, MAX_DEFERRALS + 1):
            message = deferred(limited.copy())
            assert message.next_kwargs == {"deferrals": deferrals}
            limited.api.resume = message
        assert retried(limited.copy(), RateLimited).retry_reason == "rate_limited"


class TestReport:
    @pytest.fixture
    def done(self, source: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str) -> Run:
        """A run of two routes; the second one fails."""
        for repository in (f"{name}/a", f"{name}/b"):
            images.push(source.url, repository, "v1", images.image([]))
        wire.answer("PUT", "/b/manifests/v1$", 409)
        run = new_run(source, wire, f"{name}/a", f"{name}/b")
        assert run.copy(map_index=0).state == "success"
        failed_at_once(run.copy(map_index=1), RefusedError)
        return run

    def test_it_prints_one_table_and_fails_with_a_failed_route(
        self, done: Run, source: RegistryProcess, wire: Interceptor, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result = done.report(**{PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "failed"})
        assert result.state == "failed"
        failure = (
            f"{source.host}/{name}/b:v1 → {wire.host}/{name}/b: PUT {wire.url}/v2/{name}/b/manifests/v1 answered 409"
        )
        assert str(result.error) == f"team: 1 of 2 routes failed, 1 tags copied\n  {failure}"
        printed = capsys.readouterr().out
        assert re.search(rf"{name}/a  +→ {wire.host}/{name}/a  +1  +0  +0  +0  +1 ", printed)
        assert re.search(rf"{name}/b  +→ {wire.host}/{name}/b  +0  +0  +0  +1  +0 ", printed)
        assert f"\nFailed:\n  {failure}\n\n" in printed

    def test_it_succeeds_when_all_routes_succeed(self, done: Run, wire: Interceptor) -> None:
        wire.clear_rules()
        assert done.copy(map_index=1).state == "success"
        result = done.report(**{PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "success"})
        assert result.state == "success"
        assert done.api.xcoms[REPORT, -1, "return_value"] == {"summary": "team: 2 tags copied, 0 unchanged"}

    def test_a_killed_task_without_a_report_fails_the_run(
        self, done: Run, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        del done.api.xcoms[COPY, 1, "report"]
        result = done.report(**{PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "failed"})
        assert result.state == "failed"
        lost = f"{name}/b → backup (failed) ended without a report; see the log of that task"
        assert str(result.error) == f"team: 1 of 2 routes failed, 1 tags copied\n  {lost}"
        assert lost in capsys.readouterr().out

    def test_failed_planning_fails_the_run(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result = new_run(source, destination, "team/a").report(**{PLAN: "failed", COPY: "upstream_failed"})
        assert result.state == "failed"
        lost = f"{PLAN} (failed) ended without a report; see the log of that task"
        assert str(result.error) == f"team: 1 of 1 routes failed, 0 tags copied\n  {lost}"
        assert lost in capsys.readouterr().out

    @pytest.mark.parametrize("down", ["source", "destination"])
    def test_a_failed_listing_is_reported_with_its_reason(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        capsys: pytest.CaptureFixture[str],
        down: str,
    ) -> None:
        with RegistryProcess() as gone:
            pass
        run = new_run(*((gone, destination) if down == "source" else (source, gone)), "team/a")
        assert run.plan().state == "up_for_retry"
        result = run.report(**{PLAN: "failed", COPY: "upstream_failed"})
        line = f"{PLAN} (failed): http://{gone.host} cannot be reached: [Errno 111] Connection refused"
        assert str(result.error) == f"team: 1 of 1 routes failed, 0 tags copied\n  {line}"
        assert line in capsys.readouterr().out

    def test_a_refused_parameter_is_reported_with_its_reason(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/a")
        reason = failed_at_once(run.plan(repositories=["team/zzz"]), ConfigurationError)
        result = run.report(**{PLAN: "failed", COPY: "upstream_failed"})
        line = f"{PLAN} (failed): {' '.join(reason.split())}"
        assert str(result.error) == f"team: 1 of 1 routes failed, 0 tags copied\n  {line}"

    @pytest.mark.parametrize(
        ("tags", "is_red"),
        [
            (["v9"], True),
            (["v9*", "/^w[0-9]/"], True),
            (["dev"], True),  # the source has it, and the rules leave it out
            (["v9", "v1"], False),  # matches at one of two routes
            ([], False),
            ([f"sha256-{64 * 'a'}.sig"], False),
        ],
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_run_by_hand_for_tags_that_no_route_has_fails(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        name: str,
        tags: list[str],
        is_red: bool,
        dry_run: bool,
    ) -> None:
        for repository, tag in ((f"{name}/a", "v1"), (f"{name}/b", "v2"), (f"{name}/a", "dev")):
            images.push(source.url, repository, tag, images.image([]))
        run = new_run(source, destination, f"{name}/a", f"{name}/b", tags={"include": ["v*"]})
        assert run.plan(tags=tags, dry_run=dry_run).state == "success"
        assert [run.copy(map_index=index).state for index in (0, 1)] == ["success", "success"]
        result = run.report(**{PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "success"})
        if not is_red:
            assert result.state == "success", result
            return
        assert str(result.error) == (
            f"team: the parameter tags, {', '.join(tags)}, matches no tag that the rules select, in any of 2 routes; "
            "correct it (names, globs such as v1.2* or /regular expressions/), or see the logs of the routes for the "
            "tags that the rules leave out"
        )
        assert result.state == "failed"

    def test_the_tags_of_a_scheduled_run_may_match_none(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        """Only a person who waits for the run expects that it copies something."""
        images.push(source.url, name, "v1", images.image([]))
        run = new_run(source, destination, name)
        run.api.interval = (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
        assert run.plan(tags=["v9"]).state == "success"
        assert run.copy().state == "success"
        assert run.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"

    def test_a_run_without_routes_succeeds(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun
    ) -> None:
        run = new_run(source, destination, "team/a")
        run.api.xcoms[PLAN, -1, "return_value"] = []
        assert run.report(**{PLAN: "success", COPY: "skipped"}).state == "success"
        summary = "team: nothing to do, no repository was selected"
        assert run.api.xcoms[REPORT, -1, "return_value"] == {"summary": summary}

    def test_it_reports_that_everything_is_in_sync(self, done: Run, wire: Interceptor) -> None:
        wire.clear_rules()
        for _ in range(2):
            for map_index in (0, 1):
                assert done.copy(map_index=map_index).state == "success"
        done.report(**{PLAN: "success", f"{COPY}_0": "success", f"{COPY}_1": "success"})
        summary = "team: everything is in sync, nothing was copied (2 tags unchanged)"
        assert done.api.xcoms[REPORT, -1, "return_value"] == {"summary": summary}


class TestOnAWorker:
    """Tasks in their own processes under Airflow's supervisor, with log files."""

    def test_secrets_appear_in_no_log_xcom_or_command_line(
        self, new_run: NewRun, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = dict[str, bytes]()
        monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mirrors.yaml"))
        monkeypatch.setenv("AIRFLOW_CONN_AT_BACKUP", json.dumps({"conn_type": "docker", **a_connection(WRITER)}))
        with (
            TokenServer({READER.username: READER.secret}) as tokens,
            RegistryProcess(auth=tokens.token_auth) as origin,
            RegistryProcess(auth=Htpasswd(users={WRITER.username: WRITER.secret})) as backup,
            Interceptor(origin.url) as source_wire,
            Interceptor(backup.url) as destination_wire,
            tokens.session(name) as session,
        ):
            for tag in ("v1", "v2"):
                images.push(origin.url, name, tag, images.multi_arch(f"{name} {tag}"), session=session)
            source_wire.after("GET", "/blobs/", lambda _: seen.update(processes_naming(source_wire.host)))
            destination_wire.answer(
                "PUT", "/manifests/v2$", 409, f"{WRITER.username}:{WRITER.secret} {WRITER.basic()}".encode()
            )
            run = new_run(
                *(source_wire, destination_wire, name),
                source={"connection": "at_origin"},
                destination={"connection": "at_backup"},
                connections={"at_origin": a_connection(READER)},
            )
            log = supervise(PLAN, run.api, tmp_path / "plan.log")
            log += supervise(COPY, run.api, tmp_path / "copy.log", map_index=0)
        assert run.pushed()["counts"]["copied"] == 1
        assert run.pushed()["counts"]["failed"] == 1
        assert run.api.messages[-1]["state"] == "failed"
        assert len(run.api.rendered) == 1
        assert any("skopeo" in each for each in seen), seen
        told = [log, json.dumps(list(run.api.xcoms.values())), json.dumps([run.api.messages, run.api.rendered])]
        told += [f"{command} {environment.decode(errors='replace')}" for command, environment in seen.items()]
        assert "answered 409 writer:*** ***" in log
        for each in (READER, WRITER):
            for secret in (each.secret, each.basic()):
                assert [text for text in told if secret in text] == []

    @pytest.mark.parametrize(("seconds", "shown"), [(0.0, 1), (PATIENCE_SECONDS, 0)])
    def test_a_task_that_takes_its_time_shows_its_label_before_it_ends(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        seconds: float,
        shown: int,
    ) -> None:
        monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mirrors.yaml"))
        monkeypatch.setattr(label, "SHOWN_AFTER_SECONDS", seconds)
        images.push(source.url, name, "v1", images.image([], labels={"tag": name}))
        run = new_run(source, destination, name)
        assert run.plan().state == "success"
        log = supervise(COPY, run.api, tmp_path / "copy.log", map_index=0)
        assert run.api.rendered == shown * [f"{name} → backup"], log
        last = run.api.messages[-1]
        assert (last["state"], last["rendered_map_index"]) == ("success", f"{name} → backup")

    def test_it_works_by_the_rules_that_were_planned(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Someone changes the rules during the run, and makes a mistake in them. The next list of routes shows it."""
        file = tmp_path / "mirrors.yaml"
        monkeypatch.setenv(PATH_VARIABLE, str(file))
        for tag in ("v1", "dev"):
            images.push(source.url, name, tag, images.image([], labels={"tag": f"{name} {tag}"}))
        run = new_run(source, destination, {"repository": name, "tags": {"include": ["v*"]}})
        assert run.plan().state == "success"
        file.write_text(file.read_text().replace('["v*"]', '["dev", "/(/"]'))
        log = supervise(COPY, run.api, tmp_path / "copy.log", map_index=0)
        assert (run.pushed()["counts"], run.api.messages[-1]["state"]) == (counts(copied=1, skipped=1), "success"), log
        assert [images.resolve(destination.url, name, tag) is None for tag in ("v1", "dev")] == [False, True]
        log = supervise(PLAN, run.api, tmp_path / "plan.log")
        assert "the mirror 'team' cannot run on this machine: mirrors.yaml:1: mirrors.team.repositories[0]" in log

    def test_ending_a_task_stops_skopeo(
        self,
        source: RegistryProcess,
        destination: RegistryProcess,
        new_run: NewRun,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mirrors.yaml"))
        contents = [images.image([images.layer({"a": f"{name} {number}".encode()})]) for number in range(3)]
        for number, content in enumerate(contents):
            images.push(source.url, name, f"v{number}", content)
        seen = dict[str, bytes]()
        with Interceptor(source.url) as slow:
            run = new_run(slow, destination, name)
            assert run.plan().state == "success"

            def end(_: Request) -> None:
                seen.update(processes_naming(slow.host))
                run.api.is_ended = True

            blob = f"/blobs/{contents[0].blobs[1].digest}$"
            slow.after("GET", blob, end)
            slow.slow("GET", blob, 1)
            log = supervise(COPY, run.api, tmp_path / "copy.log", map_index=0)
            assert processes_naming(slow.host) == {}
        assert any("skopeo" in each for each in seen), seen
        assert "the task is being ended, so nothing more is sent" in log
        assert images.resolve(destination.url, name, "v0") is None


def processes_naming(host: str) -> dict[str, bytes]:
    """Command lines that contain a host, with the environments of their processes."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if host in command:
                found[command] = (path / "environ").read_bytes()
        except OSError:
            continue  # the process has ended
    return found


class TestLockedTags:
    def test_they_fail_at_once_with_advice(
        self, source: RegistryProcess, destination: RegistryProcess, wire: Interceptor, new_run: NewRun, name: str
    ) -> None:
        images.push(destination.url, name, "v1", images.image([], labels={"name": f"{name} old"}))
        images.push(source.url, name, "v1", images.image([], labels={"name": name}))
        wire.answer("PUT", "/manifests/v1$", 412, b"configured as immutable")
        run = new_run(source, wire, name)
        assert failed_at_once(run.copy(), LockedTag) == (
            f"{source.host}/{name} → {wire.host}/{name}: 1 tags are locked at the destination and cannot be "
            "overwritten (unlock them in the registry, or set on_moved_tag: keep for them)\n"
            f"  v1: PUT {wire.url}/v2/{name}/manifests/v1 answered 412 configured as immutable"
        )
        assert run.pushed()["counts"] == counts(locked=1)
        assert run.report(**{PLAN: "success", f"{COPY}_0": "failed"}).state == "failed"
        kept = new_run(source, wire, {"repository": name, "on_moved_tag": {"v*": "keep"}})
        assert kept.copy().state == "success"
        assert kept.pushed()["counts"] == counts(skipped=1)


class TestPruning:
    """Pruning over several runs. Only the XCom of the planned deletions is kept between them."""

    @pytest.fixture
    def pruned(self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str) -> Run:
        """A mirror of ten tags; the last one is gone at the source."""
        for number in range(10):
            content = images.image([], labels={"name": f"{name} v{number}"})
            for registry in (source, destination):
                images.push(registry.url, name, f"v{number}", content)
        source.forget_tag(name, "v9")
        return new_run(source, destination, name, prune={"tags": "gone_at_source", "dry_run": False})

    def run_all(self, run: Run, hour: int | None, state: str = "success") -> dict[str, int]:
        """Run the whole DAG, scheduled for the hour that ends at ``hour`` or manually; return the counts above zero."""
        kept = {key: value for key, value in run.api.xcoms.items() if key == PLANNED}
        run.api.xcoms.clear()
        run.api.xcoms |= kept
        end = datetime(2026, 11, 24, hour or 0, tzinfo=UTC)
        run.api.interval = (end - timedelta(hours=1), end) if hour is not None else None
        assert run.copy().state == state
        assert run.report(**{PLAN: "success", f"{COPY}_0": state}).state == state
        return {outcome: count for outcome, count in run.pushed()["counts"].items() if count}

    def test_one_scheduled_run_plans_it_and_the_next_deletes(
        self, pruned: Run, destination: RegistryProcess, name: str
    ) -> None:
        assert self.run_all(pruned, hour=1) == {"unchanged": 9, "would_delete": 1}
        (planned,) = pruned.api.xcoms[PLANNED].values()
        assert [len(mark) for mark in planned["marks"]] == [8]
        assert (planned["listed"], planned["at"]) == (9, "2026-11-24T01:00:00+00:00")
        assert self.run_all(pruned, hour=2) == {"unchanged": 9, "deleted": 1}
        assert images.resolve(destination.url, name, "v9") is None
        assert self.run_all(pruned, hour=3) == {"unchanged": 9}
        (planned,) = pruned.api.xcoms[PLANNED].values()
        assert (planned["marks"], planned["listed"]) == ([], 9)
        summary = "team: everything is in sync, nothing was copied (9 tags unchanged)"
        assert pruned.api.xcoms[REPORT, -1, "return_value"] == {"summary": summary}

    def test_clearing_the_run_that_planned_it_deletes_nothing(
        self, pruned: Run, destination: RegistryProcess, name: str
    ) -> None:
        for _ in range(3):
            assert self.run_all(pruned, hour=1) == {"unchanged": 9, "would_delete": 1}
        assert images.resolve(destination.url, name, "v9") is not None

    def test_manual_runs_neither_plan_nor_delete(self, pruned: Run, destination: RegistryProcess, name: str) -> None:
        assert self.run_all(pruned, hour=None) == {"unchanged": 9, "would_delete": 1}
        assert PLANNED not in pruned.api.xcoms
        assert self.run_all(pruned, hour=1) == {"unchanged": 9, "would_delete": 1}
        assert self.run_all(pruned, hour=None) == {"unchanged": 9, "would_delete": 1}
        assert images.resolve(destination.url, name, "v9") is not None
        assert self.run_all(pruned, hour=2) == {"unchanged": 9, "deleted": 1}

    def test_planned_deletions_survive_a_failed_run(
        self, pruned: Run, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str
    ) -> None:
        assert self.run_all(pruned, hour=1) == {"unchanged": 9, "would_delete": 1}
        images.push(destination.url, name, "v8", images.image([], labels={"name": f"{name} other"}))
        pruned.dag = new_run(
            source,
            destination,
            {"repository": name, "on_moved_tag": "fail"},
            prune={"tags": "gone_at_source", "dry_run": False},
        ).dag
        assert self.run_all(pruned, hour=2, state="failed") == {"unchanged": 8, "failed": 1, "would_delete": 1}
        images.push(destination.url, name, "v8", images.image([], labels={"name": f"{name} v8"}))
        assert self.run_all(pruned, hour=3) == {"unchanged": 9, "deleted": 1}


PLANNED = (REPORT, -1, "planned_deletions_backup")


class TestDeepChecks:
    """Damage over several runs. Each run leaves it in XCom, where the next one finds it."""

    @pytest.fixture
    def image(self, source: RegistryProcess, destination: RegistryProcess, name: str) -> images.Image:
        image = images.image([images.layer({"app": name.encode()})])
        for registry in (source, destination):
            images.push(registry.url, name, "v1", image)
        return image

    @pytest.fixture
    def checked(self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, name: str) -> Run:
        deep_check = {"schedule": "@daily", "share": "100%", "read": "1 MB"}
        return new_run(source, destination, name, schedule="@hourly", deep_check=deep_check)

    def run_all(self, run: Run, hour: int, state: str = "success") -> dict[str, int]:
        """Run the whole DAG for the hour that ends at ``hour``; return the counts above zero."""
        run.api.xcoms.clear()
        end = datetime(2026, 11, 24, hour, tzinfo=UTC)
        run.api.interval = (end - timedelta(hours=1), end)
        assert run.copy().state == state
        assert run.report(**{PLAN: "success", f"{COPY}_0": state}).state == state
        run.api.others[run.dag.dag_id, f"scheduled__{end.isoformat()}", REPORT, "damaged"] = [self.damaged(run)]
        return {outcome: count for outcome, count in run.pushed()["counts"].items() if count}

    def damaged(self, run: Run) -> Any:
        return run.api.xcoms[REPORT, -1, "damaged"]

    def test_damage_stays_known_until_it_is_repaired(
        self, checked: Run, image: images.Image, destination: RegistryProcess, name: str
    ) -> None:
        bad = image.blobs[-1].digest
        destination.damage_blob(bad)
        assert self.run_all(checked, hour=1, state="failed") == {"failed": 1}
        (found,) = self.damaged(checked)["backup"]
        assert (found["repository"], found["digest"], found["tags"], found["parts"]) == (
            f"{destination.host}/{name}",
            str(image.digest),
            ["v1"],
            [str(bad)],
        )
        assert f"layer {bad} is damaged at the destination; a new upload did not replace it" in found["problem"]
        # No tick of deep_check, but this run compares everything.
        assert self.run_all(checked, hour=2, state="failed") == {"failed": 1}
        assert checked.rows[0]["scope"]["deep_check"]["suspects"] == {str(image.digest): [str(bad)]}
        assert [each["digest"] for each in self.damaged(checked)["backup"]] == [str(image.digest)]
        destination.forget_blob(bad)  # as the advice says
        destination.restart()
        assert self.run_all(checked, hour=3) == {"repaired": 1}
        assert self.damaged(checked) == {}
        assert images.pull_whole(destination.url, name, "v1")
        assert self.run_all(checked, hour=4) == {"unchanged": 1}
        assert checked.rows[0]["scope"]["deep_check"] is None

    def test_a_failure_without_a_retry(self, checked: Run, image: images.Image, destination: RegistryProcess) -> None:
        """A retry would find the same bytes."""
        destination.damage_blob(image.blobs[-1].digest)
        checked.api.interval = (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 24, 1, tzinfo=UTC))
        assert "1 tags failed" in failed_at_once(checked.copy(), NotWhole)

    def test_the_share_of_a_scheduled_run(self, checked: Run, image: images.Image) -> None:  # noqa: ARG002
        checked.api.interval = (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 24, 1, tzinfo=UTC))
        assert checked.plan().state == "success"
        assert checked.rows[0]["scope"]["deep_check"] == {
            "reason": "@daily",
            "read_bytes": 1_000_000,
            "rotation": {"start": "2026-11-23T00:00:00+00:00", "end": "2026-11-24T00:00:00+00:00", "share": 1.0},
            "suspects": {},
        }

    def test_a_person_can_ask_for_it(
        self, source: RegistryProcess, destination: RegistryProcess, new_run: NewRun, image: images.Image, name: str
    ) -> None:
        """Also for a mirror without ``deep_check``."""
        lost = image.blobs[-1].digest
        destination.forget_blob(lost)
        destination.restart()
        run = new_run(source, destination, name)
        run.api.conf = {"deep_check": True, "read_megabytes": 0.5}
        assert run.copy().state == "success"
        assert run.rows[0]["scope"]["deep_check"] == {
            "reason": "requested",
            "read_bytes": 500_000,
            "rotation": None,
            "suspects": {},
        }
        assert run.pushed()["counts"] == counts(repaired=1)
        assert run.report(**{PLAN: "success", f"{COPY}_0": "success"}).state == "success"
        assert run.api.xcoms[REPORT, -1, "return_value"] == {
            "summary": "team: everything is in sync, nothing was copied (0 tags unchanged), 1 repaired"
        }
