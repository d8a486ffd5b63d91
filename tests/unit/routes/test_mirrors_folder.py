"""A folder of mirrors files, one per team, as one file: merged by name, each mistake with its own file and line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_sync.airflow.dags.mirror_docs import describe
from registry_sync.airflow.mirrors_file import check_mirrors_file, load_dag_mirrors
from registry_sync.cli.main import main
from registry_sync.config.reading.file_text import PATH_VARIABLE
from registry_sync.errors import MirrorsFileError
from registry_sync.routes.load import load_healthy_mirrors, load_mirrors
from registry_sync.worker.shared_directory import shared_directory

COMMON = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example}}
defaults: {source: quay, destinations: [acr]}
"""
TEAMS = {
    "00-common.yaml": COMMON,
    "a.yaml": "mirrors:\n  a: {repositories: [a/app]}\n",
    "b.yaml": "registries: {hub: {host: docker.io}}\nmirrors:\n  b: {source: hub, repositories: [b/app]}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "mirrors.d", TEAMS)


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(MirrorsFileError) as caught:
        load_mirrors(folder)
    return list(caught.value.problems)


def test_files_are_merged(folder: Path) -> None:
    file = load_mirrors(folder)
    assert (list(file.registries), list(file.mirrors)) == (["quay", "acr", "hub"], ["a", "b"])
    assert (file.mirrors["a"].source, file.mirrors["b"].source, file.mirrors["b"].destinations) == (
        "quay",
        "hub",
        ("acr",),
    )
    assert file.path == folder
    assert file.mirror_files == {"a": folder / "a.yaml", "b": folder / "b.yaml"}


def test_folder_reads_like_one_file_with_the_same_entries(folder: Path, tmp_path: Path) -> None:
    one = tmp_path / "mirrors.yaml"
    one.write_text(
        "registries: {quay: {host: quay.io}, acr: {host: acr.example}, hub: {host: docker.io}}\n"
        "defaults: {source: quay, destinations: [acr]}\n"
        "mirrors:\n  a: {repositories: [a/app]}\n  b: {source: hub, repositories: [b/app]}\n"
    )
    several, single = load_mirrors(folder), load_mirrors(one)
    assert (several.registries, several.mirrors) == (single.registries, single.mirrors)


@pytest.mark.parametrize("section", ["registries", "mirrors", "nodes"])
def test_name_that_two_files_define_is_refused_with_both_places(folder: Path, section: str) -> None:
    """Neither counts: not even the order of the files decides which registry is pushed to."""
    entry = {
        "registries": "{host: other.example}",
        "mirrors": "{repositories: [c/app]}",
        "nodes": "{registry: quay}",
    }[section]
    write(folder, {"x.yaml": f"{section}:\n  twice: {entry}\n", "y.yaml": f"# y\n\n{section}:\n  twice: {entry}\n"})
    assert problems_of(folder) == [
        (
            f"mirrors.d/x.yaml:2: {section}.twice: it is defined twice, in mirrors.d/x.yaml:2 and mirrors.d/y.yaml:4; "
            "keep one, or choose another name"
        )
    ]
    file, _ = load_healthy_mirrors(folder)
    assert (list(file.mirrors), list(file.node_pools)) == (["a", "b"], [])


def test_registry_defined_twice_stops_the_mirrors_that_use_it(folder: Path) -> None:
    write(folder, {"c.yaml": "registries: {hub: {host: other.example}}\n"})
    file, problems = load_healthy_mirrors(folder)
    assert list(file.mirrors) == ["a"]
    assert problems[0].startswith("mirrors.d/b.yaml:1: registries.hub: it is defined twice, in mirrors.d/b.yaml:1 and")


@pytest.mark.parametrize("key", ["defaults: {retries: 1}", "sorce: quay"])
def test_other_keys_are_in_one_file_only(folder: Path, key: str) -> None:
    write(folder, {"00-common.yaml": f"{COMMON}sorce: x\n", "c.yaml": f"\n{key}\n"})
    name = key.partition(":")[0]
    line = {"defaults": 2, "sorce": 3}[name]
    both = f"mirrors.d/00-common.yaml:{line} and mirrors.d/c.yaml:2"
    assert problems_of(folder) == [
        f"mirrors.d/c.yaml:2: {name}: it is in two files, {both}; only one file of the folder may have it"
    ]


def test_mistakes_name_the_file_and_line(folder: Path) -> None:
    write(
        folder,
        {
            "c.yaml": "# c\nmirrors:\n  c:\n    repositories: [c/app]\n    schedul: '@daily'\n",
            "d.yaml": "mirrors:\n  d: {repositories: [d/app, {repository: d/web, tags: {newest: 0}}]}\n  d: {}\n",
            "e.yaml": "mirrors:\n  e: {source: nowhere, repositories: [e/app]}\n",
        },
    )
    assert problems_of(folder) == [
        "mirrors.d/c.yaml:5: mirrors.c.schedul: unknown key 'schedul'; did you mean 'schedule'?",
        "mirrors.d/d.yaml:3: mirrors.d: duplicate key 'd', in line 2 and line 3; keep one",
        "mirrors.d/e.yaml:2: mirrors.e.source: no registry named 'nowhere'; the file has quay, acr, hub",
    ]
    assert list(load_healthy_mirrors(folder)[0].mirrors) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mirrors: {c: [}\n", "mirrors.d/c.yaml:1: this is not valid YAML: "),
        ("# later\n", "mirrors.d/c.yaml:1: expected registries:, mirrors: or nodes:, got nothing"),
        ("- c\n", "mirrors.d/c.yaml:1: expected registries:, mirrors: or nodes:, got a list"),
        ("\nmirrors: [c]\n", "mirrors.d/c.yaml:2: mirrors: expected a mapping (name: ...)"),
        ("\nmirrors:\n", "mirrors.d/c.yaml:2: mirrors: expected a mapping (name: ...)"),
        ("env: HOST\n", "mirrors.d/c.yaml:1: env: expected a list, such as [a, b]"),
        ("mirrors: {}\nmirrors: {}\n", "mirrors.d/c.yaml:2: mirrors: duplicate key 'mirrors', in line 1 and line 2; "),
        ("sorce: 1\n", "mirrors.d/c.yaml:1: sorce: unknown key 'sorce'; allowed are env, registries, "),
        ("defaults: {}\n", "mirrors.d/c.yaml:1: defaults: it is in two files, "),
        ("env: [1]\n", "mirrors.d/c.yaml:1: env[0]: expected a string, got the number 1"),
    ],
)
def test_file_that_cannot_be_read_stops_the_whole_folder(folder: Path, text: str, problem: str) -> None:
    """It may have had the defaults of all others: mirrors without a policy or a limit would be worse than none."""
    write(folder, {"c.yaml": text})
    with pytest.raises(MirrorsFileError) as caught:
        load_healthy_mirrors(folder)
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(problem)


