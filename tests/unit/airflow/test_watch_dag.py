"""The DAG mirror_watch."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import CronTriggerTimetable

from registry_sync.airflow.dags.watch import WATCH_TASK, build_watch_dag
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_mirrors

FILE = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example}, hub: {host: docker.io}}
defaults: {source: quay, destinations: [acr]}
mirrors:
  a: {repositories: [team/app]}
  NAME: {repositories: [team/web], destinations: [acr, hub]}
"""


def test_it_has_one_task_every_15_minutes(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE.replace("NAME", "b"))
    dag = build_watch_dag(load_mirrors(path), path)
    assert dag.timetable == CronTriggerTimetable("*/15 * * * *", timezone="UTC")
    assert (dag.catchup, dag.max_active_runs, list(dag.task_dict)) == (False, 1, [WATCH_TASK])
    assert [asset.name for asset in dag.task_dict[WATCH_TASK].inlets] == ["registry_sync/messages"]


def test_no_mirror_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.yaml"
    path.write_text(FILE.replace("NAME", "watch"))
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(path)
    assert str(caught.value) == (
        "mirrors.yaml:5: mirrors.watch: this name is reserved: the DAG mirror_watch notices runs that do not come; "
        "choose another name"
    )
