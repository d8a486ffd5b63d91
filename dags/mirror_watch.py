"""The DAG mirror_watch, which looks at all mirrors of include/mirrors.yaml."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from registry_sync.airflow.mirrors_file import load_dag_mirrors
from registry_sync.airflow.watch_dag import DAG_ID, build_watch_dag

if get_parsing_context().dag_id in (None, DAG_ID):
    _file = load_dag_mirrors(Path(__file__))
    if _file.mirrors:
        mirror_watch = build_watch_dag(_file, Path(__file__))
