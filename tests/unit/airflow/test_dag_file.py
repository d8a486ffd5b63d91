"""The DAGs of a DAG file of two lines, for the DAG processor and for tasks."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.utils.file import might_contain_dag

from registry_sync.airflow.ids import MISTAKES_TAG
from registry_sync.errors import MirrorsFileError
from testkit.project import PROJECT

pytestmark = pytest.mark.usefixtures("own_temporary_directory")

FILE = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example, private: true}}
mirrors:
  a: {source: quay, destinations: [acr], repositories: [team/app]}
  b: {source: quay, destinations: [acr], repositories: [team/web]}
"""
NODES = "nodes: {outside: {registry: quay, mirrors: [acr]}}\n"
PROBLEM = "mirrors.yaml:5: mirrors.c: 'source' is missing; write source: here, or under defaults:"
CONTEXT = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Airflow's home, with a mirrors file and the two DAG files of the project."""
    for folder in ("dags", "include"):
        (tmp_path / "home" / folder).mkdir(parents=True)
    for file in (PROJECT / "dags").glob("*.py"):
        (tmp_path / "home" / "dags" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "home" / "include" / "mirrors.yaml").write_text(FILE)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def dags_of(file: Path) -> dict[str, DAG]:
    return {name: value for name, value in runpy.run_path(str(file)).items() if isinstance(value, DAG)}


def write(home: Path, text: str) -> None:
    (home / "include" / "mirrors.yaml").write_text(text)


@pytest.mark.parametrize("file", ["mirrors.py", "mirrors_check.py"])
def test_dag_file_is_two_lines_in_which_airflow_sees_dags(file: str) -> None:
    path = PROJECT / "dags" / file
    assert len([line for line in path.read_text().splitlines() if line]) == 2
    assert might_contain_dag(str(path), safe_mode=True)


def test_all_dags_are_defined(home: Path) -> None:
    dags = dags_of(home / "dags" / "mirrors.py")
    assert {name: dag.dag_id for name, dag in dags.items()} == {
        name: name for name in ("mirror_a", "mirror_b", "mirror_watch", "mirrors_check")
    }
    write(home, FILE + NODES)
    added = set(dags_of(home / "dags" / "mirrors.py")) - set(dags)
    assert added == {"mirror_readiness"}


@pytest.mark.parametrize("only", ["mirror_a", "mirror_watch", "mirror_readiness", "mirrors_check"])
def test_task_builds_its_own_dag_only(home: Path, only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, FILE + NODES)
    monkeypatch.setenv(CONTEXT, only)
    assert list(dags_of(home / "dags" / "mirrors.py")) == [only]


EVENTS = FILE.replace("{host: quay.io}", "{host: quay.io, events: {webhook: {secret: quay_webhook}}}").replace(
    "b: {source", "b: {events: null, source"
)


def test_a_mirror_with_events_has_a_dag_for_pushes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, EVENTS)
    dags = dags_of(home / "dags" / "mirrors.py")
    assert set(dags) == {"mirror_a", "mirror_a_pushes", "mirror_b", "mirror_watch", "mirrors_check"}
    for only, expected in {
        "mirror_a_pushes": ["mirror_a_pushes"],
        "mirror_a": ["mirror_a"],
        "mirror_b_pushes": [],
    }.items():
        monkeypatch.setenv(CONTEXT, only)
        assert list(dags_of(home / "dags" / "mirrors.py")) == expected


CHAIN = FILE + "  next: {source: acr, destinations: [quay], repositories: [team/app], events: {webhook: {secret: w}}}\n"


