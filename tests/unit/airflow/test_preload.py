"""The modules of tasks are imported before tasks are forked, and by no process that forks none."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from testkit.project import PROJECT

PLUGINS = PROJECT / "plugins"

PROGRAM = """
import json, os, sys, threading
from airflow.listeners.listener import get_listener_manager

sys.argv = ["airflow", *sys.argv[1:]]
get_listener_manager()
own = [name for name in sys.modules if name.startswith("registry_sync.")]
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
sockets = [name for name in files if os.path.exists(name) and os.readlink(name).startswith("socket:")]
print(json.dumps({"modules": own, "threads": threading.active_count(), "sockets": sockets}))
"""
"""A component of Airflow up to the point where it loads plugins, which is before it forks anything."""

TASK = """
import re, re._compiler
from datetime import UTC, datetime
from pathlib import Path

import pydantic

begun = []
compile, adapt = re._compiler.compile, pydantic.TypeAdapter.__init__
re._compiler.compile = lambda pattern, flags: begun.append(str(pattern)) or compile(pattern, flags)
pydantic.TypeAdapter.__init__ = lambda self, kind, **options: begun.append(str(kind)) or adapt(self, kind, **options)

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.runs.label import TEMPLATE
from registry_sync.routes.load import parse_mirrors
from registry_sync.state.document import as_document
from registry_sync.state.recording.look import NO_TAGS
from registry_sync.state.route import RouteState
from registry_sync.state.run_row import RunRow

TEXT = '{"registries": {"a": {"host": "a.example.com", "kind": "quay", "api_url": "https://a.example.com"},' \
    '"b": {"host": "b.example.com"}}, "mirrors": {"m": {"source": "a", "destinations": ["b"], "repositories": ["x"]}}}'
file, problems = parse_mirrors(TEXT, Path("file.yaml"), "m", with_rules=False)
build_dag(file.mirrors["m"], file, with_parameters=False).get_template_env().from_string(TEMPLATE)
names = {"route": "x", "source": "a/x", "destination": "b/x", "run_id": "r", "task_id": "to_b", "map_index": 0}
for value in (RouteState(looked_at=datetime.now(UTC), **names), NO_TAGS, RunRow(route="x")):
    as_document(value)
print(json.dumps([problems, begun]))
"""
"""Continues :data:`PROGRAM` with the start of a mapped task, and prints what it compiles and builds."""

NOT_PRELOADED = (
    "registry_sync.airflow.checks",  # a check is triggered by hand
    "registry_sync.airflow.linked_route",  # the API server shows links
    "registry_sync.airflow.pages",  # the API server has the pages
    "registry_sync.airflow.states.open_database",  # commands and checks open it
    "registry_sync.checks",  # likewise by hand
    "registry_sync.registry.web_pages",  # of links
    "registry_sync.skopeo.container_image",  # a task imports it where skopeo runs in containers
    "registry_sync.skopeo.docker_daemon",  # likewise
)
"""Packages and modules that mirrors' tasks do not import."""


def loaded(home: Path, command: Sequence[str], program: str = PROGRAM) -> Any:
    """The modules, threads and sockets of a component after it has loaded plugins: what the program prints last."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PLUGINS),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *command],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_scheduler_has_all_modules_of_tasks_before_it_forks_them(tmp_path: Path) -> None:
    """A module that an operator imports when it runs belongs to ``MODULES`` of the preload."""
    scheduler = loaded(tmp_path, ["scheduler", "--skip-serve-logs"])
    later = {name for module in scheduler["modules"] for name in imported_later(module)}
    assert [name for name in sorted(later - set(scheduler["modules"])) if not name.startswith(NOT_PRELOADED)] == []
    assert (scheduler["threads"], scheduler["sockets"]) == (1, [])


def test_task_finds_its_patterns_compiled_and_its_states_prepared(tmp_path: Path) -> None:
    assert loaded(tmp_path, ["scheduler"], PROGRAM + TASK) == [[], []]


def test_api_server_imports_no_modules_of_tasks(tmp_path: Path) -> None:
    assert "registry_sync.airflow.dags.mirror" not in loaded(tmp_path, ["api-server"])["modules"]


def imported_later(module: str) -> Iterator[str]:
    """The modules of the package that the functions of a module import."""
    file = PLUGINS.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.exists() else ast.Module([], [])
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in (inner for function in functions for inner in ast.walk(function)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("registry_sync."):
            yield str(node.module)
