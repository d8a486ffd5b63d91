"""One DAG per valid mirror of include/mirrors.yaml. registry_mirrors_check.py reports the errors of the others."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from registry_sync.airflow.ids import dag_id, mirror_name
from registry_sync.airflow.mirror_dag import build_dag
from registry_sync.airflow.mirrors_file import load_dag_mirrors

_only = get_parsing_context().dag_id
_file = load_dag_mirrors(Path(__file__), only=mirror_name(_only))
for _mirror in _file.mirrors.values():
    globals()[dag_id(_mirror.name)] = build_dag(_mirror, _file)