def test_the_task_that_tells_other_mirrors_knows_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task reads its own mirror only, and this one needs to know which mirrors read from its destinations."""
    write(home, CHAIN)
    monkeypatch.setenv(CONTEXT, "mirror_a")
    for task, expected in {"changes": ["registry_sync/a/acr", "registry_sync pushes next"], "report": []}.items():
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", task)
        dags = dags_of(home / "dags" / "mirrors.py")
        assert list(dags) == ["mirror_a"]
        if expected:
            assert [alias.name for alias in dags["mirror_a"].task_dict["changes"].outlets] == expected


def test_names_of_dags_for_pushes_are_reserved(home: Path) -> None:
    write(home, FILE.replace("  b: {", "  a_pushes: {"))
    (home / "dags" / "mirrors_check.py").touch()
    with pytest.raises(MirrorsFileError) as caught:
        dags_of(home / "dags" / "mirrors_check.py")
    assert str(caught.value) == (
        "mirrors.yaml:4: mirrors.a_pushes: names that end with _pushes are reserved: the DAG mirror_a_pushes is for "
        "pushes to the source of a mirror a; rename it"
    )


@pytest.mark.parametrize("only", ["a", "own", "mirrors"])
def test_task_of_another_dag_in_the_file_does_not_read_the_mirrors(
    home: Path, only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "mirrors: [\n")
    monkeypatch.setenv(CONTEXT, only)
    assert dags_of(home / "dags" / "mirrors.py") == {}


def test_file_without_mirrors_has_no_dags(home: Path) -> None:
    write(home, "registries: {}\nmirrors: {}\n")
    assert dags_of(home / "dags" / "mirrors.py") == {}


def test_mistake_leaves_the_other_dags_and_is_told_by_the_watch(home: Path) -> None:
    assert dags_of(home / "dags" / "mirrors.py")["mirror_watch"].tags == {"registry_sync"}
    write(home, FILE + "  c: {destinations: [acr], repositories: [team/x]}\n")
    dags = dags_of(home / "dags" / "mirrors.py")
    assert set(dags) == {"mirror_a", "mirror_b", "mirror_watch", "mirrors_check"}
    assert dags["mirror_watch"].tags == {"registry_sync", MISTAKES_TAG}
    text = dags["mirror_watch"].doc_md or ""
    told = f"**Mistakes in the mirrors file. Mirrors with one do not run:**\n\n~~~text\n{PROBLEM}\n~~~\n\nLooks at"
    assert text.startswith(told)


def test_watch_is_there_when_every_mirror_has_a_mistake(home: Path) -> None:
    write(home, FILE.replace("source: quay, ", ""))
    assert list(dags_of(home / "dags" / "mirrors.py")) == ["mirror_watch"]


def test_text_of_many_mistakes_is_bounded(home: Path) -> None:
    broken = "".join(f"  m{number}: {{source: quay, destinations: [acr]}}\n" for number in range(60))
    write(home, FILE + broken)
    text = dags_of(home / "dags" / "mirrors.py")["mirror_watch"].doc_md or ""
    assert text.count("'repositories' is missing") == 50
    assert "\n… and 10 more\n~~~" in text


def test_second_dag_file_shows_mistakes_as_its_import_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dags_of(home / "dags" / "mirrors_check.py") == {}
    write(home, FILE + "  c: {destinations: [acr], repositories: [team/x]}\n")
    with pytest.raises(MirrorsFileError) as caught:
        dags_of(home / "dags" / "mirrors_check.py")
    assert str(caught.value) == PROBLEM
    monkeypatch.setenv(CONTEXT, "mirror_a")
    assert dags_of(home / "dags" / "mirrors_check.py") == {}


def test_file_that_was_never_good_is_an_import_error(home: Path) -> None:
    write(home, "")
    with pytest.raises(MirrorsFileError) as caught:
        dags_of(home / "dags" / "mirrors.py")
    assert str(caught.value) == "mirrors.yaml:1: expected registries: and mirrors:, got nothing"


def test_functions_are_imported_without_their_dags() -> None:
    """Every task imports the package, also those of DAGs that have nothing to do with mirrors."""
    code = "import sys, registry_sync.airflow; print(sorted(each for each in sys.modules if 'airflow' in each))"
    environment: dict[str, Any] = {"PYTHONPATH": str(PROJECT / "plugins")}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "['registry_sync.airflow']\n"


@pytest.mark.parametrize(
    ("task", "has_rules", "has_parameters"),
    [("routes_to_acr", True, True), ("to_acr", False, False), ("changes", False, True), ("report", False, True)],
)
def test_task_has_what_it_uses(
    home: Path, task: str, has_rules: bool, has_parameters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules are checked when they are read, and Airflow checks each parameter in each task that has it."""
    monkeypatch.setenv(CONTEXT, "mirror_a")
    monkeypatch.setenv(CONTEXT.replace("DAG_ID", "TASK_ID"), task)
    dag = dags_of(home / "dags" / "mirrors.py")["mirror_a"]
    assert bool(dag.task_dict["routes_to_acr"].mirror.rules) == has_rules  # type: ignore[union-attr]
    assert bool(dag.params) == has_parameters