def test_problems_of_all_unreadable_files_are_told(folder: Path) -> None:
    write(folder, {"c.yaml": "mirrors: [\n", "d.yaml": "mirrors: {\n"})
    (folder / "e.yaml").write_bytes(b"# \xff\n")
    assert problems_of(folder) == [
        "mirrors.d/e.yaml:1: this is not UTF-8 text (invalid start byte); save the file as UTF-8"
    ]
    (folder / "e.yaml").unlink()
    assert [each.partition(": ")[0] for each in problems_of(folder)] == ["mirrors.d/c.yaml:2", "mirrors.d/d.yaml:2"]


def test_missing_section_is_of_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "mirrors.d", {"a.yaml": COMMON})
    assert problems_of(folder) == ["mirrors.d: 'mirrors' is missing"]


def test_variables_and_anchors_are_of_their_own_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_C", "c")
    monkeypatch.setenv("TEAM_D", "d")
    use = "mirrors: {NAME: {repositories: ['${VARIABLE}/app']}}\n"
    write(
        folder,
        {
            "c.yaml": "env: [TEAM_C]\nx-c: &common {newest: 1}\n"
            + use.replace("NAME", "c").replace("VARIABLE", "TEAM_C"),
            "d.yaml": "env: [TEAM_D]\nx-c: &common {newest: 2}\n"
            + use.replace("NAME", "d").replace("VARIABLE", "TEAM_D"),
        },
    )
    assert list(load_mirrors(folder).mirrors) == ["a", "b", "c", "d"]
    write(folder, {"e.yaml": "\nenv: [OTHER]\n" + use.replace("NAME", "e").replace("VARIABLE", "TEAM_C")})
    assert problems_of(folder) == [
        "mirrors.d/e.yaml:3: mirrors.e.repositories[0]: ${TEAM_C}: 'TEAM_C' is not in env: (line 2); add it there"
    ]


def test_place_in_another_file_is_named(folder: Path) -> None:
    write(folder, {"c.yaml": "mirrors:\n  c: {source: acr, repositories: [c/app]}\n"})
    assert problems_of(folder)[0] == (
        "mirrors.d/c.yaml:2: mirrors.c: 'acr': the source is also a destination in defaults: "
        "(mirrors.d/00-common.yaml:2); write destinations: here"
    )


