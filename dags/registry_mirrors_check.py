"""Errors in include/mirrors.yaml, as an import error of this file. The DAGs of valid mirrors keep running."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from registry_sync.airflow.mirrors_file import check_mirrors_file

if get_parsing_context().dag_id is None:
    check_mirrors_file(Path(__file__))
