"""A long rate limit defers the task, which resumes after the limit."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.execution_time.comms import DeferTask

from registry_sync.airflow.runs.retries import JITTER_SECONDS
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.interceptor import Interceptor
from testkit.project import PROJECT
from testkit.registry import RegistryProcess
from testkit.task_runner import trigger_arguments
from testkit.waiting import wait_until
from tests.faults.world import COPY, MirrorRun, World, a_world

WAIT_SECONDS = 40
SPREAD_OF_TEST_SECONDS = 2
_SHORTER = f"""\
from registry_sync.airflow.runs import retries
retries.JITTER_SECONDS = {SPREAD_OF_TEST_SECONDS}
"""
"""Code added to the DAG file, which every task reads first: waits short enough for a test."""


@pytest.mark.timeout(300)
def test_a_task_that_waits_holds_no_worker_and_goes_on_in_time(tmp_path: Path) -> None:
    """In an Airflow with one slot for tasks, another run starts and ends meanwhile."""
    write_dag_file(tmp_path / "dags")
    went_on: list[datetime] = []
    with RegistryProcess() as source, RegistryProcess() as destination, Interceptor(destination.url) as wire:
        for name in ("limited", "other"):
            images.push(source.url, f"team/{name}", "v1", images.multi_arch(name))
        put = ("PUT", "^/v2/team/limited/manifests/v1$")
        wire.answer(*put, 429, headers={"Retry-After": str(WAIT_SECONDS)}, times=1)
        wire.after(*put, lambda _: went_on.append(datetime.now(UTC)))
        (tmp_path / "mirrors.yaml").write_text(json.dumps(two_mirrors(source.host, wire.host)))
        airflow = LocalAirflow(
            tmp_path / "home",
            dags=tmp_path / "dags",
            mirrors_file=tmp_path / "mirrors.yaml",
            settings={"AIRFLOW__CORE__PARALLELISM": "1"},
        )
        with airflow:
            api = airflow.api
            for name in ("limited", "other"):
                api.wait_for_dag(f"mirror_{name}")
            run_id = api.trigger("mirror_limited")
            wait_until(lambda: states(airflow, run_id) == ["deferred"], "the task is deferred")
            log = api.log("mirror_limited", run_id, COPY, map_index=0)
            resume_at = datetime.fromisoformat(log.partition("Rate limited; the task is deferred until ")[2].split()[0])
            other = api.wait_for_run("mirror_other", api.trigger("mirror_other"))
            assert other["state"] == "success"
            assert datetime.fromisoformat(other["end_date"]) < resume_at
            assert went_on == []
            assert api.wait_for_run("mirror_limited", run_id)["state"] == "success"
            [task] = api.task_instances("mirror_limited", run_id, COPY)
            assert (task["state"], task["try_number"]) == ("success", 1)
            report = api.xcom("mirror_limited", run_id, COPY, "report", 0)
        assert images.resolve(destination.url, "team/limited", "v1") == images.multi_arch("limited").digest
    assert (json.loads(report) if isinstance(report, str) else report)["counts"]["copied"] == 1
    [seen] = went_on
    assert seen >= resume_at


def write_dag_file(folder: Path) -> None:
    text = (PROJECT / "dags" / "mirrors.py").read_text()
    assert text.startswith("from registry_sync")
    folder.mkdir()
    (folder / "mirrors.py").write_text(f"{_SHORTER}{text}")


def two_mirrors(source: str, backup: str) -> dict[str, Any]:
    registries = {"source": {"host": source, "tls": False}, "backup": {"host": backup, "tls": False}}
    mirrors = {
        name: {"source": "source", "destinations": ["backup"], "repositories": [f"team/{name}"]}
        for name in ("limited", "other")
    }
    return {"registries": registries, "mirrors": mirrors}


def states(airflow: LocalAirflow, run_id: str) -> list[str]:
    return [task_instance["state"] for task_instance in airflow.api.task_instances("mirror_limited", run_id, COPY)]


class TestManyAtOnce:
    """Many routes that one registry rate-limits until the same time."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        with a_world(tmp_path) as world:
            yield world

    def test_they_resume_at_different_times(self, world: World) -> None:
        """Each task resumes at a random time within a minute of the limit's end."""
        random.seed(20)
        opens = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        headers = {"Retry-After": format_datetime(opens, usegmt=True)}
        world.wires["source"].answer("GET", "/tags/list$", 429, headers=headers)
        times = [resume_time(world.mirror(f"team/app{number}")) for number in range(20)]
        world.wires["source"].clear_rules()
        after = sorted((time - opens).total_seconds() for time in times)
        assert after[0] >= -1
        assert after[-1] <= JITTER_SECONDS
        crowds = Counter(int(each // (JITTER_SECONDS / 6)) for each in after)
        assert len(crowds) >= 5
        assert max(crowds.values()) <= 8


def resume_time(run: MirrorRun) -> datetime:
    """The time at which the deferred task of a run resumes."""
    assert run.plan().state == "success"
    result = run.copy()
    assert isinstance(result.msg, DeferTask), result
    return datetime.fromisoformat(trigger_arguments(result.msg)["resume_at"])