def test_hidden_and_other_files_are_not_read(folder: Path) -> None:
    """Those of editors, of git and of mounted ConfigMaps, whose files are links."""
    for name in (".a.yaml.swp", ".#a.yaml", "a.yaml~", "a.yaml.bak", "#a.yaml#", "README.md", ".hidden.yaml", "4913"):
        (folder / name).write_text("[")
    (folder / "sub.yaml").mkdir()
    (folder / "..data").mkdir()
    (folder / "..data" / "c.yaml").write_text("mirrors: {c: {repositories: [c/app]}}\n")
    (folder / "c.yaml").symlink_to("..data/c.yaml")
    assert list(load_mirrors(folder).mirrors) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["c.yml", "C.YAML", "c.Yml"])
def test_file_with_the_other_ending_is_told(folder: Path, name: str) -> None:
    write(folder, {name: "mirrors: {c: {repositories: [c/app]}}\n"})
    problem = f"mirrors.d/{name}: this file is not read, because its name does not end with .yaml; rename or remove it"
    assert problems_of(folder) == [problem]
    assert list(load_healthy_mirrors(folder)[0].mirrors) == ["a", "b"]


def test_link_to_nowhere_is_told(folder: Path) -> None:
    (folder / "c.yaml").symlink_to("gone.yaml")
    advice = "write it (docs/first-mirror.md), or name another file by REGISTRY_SYNC_MIRRORS_FILE"
    assert problems_of(folder) == [f"{folder}/c.yaml does not exist; {advice}"]


def test_order_of_the_files_is_that_of_their_names(folder: Path) -> None:
    file = load_mirrors(folder)
    for name in sorted(TEAMS, reverse=True):
        os.utime(folder / name)
    assert load_mirrors(folder) == file


def test_single_file_in_a_folder_has_its_name_in_messages(tmp_path: Path) -> None:
    folder = write(tmp_path / "mirrors.d", {"a.yaml": f"{COMMON}mirrors: {{a: {{}}}}\n"})
    assert problems_of(folder) == ["mirrors.d/a.yaml:3: mirrors.a: 'repositories' is missing"]


def test_dag_names_the_file_of_its_mirror(folder: Path) -> None:
    file = load_mirrors(folder)
    assert f"Defined in `{folder.parent.name}/mirrors.d/a.yaml`." in describe(file.mirrors["a"], file)


@pytest.mark.usefixtures("own_temporary_directory")
class TestDagFiles:
    """The folder as DAG files read it."""

    @pytest.fixture(autouse=True)
    def named(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(PATH_VARIABLE, str(folder))

    def test_last_good_text_is_that_of_all_files(self, folder: Path, tmp_path: Path) -> None:
        dag_file, at = tmp_path / "dags" / "mirrors.py", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
        assert list(load_dag_mirrors(dag_file).mirrors) == ["a", "b"]
        directory = shared_directory()
        assert directory
        (kept,) = directory.glob("kept-*")
        os.utime(kept, (at.timestamp(), at.timestamp()))
        write(folder, {"b.yaml": "mirrors: [\n", "c.yaml": "mirrors: {c: {repositories: [c/app]}}\n"})
        file = load_dag_mirrors(dag_file)
        assert (list(file.mirrors), file.mirror_files["b"]) == (["a", "b"], folder / "b.yaml")
        assert file.note.startswith(
            "the mirrors file has an error; runs use its text of 2026-01-31 12:30 UTC until it is corrected: "
            "mirrors.d/b.yaml:2: this is not valid YAML: "
        )
        assert list(load_dag_mirrors(dag_file, only="b").mirrors) == ["b"]
        with pytest.raises(MirrorsFileError, match=r"^mirrors\.d/b\.yaml:2: this is not valid YAML"):
            check_mirrors_file(dag_file)

    def test_task_reads_its_own_mirror(self, tmp_path: Path) -> None:
        file = load_dag_mirrors(tmp_path / "dags" / "mirrors.py", only="b")
        assert (list(file.mirrors), list(file.registries)) == (["b"], ["quay", "acr", "hub"])

    def test_command_line_reads_it(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["validate"]) == 0
        assert capsys.readouterr().out.startswith(f"{folder} is valid\n")
        write(folder, {"c.yaml": "mirrors: {c: {}}\n"})
        assert main(["validate", str(folder)]) == 2
        assert capsys.readouterr().err == "mirrors.d/c.yaml:1: mirrors.c: 'repositories' is missing\n"


def test_folder_without_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "mirrors.yaml").mkdir()
    (tmp_path / "mirrors.yaml" / "a.yml").touch()
    path = tmp_path / "mirrors.yaml"
    assert problems_of(path) == [f"{path} has no mirrors files; their names end with .yaml, such as team.yaml"]
