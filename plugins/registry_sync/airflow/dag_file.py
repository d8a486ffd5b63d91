"""The DAGs of a DAG file. A task builds only the DAG that it belongs to, and imports only what that needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from registry_sync.airflow.ids import (
    CHANGES_TASK,
    CHECK_DAG,
    READINESS_DAG,
    WATCH_DAG,
    dag_id,
    is_copy_task,
    is_of_mirror,
    is_of_pushes,
    mirror_name,
    pushes_dag_id,
    reads_rules,
)
from registry_sync.airflow.mirrors_file import check_mirrors_file, load_dag_mirrors
from registry_sync.config.document import MirrorsFile


def build_dags(dag_file: Path) -> Mapping[str, DAG]:
    """The DAGs of the mirrors file by their ids; in a task, its own DAG only, and none for another DAG of the file.

    :raises MirrorsFileError: when neither the file nor an earlier text of it can be read.
    """
    only, task = get_parsing_context()
    match only:
        case None:
            file = load_dag_mirrors(dag_file)
            return _mirrors(file) | _watch(file, dag_file) | _readiness(file) | _check(file)
        case _ if only == WATCH_DAG:
            return _watch(load_dag_mirrors(dag_file), dag_file)
        case _ if only == READINESS_DAG:
            return _readiness(load_dag_mirrors(dag_file))
        case _ if only == CHECK_DAG:
            return _check(load_dag_mirrors(dag_file))
        case _ if not is_of_mirror(only):
            return {}
    read = mirror_name(only) if task != CHANGES_TASK else None  # it notifies other mirrors, without their rules
    file = load_dag_mirrors(dag_file, read, with_rules=reads_rules(task))
    return _of_mirror(file, only, with_parameters=not is_copy_task(task))


def check_dags(dag_file: Path) -> None:
    """:raises MirrorsFileError: with all problems of the mirrors file, except while a task is parsed."""
    if get_parsing_context().dag_id is None:
        check_mirrors_file(dag_file)


def _mirrors(file: MirrorsFile) -> dict[str, DAG]:
    """The DAGs of all mirrors: one of each, and one for pushes of those that have events."""
    ids = [name for mirror in file.mirrors for name in (dag_id(mirror), pushes_dag_id(mirror))]
    return {name: dag for dag_id in ids for name, dag in _of_mirror(file, dag_id).items()}


def _of_mirror(file: MirrorsFile, dag: str, *, with_parameters: bool = True) -> dict[str, DAG]:
    """One DAG of a mirror; empty when the file does not have it."""
    mirror = file.mirrors.get(mirror_name(dag) or "")
    if mirror is None:
        return {}
    if not is_of_pushes(dag):
        from registry_sync.airflow.dags.mirror import build_dag  # noqa: PLC0415

        return {dag: build_dag(mirror, file, with_parameters=with_parameters)}
    if mirror.events_from(file.registries[mirror.source]) is None:
        return {}
    from registry_sync.airflow.pushes.dag import build_pushes_dag  # noqa: PLC0415

    return {dag: build_pushes_dag(mirror, file, with_parameters=with_parameters)}


def _watch(file: MirrorsFile, dag_file: Path) -> dict[str, DAG]:
    """The DAG that watches all mirrors, also those that mistakes in the file have left out."""
    if not file.mirrors and not file.problems:
        return {}
    from registry_sync.airflow.dags.watch import build_watch_dag  # noqa: PLC0415

    return {WATCH_DAG: build_watch_dag(file, dag_file)}


def _readiness(file: MirrorsFile) -> dict[str, DAG]:
    if not file.node_pools:
        return {}
    from registry_sync.airflow.dags.readiness import build_readiness_dag  # noqa: PLC0415

    return {READINESS_DAG: build_readiness_dag(file)}


def _check(file: MirrorsFile) -> dict[str, DAG]:
    if not file.mirrors:
        return {}
    from registry_sync.airflow.dags.check import build_check_dag  # noqa: PLC0415

    return {CHECK_DAG: build_check_dag(file)}
