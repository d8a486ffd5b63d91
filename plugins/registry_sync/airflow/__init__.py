"""DAGs, operators, hooks and triggers. A DAG file calls the functions here.

Every task of every DAG imports this package, so the functions import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any


def mirror_dags(namespace: MutableMapping[str, Any]) -> None:
    """Define the DAGs of the mirrors file.

    They are one for each valid mirror, ``mirror_watch``, ``mirrors_check``, and ``mirror_readiness`` for node pools.

    :param namespace: ``globals()`` of the DAG file.
    :raises MirrorsFileError: when neither the file nor an earlier text of it can be read.
    """
    from registry_sync.airflow.dag_file import build_dags  # noqa: PLC0415

    namespace.update(build_dags(Path(namespace["__file__"])))


def check_mirror_dags(namespace: MutableMapping[str, Any]) -> None:
    """Show the mistakes in the mirrors file as the import error of a DAG file without DAGs. Tasks never run it.

    :param namespace: ``globals()`` of the DAG file.
    :raises MirrorsFileError: with every mistake, and what runs until they are corrected.
    """
    from registry_sync.airflow.dag_file import check_dags  # noqa: PLC0415

    check_dags(Path(namespace["__file__"]))
