"""Queues of tasks: a task runs on the queue of its destination."""

from __future__ import annotations

from pathlib import Path

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.routes.load import load_mirrors

FILE = """
registries:
  quay: {host: quay.io}
  acr: {host: acme.azurecr.io}
  aliyun: {host: registry.cn-shanghai.aliyuncs.com, queue: china}
mirrors:
  m: {source: quay, destinations: [acr, aliyun], repositories: [team/app]}
"""


def test_tasks_run_on_the_queue_of_their_destination(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE)
    file = load_mirrors(path)
    tasks = build_dag(file.mirrors["m"], file).task_dict
    assert {name: task.queue for name, task in tasks.items()} == {
        "routes_to_acr": "default",
        "to_acr": "default",
        "routes_to_aliyun": "china",
        "to_aliyun": "china",
        "changes": "default",
        "report": "default",
    }
