"""The mirrors file for DAG files: its last good text is used while the file cannot be read."""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_sync.airflow.dags.mirror import build_dag
from registry_sync.airflow.mirrors_file import check_mirrors_file, load_dag_mirrors
from registry_sync.errors import MirrorsFileError
from registry_sync.worker import kept_text
from registry_sync.worker.kept_text import read_kept_text
from registry_sync.worker.shared_directory import shared_directory

pytestmark = pytest.mark.usefixtures("own_temporary_directory")

GOOD = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example}}
mirrors:
  a: {source: quay, destinations: [acr], repositories: [team/app]}
  b: {source: quay, destinations: [acr], repositories: [team/web]}
"""
KEPT_AT = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
NOTE = "the mirrors file has an error; runs use its text of 2026-01-31 12:30 UTC until it is corrected: {}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was good once, at :data:`KEPT_AT`."""
    path = tmp_path / "include" / "mirrors.yaml"
    path.parent.mkdir()
    path.write_text(GOOD)
    assert list(load_dag_mirrors(dag_file(path)).mirrors) == ["a", "b"]
    (kept,) = shared().glob("kept-*")
    os.utime(kept, (KEPT_AT.timestamp(), KEPT_AT.timestamp()))
    return path


def dag_file(path: Path) -> Path:
    return path.parent.parent / "dags" / "mirrors.py"


def shared() -> Path:
    directory = shared_directory()
    assert directory is not None
    return directory


BROKEN = [
    (
        GOOD + "  c: {source: quay, include: [*-dev]}\n",
        "mirrors.yaml:5: this is not valid YAML: put it in quotes: '*-dev'",
    ),
    (GOOD[:-5], "mirrors.yaml:4: this is not valid YAML: close the bracket of line 4"),
    (GOOD[:40], "mirrors.yaml:1: this is not valid YAML: "),
    ("", "mirrors.yaml:1: expected registries: and mirrors:, got nothing"),
    (GOOD.partition("mirrors:")[0], "mirrors.yaml:1: 'mirrors' is missing"),
    (GOOD + "defaults: {retries: -1}\n", "mirrors.yaml:5: defaults.retries: expected 0 or more, got the number -1"),
    (GOOD + "mirrors: {}\n", "mirrors.yaml:5: mirrors: duplicate key 'mirrors', in line 2 and line 5; keep one"),
    (GOOD + "# \udcff\n", "mirrors.yaml:5: this is not UTF-8 text"),
    ("\0" * len(GOOD), "mirrors.yaml:1: this is not text, because it contains a zero byte; save it again"),
    (GOOD + "\0", "mirrors.yaml:5: this is not text, because it contains a zero byte; save it again"),
]


@pytest.mark.parametrize("only", [None, "b"])
@pytest.mark.parametrize(("text", "problem"), BROKEN)
def test_last_good_text_is_used_while_the_file_is_broken(path: Path, text: str, problem: str, only: str | None) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    file = load_dag_mirrors(dag_file(path), only)
    assert list(file.mirrors) == ([only] if only else ["a", "b"])
    assert file.note.startswith(NOTE.format(problem))


def test_missing_file_is_no_other_case(path: Path) -> None:
    path.unlink()
    assert load_dag_mirrors(dag_file(path)).note.startswith(NOTE.format(f"{path} does not exist"))


def test_dag_is_the_same_with_the_note(path: Path) -> None:
    """A change of the DAG would make a new version of it in Airflow."""
    before = load_dag_mirrors(dag_file(path))
    path.write_text("")
    after = load_dag_mirrors(dag_file(path))
    dags = [build_dag(file.mirrors["a"], file) for file in (before, after)]
    assert dags[0].doc_md == dags[1].doc_md
    assert [dag.task_dict["report"].note for dag in dags] == ["", after.note]  # type: ignore[union-attr]
    assert after.note


def test_import_error_has_the_problem_and_what_runs(path: Path) -> None:
    path.write_text(GOOD.replace("acr.example}}", "acr.example}"))
    with pytest.raises(MirrorsFileError) as caught:
        check_mirrors_file(dag_file(path))
    problem, note = caught.value.problems
    assert "".join(traceback.format_exception(caught.value)).count(f"MirrorsFileError: {problem}") == 1
    assert problem.startswith("mirrors.yaml:2: this is not valid YAML: close the bracket of line 1 (")
    assert note == NOTE.format(problem)


def test_import_error_without_a_kept_text_says_that_nothing_runs(path: Path) -> None:
    for kept in shared().glob("kept-*"):
        kept.unlink()
    path.write_text("")
    problem = "mirrors.yaml:1: expected registries: and mirrors:, got nothing"
    with pytest.raises(MirrorsFileError) as caught:
        check_mirrors_file(dag_file(path))
    nothing = "no mirror runs until this is corrected: this machine has no earlier text of the file"
    assert caught.value.problems == (problem, nothing)
    with pytest.raises(MirrorsFileError) as alone:
        load_dag_mirrors(dag_file(path))
    assert str(alone.value) == problem
    assert "".join(traceback.format_exception(alone.value)).count(problem) == 1


def test_problem_of_one_mirror_needs_no_earlier_text(path: Path) -> None:
    path.write_text(GOOD + "  c: {}\n")
    file = load_dag_mirrors(dag_file(path))
    assert (list(file.mirrors), file.note) == (["a", "b"], "")
    with pytest.raises(MirrorsFileError) as caught:
        check_mirrors_file(dag_file(path))
    assert all(problem.startswith("mirrors.yaml:5: mirrors.c: ") for problem in caught.value.problems)


