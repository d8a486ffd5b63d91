"""The description of the package for Airflow, which reads it while Airflow itself is being imported."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow.sdk import BaseHook, BaseOperator
from airflow.triggers.base import BaseTrigger
from jsonschema import Draft7Validator

import registry_sync
from registry_sync.airflow.provider import get_provider_info
from registry_sync.config.connection_type import CONNECTION_TYPES
from testkit.project import PROJECT

SCHEMA = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text(encoding="utf-8"))

KINDS: dict[str, type] = {"operators": BaseOperator, "hooks": BaseHook, "triggers": BaseTrigger}

UNLISTED = {
    "operators": {"changes", "check", "list_routes", "mirror_route", "readiness", "report", "route_operator", "watch"}
}
"""Operators of our own DAGs, which have no use in a DAG of somebody else."""


def test_description_has_the_form_that_airflow_expects() -> None:
    info = get_provider_info()
    Draft7Validator(SCHEMA).validate(info)
    assert set(info) - {"versions"} <= set(SCHEMA["properties"])
    assert (info["package-name"], info["versions"]) == ("registry-sync", [registry_sync.__version__])


@pytest.mark.parametrize("kind", KINDS)
def test_every_listed_module_has_what_it_is_listed_for(kind: str) -> None:
    names = [name for entry in get_provider_info()[kind] for name in entry["python-modules"]]
    modules = [importlib.import_module(name) for name in names]
    assert [module.__name__ for module in modules if not own_classes(module, KINDS[kind])] == []
    folder = PROJECT / "plugins" / "registry_sync" / "airflow" / kind
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"} - UNLISTED.get(kind, set())
    having = {
        name
        for name in files
        if own_classes(importlib.import_module(f"registry_sync.airflow.{kind}.{name}"), KINDS[kind])
    }
    assert {name.rpartition(".")[2] for name in names} == having


def own_classes(module: Any, kind: type) -> list[type]:
    found = (value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == module.__name__)
    return [each for each in found if issubclass(each, kind)]


def test_hook_of_a_connection_type_says_the_same() -> None:
    for row in CONNECTION_TYPES:
        module, _, name = row["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), name)
        assert (hook.conn_type, hook.hook_name) == (row["connection-type"], row["hook-name"])


READ = """
import importlib, json, sys
from registry_sync.airflow.provider import get_provider_info
for function in get_provider_info()["cli"]:
    importlib.import_module(function.rpartition(".")[0])
heavy = ("airflow", "pydantic", "registry_sync")
print(json.dumps(sorted(name for name in sys.modules if name.partition(".")[0] in heavy)))
"""


def test_description_and_commands_import_nothing() -> None:
    """With an import of Airflow, every command of Airflow would end with a circular import."""
    ended = subprocess.run(
        [sys.executable, "-c", READ],
        env={"PYTHONPATH": str(PROJECT / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout) == [
        "registry_sync",
        "registry_sync.airflow",
        "registry_sync.airflow.provider",
        "registry_sync.cli",
        "registry_sync.cli.airflow_command",
        "registry_sync.config",
        "registry_sync.config.connection_type",
    ]
