"""The package installed by pip and copied into the plugins folder: said, and the plugin exists once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_sync.cli.check import _check_copies
from registry_sync.cli.installed_copies import PACKAGE, copies_problem, find_copies
from testkit.project import PROJECT


def copy_of_the_package(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "plugins" / ".airflowignore", folder)
    return folder


def test_one_copy_is_no_problem() -> None:
    assert find_copies(PACKAGE.parent) == [PACKAGE]
    assert copies_problem([PACKAGE]) == ""


def test_plugins_folder_that_is_a_link_to_the_package_is_the_same_copy(tmp_path: Path) -> None:
    (tmp_path / "plugins").symlink_to(PACKAGE.parent)
    assert find_copies(tmp_path / "plugins") == [PACKAGE]


def test_copies_are_found_in_the_plugins_folder_and_where_python_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = copy_of_the_package(tmp_path / "site-packages") / PACKAGE.name
    copied = copy_of_the_package(tmp_path / "plugins") / PACKAGE.name
    monkeypatch.syspath_prepend(str(installed.parent))
    copies = find_copies(copied.parent)
    assert copies == [PACKAGE, installed, copied]
    assert copies_problem(copies) == (
        f"registry_sync is installed 3 times: this command is of the package in {PACKAGE}; keep one, and remove the "
        f"others: {installed}, {copied}"
    )


def test_check_warns_of_a_copy(tmp_path: Path) -> None:
    copied = copy_of_the_package(tmp_path / "plugins") / PACKAGE.name
    [finding] = _check_copies(copied.parent)
    assert (finding.check, finding.verdict, finding.text) == (
        "installed once",
        "warning",
        copies_problem([PACKAGE, copied]),
    )
    assert _check_copies(PACKAGE.parent) == []


def test_folder_of_another_package_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / PACKAGE.name).mkdir()
    assert find_copies(tmp_path) == [PACKAGE]