def test_mirror_of_a_task_that_an_earlier_text_does_not_have_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as after a mirror was renamed: the DAG processor has read the new text, and this worker has not."""
    path.write_text("")
    file = load_dag_mirrors(dag_file(path), "c")
    assert (list(file.mirrors), bool(file.note)) == ([], True)
    assert caplog.messages == [
        file.note,
        "the mirror 'c' cannot run on this machine: the text of the mirrors file does not have it",
    ]


def test_mirror_of_a_task_with_an_error_on_this_machine_only_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAM", raising=False)
    path.write_text("env: [TEAM]\n" + GOOD.replace("team/app", "'${TEAM}/app'"))
    assert load_dag_mirrors(dag_file(path), "b").mirrors.keys() == {"b"}
    assert caplog.messages == []
    assert load_dag_mirrors(dag_file(path), "a").mirrors == {}
    (message,) = caplog.messages
    assert message == (
        "the mirror 'a' cannot run on this machine: mirrors.yaml:4: mirrors.a.repositories[0]: ${TEAM}: the "
        "environment has no variable 'TEAM'; set it for the DAG processor, for every worker, and where you run commands"
    )


def test_tasks_that_read_no_rules_go_on_when_rules_are_broken(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such a task works on a route that was listed before."""
    whole = load_dag_mirrors(dag_file(path), "a").mirrors["a"]
    path.write_text(GOOD.replace("[team/app]", "[{repository: team/app, tags: {include: '/(/'}}, '${TEAM}']"))
    file = load_dag_mirrors(dag_file(path), "a", with_rules=False)
    assert (file.mirrors, file.note) == ({"a": replace(whole, rules=())}, "")
    assert caplog.messages == []
    assert load_dag_mirrors(dag_file(path), "a").mirrors == {}


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        ("quay, dest", "quai, dest", "mirrors.a.source: no registry named 'quai'; did you mean 'quay'?"),
        ("acr], rep", "acr], retries: x, rep", "mirrors.a.retries: expected a whole number, got 'x'"),
    ],
)
def test_tasks_that_read_no_rules_stop_when_the_rest_of_their_mirror_is_broken(
    path: Path, caplog: pytest.LogCaptureFixture, good: str, bad: str, problem: str
) -> None:
    path.write_text(GOOD.replace(good, bad, 1))
    assert load_dag_mirrors(dag_file(path), "a", with_rules=False).mirrors == {}
    assert caplog.messages == [f"the mirror 'a' cannot run on this machine: mirrors.yaml:3: {problem}"]


def test_tasks_that_read_no_rules_use_the_last_good_text(path: Path) -> None:
    path.write_text(GOOD[:-5])
    file = load_dag_mirrors(dag_file(path), "b", with_rules=False)
    assert (list(file.mirrors), file.mirrors["b"].rules) == (["b"], ())
    assert file.note.startswith(NOTE.format("mirrors.yaml:4: this is not valid YAML: "))


def test_corrected_file_is_kept_in_place_of_the_earlier_one(path: Path) -> None:
    path.write_text("")
    load_dag_mirrors(dag_file(path))
    path.write_text(GOOD.replace("  b:", "  d:"))
    assert (list(load_dag_mirrors(dag_file(path)).mirrors), load_dag_mirrors(dag_file(path)).note) == (["a", "d"], "")
    path.write_text("")
    assert list(load_dag_mirrors(dag_file(path)).mirrors) == ["a", "d"]
    assert [each.name.partition("-")[0] for each in shared().iterdir()] == ["kept"]


def test_equal_text_keeps_its_time(path: Path) -> None:
    load_dag_mirrors(dag_file(path))
    kept = read_kept_text(path)
    assert kept is not None
    assert (kept.text, kept.kept_at) == (GOOD, KEPT_AT)


def test_text_of_another_file_is_not_used(path: Path) -> None:
    other = path.parent / "other" / "include" / "mirrors.yaml"
    other.parent.mkdir(parents=True)
    other.write_text("")
    with pytest.raises(MirrorsFileError):
        load_dag_mirrors(dag_file(other))


def test_text_is_found_where_each_commit_has_its_own_folder(tmp_path: Path) -> None:
    """git-sync makes a folder of each commit, and moves a symbolic link."""
    link = tmp_path / "repo"
    for commit, text in (("good", GOOD), ("bad", "")):
        (tmp_path / commit / "include").mkdir(parents=True)
        (tmp_path / commit / "include" / "mirrors.yaml").write_text(text)
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / commit)
        file = load_dag_mirrors(link / "dags" / "mirrors.py")
        assert list(file.mirrors) == ["a", "b"]
    assert file.note


def test_directory_of_another_user_is_not_used(path: Path) -> None:
    shared().chmod(0o755)
    path.write_text("")
    with pytest.raises(MirrorsFileError):
        load_dag_mirrors(dag_file(path))


def test_text_that_cannot_be_kept_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_text, "MAX_BYTES", 10)
    path.write_text(GOOD.replace("  b:", "  d:"))
    assert list(load_dag_mirrors(dag_file(path)).mirrors) == ["a", "d"]
    assert f"the text of {path} is not kept: it is too long, or the temporary directory is not ours" in caplog.messages


def test_unusable_kept_text_leaves_the_error(path: Path) -> None:
    for kept in shared().glob("kept-*"):
        kept.write_bytes(b"\xff")
    path.write_text("")
    with pytest.raises(MirrorsFileError, match="got nothing"):
        load_dag_mirrors(dag_file(path))
