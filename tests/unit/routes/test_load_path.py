"""The path of the mirrors file: from the environment, in the project, or in Airflow's home."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.config.reading.file_text import PATH_VARIABLE, mirrors_path


def make(folder: Path, *, has_file: bool = True) -> Path:
    (folder / "include").mkdir(parents=True)
    if has_file:
        (folder / "include" / "mirrors.yaml").touch()
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_environment_names_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/etc/mirrors.d")
    assert mirrors_path(make(tmp_path / "project")) == Path("/etc/mirrors.d")
    assert mirrors_path(make(home)) == Path("/etc/mirrors.d")


def test_empty_variable_names_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "")
    assert mirrors_path(tmp_path / "project") == home / "include" / "mirrors.yaml"


def test_project_comes_before_the_home(home: Path, tmp_path: Path) -> None:
    """A DAG bundle has the file of its commit."""
    make(home)
    assert mirrors_path(make(tmp_path / "project")) == tmp_path / "project" / "include" / "mirrors.yaml"


def test_home_is_used_where_the_project_has_no_file(home: Path, tmp_path: Path) -> None:
    """Such as for an installed package, and for a DAG file in a folder below dags/."""
    assert mirrors_path(tmp_path / "site-packages") == home / "include" / "mirrors.yaml"
    make(home)
    assert mirrors_path(make(tmp_path / "project", has_file=False)) == home / "include" / "mirrors.yaml"


@pytest.mark.usefixtures("home")
def test_missing_file_is_that_of_the_project_with_its_folder(tmp_path: Path) -> None:
    project = make(tmp_path / "project", has_file=False)
    assert mirrors_path(project) == project / "include" / "mirrors.yaml"


def test_default_home_is_that_of_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mirrors_path(tmp_path / "project") == tmp_path / "airflow" / "include" / "mirrors.yaml"
