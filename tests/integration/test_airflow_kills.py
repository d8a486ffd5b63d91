"""Kills of tasks and of the scheduler in a real Airflow: copies stop, files are removed, and the next try continues."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.processes import skopeos
from testkit.registry import Htpasswd, RegistryProcess
from testkit.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

DAG = "mirror_kills"
USER, PASSWORD = "robot", "hunter2-of-the-destination"
KINDS = ("cleared", "failed-run", "killed-task", "killed-scheduler")
SMALL = {kind: images.layer({"small": kind.encode()}) for kind in KINDS}
"""Content that arrives before the kill."""
IMAGES = {
    kind: images.image([SMALL[kind], images.big_layer(1_000_000, seed=100 + number)])
    for number, kind in enumerate(KINDS)
}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A source with a repository for each test, a destination with a password, and an Airflow between them."""

    source: RegistryProcess
    destination: RegistryProcess
    wire: Interceptor
    airflow: LocalAirflow
    session: requests.Session

    def start_copy(self, kind: str) -> str:
        """Start a run, and wait until its small layer is committed, before the big one. Return the run's id."""
        self.wire.slow("PATCH", f"/v2/kills/{kind}/blobs/", 40_000)
        api = self.airflow.api
        api.wait_for_dag(DAG)
        api.unpause(DAG)
        run_id = api.trigger(DAG, {"repositories": [f"kills/{kind}"]})
        wait_until(lambda: self.committed(kind)[str(SMALL[kind].digest)] == 1, "the small layer is there")
        assert len(self.skopeos()) == 1
        assert len(self.auth_files()) == 2
        return run_id

    def finishes(self, kind: str, run_id: str) -> None:
        """Speed the wire up, and check that the run succeeds, each blob was sent once, and nothing is left over."""
        self.wire.clear_rules()
        run = self.airflow.api.wait_for_run(DAG, run_id)
        assert run["state"] == "success"
        assert self.resolve(kind) == IMAGES[kind].digest
        assert self.committed(kind) == {str(blob.digest): 1 for blob in IMAGES[kind].blobs}
        assert self.skopeos() == []
        wait_until(lambda: not self.auth_files(), "no auth file is left")

    def is_stopped(self, kind: str) -> None:
        wait_until(lambda: not self.skopeos(), "skopeo is gone")
        assert self.resolve(kind) is None

    def resolve(self, kind: str) -> object:
        return images.resolve(self.destination.url, f"kills/{kind}", "v1", session=self.session)

    def committed(self, kind: str) -> Counter[str]:
        """Number of completed uploads per blob."""
        return Counter(
            request.query.partition("digest=")[2].replace("%3A", ":").partition("&")[0]
            for request in self.destination.requests()
            if request.method == "PUT" and request.path.startswith(f"/v2/kills/{kind}/blobs/") and request.status == 201
        )

    def skopeos(self) -> list[int]:
        return skopeos(self.wire.host)

    def auth_files(self) -> list[Path]:
        return list((self.airflow.home / "tmp").rglob("auth.json"))


_MIRRORS = """\
registries:
  source: {{host: "{source}", tls: false}}
  there: {{host: "{there}", tls: false, connection: registry_there}}
mirrors:
  kills:
    source: source
    destinations: [there]
    repositories: [{repositories}]
    retries: 0
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("kills")
    with ExitStack() as opened:
        source = opened.enter_context(RegistryProcess())
        destination = opened.enter_context(RegistryProcess(auth=Htpasswd(users={USER: PASSWORD})))
        wire = opened.enter_context(Interceptor(destination.url))
        for kind, image in IMAGES.items():
            images.push(source.url, f"kills/{kind}", "v1", image)
        repositories = ", ".join(f"kills/{kind}" for kind in KINDS)
        text = _MIRRORS.format(source=source.host, there=wire.host, repositories=repositories)
        (folder / "mirrors.yaml").write_text(text)
        session = opened.enter_context(requests.Session())
        session.trust_env, session.auth = False, (USER, PASSWORD)
        connection = {"conn_type": "docker", "host": wire.host, "login": USER, "password": PASSWORD}
        airflow = LocalAirflow(
            folder / "home",
            mirrors_file=folder / "mirrors.yaml",
            connections={"registry_there": connection},
            settings={
                "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
                "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            },
        )
        airflow.migrate()
        opened.callback(airflow.stop)
        airflow.start(["api-server", "execution-api", "scheduler", "dag-processor"])
        yield Stack(source=source, destination=destination, wire=wire, airflow=airflow, session=session)


def test_a_task_cleared_while_it_runs_starts_again(stack: Stack) -> None:
    run_id = stack.start_copy("cleared")
    (before,) = stack.skopeos()
    stack.airflow.api.clear(DAG, run_id, [("to_there", 0)])
    wait_until(lambda: before not in stack.skopeos(), "the first skopeo is gone")
    stack.finishes("cleared", run_id)
    assert states(stack, run_id) == dict.fromkeys(("routes_to_there", "to_there", "report", "changes"), "success")


def test_a_run_that_is_marked_as_failed_stops(stack: Stack) -> None:
    run_id = stack.start_copy("failed-run")
    stack.airflow.api.call("PATCH", f"dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})
    stack.is_stopped("failed-run")
    wait_until(lambda: not stack.auth_files(), "no auth file is left")
    stack.airflow.api.clear(DAG, run_id, ["to_there"])
    stack.finishes("failed-run", run_id)


def test_a_task_process_that_is_killed_is_a_failed_route(stack: Stack) -> None:
    """As by the kernel when memory is short. The next task of this worker cleans up."""
    run_id = stack.start_copy("killed-task")
    (skopeo,) = stack.skopeos()
    os.kill(parent_of(skopeo), signal.SIGKILL)
    stack.is_stopped("killed-task")
    assert stack.airflow.api.wait_for_run(DAG, run_id)["state"] == "failed"
    assert (
        "kills/killed-task → there (failed) ended without a report; see the log of that task"
        in stack.airflow.api.log(DAG, run_id, "report")
    )
    assert len(stack.auth_files()) == 2
    stack.airflow.api.clear(DAG, run_id, ["to_there"])
    stack.finishes("killed-task", run_id)


def test_a_scheduler_that_is_killed_takes_its_tasks_along_and_the_next_one_goes_on(stack: Stack) -> None:
    run_id = stack.start_copy("killed-scheduler")
    stack.airflow.kill("scheduler")
    stack.is_stopped("killed-scheduler")
    assert len(stack.auth_files()) == 2
    stack.airflow.start(["scheduler"])
    stack.finishes("killed-scheduler", run_id)


def states(stack: Stack, run_id: str) -> dict[str, Any]:
    return {
        task_instance["task_id"]: task_instance["state"]
        for task_instance in stack.airflow.api.task_instances(DAG, run_id)
    }


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
