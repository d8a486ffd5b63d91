"""``python -m registry_sync`` in a Python without the packages that it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from registry_sync.cli.arguments import UNUSABLE
from testkit.project import PROJECT

RUN = "import runpy, sys; sys.modules[sys.argv.pop(1)] = None; runpy.run_module('registry_sync', run_name='__main__')"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def message(package: str) -> str:
    return (
        f"this Python ({sys.executable}) does not have the package {package!r}, which registry_sync needs; in a "
        "checkout, use .venv/bin/python (`make venv` makes it), else install registry-sync into this Python "
        "(docs/install.md)\n"
    )


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("re2", "validate"),
        ("yaml", "validate"),
        ("pydantic", "schema"),
        ("jinja2", "nodes"),
        ("croniter", "validate"),
        ("urllib3", "plan"),
    ],
)
def test_a_missing_package_is_told_in_one_line(package: str, command: str) -> None:
    ended = run("-c", RUN, package, command)
    assert (ended.returncode, ended.stdout, ended.stderr) == (UNUSABLE, "", message(package))


def test_a_python_without_any_package() -> None:
    ended = run("-S", "-m", "registry_sync", "validate")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (UNUSABLE, "", 1)
    assert ended.stderr.startswith(f"this Python ({sys.executable}) does not have the package ")


def test_a_missing_module_of_our_own_is_a_defect() -> None:
    ended = run("-c", RUN, "registry_sync.cli.main", "validate")
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr
