"""The DAG mirror_readiness, when include/mirrors.yaml defines node pools."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from registry_sync.airflow.mirrors_file import load_dag_mirrors
from registry_sync.airflow.readiness_dag import DAG_ID, build_readiness_dag

if get_parsing_context().dag_id in (None, DAG_ID):
    _file = load_dag_mirrors(Path(__file__))
    if _file.node_pools:
        mirror_readiness = build_readiness_dag(_file)
