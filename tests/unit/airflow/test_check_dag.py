"""The DAG ``mirrors_check``: a task for each queue and pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.sdk.execution_time.supervisor import TaskRunResult

from registry_sync.airflow.dags.check import build_check_dag
from registry_sync.airflow.operators.check import CheckOperator
from registry_sync.config.document import MirrorsFile
from registry_sync.errors import ConfigurationError
from registry_sync.routes.load import load_mirrors
from testkit.task_runner import FakeApi, run

DOWN = {"host": "127.0.0.1:1", "tls": False}


def mirrors(folder: Path) -> MirrorsFile:
    registries = {
        "origin": DOWN,
        "acr": {"host": "127.0.0.1:2", "tls": False, "queue": "eu", "pool": "acr", "ca_file": None},
        "hub": {"host": "127.0.0.1:3", "tls": False, "queue": "eu", "pool": "acr"},
        "cn": {"host": "127.0.0.1:4", "tls": False, "queue": "cn", "connection": "absent"},
        "unused": {"host": "127.0.0.1:5", "tls": False, "queue": "nobody"},
    }
    written = {
        name: {key: value for key, value in entry.items() if value is not None} for name, entry in registries.items()
    }
    document = {
        "registries": written,
        "mirrors": {
            "all": {"source": "origin", "destinations": ["acr", "hub", "cn"], "repositories": ["team/app"]},
            "some": {"source": "origin", "destinations": ["hub"], "repositories": ["team/web"]},
        },
    }
    path = folder / "mirrors.yaml"
    path.write_text(json.dumps(document))
    return load_mirrors(path)


def test_there_is_a_task_for_each_queue_and_pool(tmp_path: Path) -> None:
    dag = build_check_dag(mirrors(tmp_path))
    tasks = {name: (task.queue, task.pool) for name, task in dag.task_dict.items()}
    assert tasks == {
        "check_acr": ("eu", "acr"),
        "check_cn": ("cn", "default_pool"),
        "report": ("default", "default_pool"),
    }
    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs > 1  # a task that no worker takes keeps its run active
    files = {name: task.file for name, task in dag.task_dict.items() if isinstance(task, CheckOperator)}
    assert {name: (list(file.registries), list(file.mirrors)) for name, file in files.items()} == {
        "check_acr": (["origin", "acr", "hub"], ["all", "some"]),
        "check_cn": (["origin", "cn"], ["all"]),
    }
    assert files["check_cn"].mirrors["all"].destinations == ("cn",)


def run_task(folder: Path, task: str, **api: Any) -> tuple[FakeApi, TaskRunResult]:
    dag = build_check_dag(mirrors(folder))
    opened = FakeApi(dag_id=dag.dag_id, max_tries=0, should_retry=False, **api)
    return opened, run(dag, task, opened)


def test_what_is_missing_fails_the_task_after_its_findings_were_pushed(tmp_path: Path) -> None:
    api, result = run_task(tmp_path, "check_cn")
    assert (result.state, type(result.error)) == ("failed", ConfigurationError)
    pushed = api.xcoms["check_cn", -1, "findings"]
    found = {(finding["subject"], finding["check"]): finding for finding in pushed["findings"]}
    assert found["registry cn", "Connection absent"]["verdict"] == "missing"
    assert found["registry origin", "anonymous access"]["verdict"] == "unknown"
    assert found["skopeo", "version"]["verdict"] in ("ok", "warning")


def test_the_report_fails_for_a_place_without_a_result(tmp_path: Path) -> None:
    ok = {"subject": "skopeo", "check": "version", "verdict": "ok", "text": "1.18.0", "remedy": ""}
    pushed = {("check_acr", -1, "findings"): {"host": "worker-1", "findings": [ok]}}
    _, result = run_task(tmp_path, "report", xcoms=pushed)
    assert result.state == "failed"
    assert str(result.error) == "1 could not be checked, of 2 checks"
    pushed["check_cn", -1, "findings"] = {"host": "worker-2", "findings": [ok]}
    _, result = run_task(tmp_path, "report", xcoms=pushed)
    assert result.state == "success"
