"""Import the modules of tasks once, in the processes that tasks are forked from.

A task is a fork of the scheduler (LocalExecutor), of a Celery worker or of an Edge worker, and a DAG file is parsed in
a fork of the DAG processor. Each of them would import the package again, which takes a third of a second of CPU. A
fork has the modules of its parent.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module

log = logging.getLogger(__name__)

FORKING_COMMANDS = (("scheduler",), ("dag-processor",), ("celery", "worker"), ("edge", "worker"))
"""The commands of Airflow whose processes fork tasks or parsers of DAG files."""

MODULES = (
    "airflow.dag_file",
    "airflow.dags.check",
    "airflow.dags.mirror",
    "airflow.dags.readiness",
    "airflow.dags.watch",
    "airflow.hooks.identities.read",
    "airflow.messages.notifications",
    "airflow.messages.readiness_messages",
    "airflow.metrics",
    "airflow.mirrors_file",
    "airflow.pushes.chain",
    "airflow.pushes.dag",
    "airflow.pushes.lost",
    "airflow.states.readiness_state",
    "config.entries.from_json",
    "nodes.readiness.check",
    "nodes.readiness.known_damage",
    "nodes.readiness.plan",
    "nodes.readiness.report",
    "registry.certificates",
    "registry.open",
    "skopeo.local",
    "skopeo.policy",
    "state.known_digests",
    "state.messages.known_destination",
    "state.metrics",
    "sync.route",
    "tags.templates",
)
"""The modules of DAG files, and those that operators import when they run, with all their imports."""


def preload(command: Sequence[str]) -> None:
    """Import the modules of tasks, if the command forks tasks. Other processes import what they need.

    :param command: the command line, such as ``["/usr/local/bin/airflow", "scheduler"]``.
    """
    if not any(tuple(command[1 : 1 + len(words)]) == words for words in FORKING_COMMANDS):
        return
    try:
        for name in MODULES:
            import_module(f"registry_sync.{name}")
        from registry_sync.airflow.rehearsal import rehearse  # noqa: PLC0415 - other processes do without it

        rehearse()
    except Exception:  # a plugin that fails here would be missing, with its timetable; each task shows the error anyway
        log.exception("the modules of registry_sync are not preloaded: each task imports them, or fails likewise")
