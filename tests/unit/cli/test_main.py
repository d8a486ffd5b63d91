"""``python -m registry_sync``: exit codes and output of the commands that need no registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry_sync.cli.arguments import OK, UNUSABLE
from registry_sync.cli.main import PROJECT, main
from registry_sync.routes.load import json_schema

GOOD = """\
registries:
  quay: {host: quay.io}
  acr: {host: acr.example}
  hub: {host: docker.io}
mirrors:
  often: {source: quay, destinations: [acr, hub], schedule: "@hourly", repositories: [team/app, team/web]}
  by_hand: {source: quay, destinations: [acr], repositories: [team/job]}
"""
BAD = GOOD.replace("[acr, hub]", "[acr, hbu]").replace("team/job", "Team/job")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mirrors.yaml"
    path.write_text(GOOD)
    return path


def test_validate_lists_the_mirrors_of_a_valid_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(file)]) == OK
    assert capsys.readouterr() == (
        (
            f"{file} is valid\n"
            "mirror   source  destinations  rules  schedule (UTC)\n"
            "───────  ──────  ────────────  ─────  ──────────────\n"
            "often    quay    acr, hub          2  @hourly\n"
            "by_hand  quay    acr               1  none\n"
        ),
        "",
    )


def test_validate_accepts_a_file_without_mirrors(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("registries: {}\nmirrors: {}\n")
    assert main(["validate", str(file)]) == OK
    assert capsys.readouterr() == (f"{file} is valid\n", "")


def test_validate_prints_every_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    assert main(["validate", str(file)]) == UNUSABLE
    assert capsys.readouterr() == (
        "",
        (
            "mirrors.yaml:6: mirrors.often.destinations[1]: no registry named 'hbu'; did you mean 'hub'?\n"
            "mirrors.yaml:7: mirrors.by_hand.repositories[0]: 'Team/job' is not a repository name: "
            "upper-case letters are not allowed; write 'team/job'\n"
        ),
    )


def test_validate_reports_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.yaml"
    assert main(["validate", str(path)]) == UNUSABLE
    advice = "write it (docs/first-mirror.md), or name another file by REGISTRY_SYNC_MIRRORS_FILE"
    assert capsys.readouterr() == ("", f"{path} does not exist; {advice}\n")


def test_validate_reads_the_file_of_the_environment_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGISTRY_SYNC_MIRRORS_FILE", str(file))
    assert main(["validate"]) == OK
    assert capsys.readouterr().out.startswith(f"{file} is valid\n")


def test_validate_reads_the_projects_file_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == OK
    assert capsys.readouterr().out.startswith(f"{PROJECT / 'include' / 'mirrors.yaml'} is valid\n")


@pytest.mark.parametrize(
    "command", [["validate"], ["explain", "--mirror", "m", "--repository", "r"], ["nodes", "audit", "--pool", "x"]]
)
def test_a_command_warns_of_another_file_that_dag_files_read(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = PROJECT / "include" / "mirrors.yaml", tmp_path / "include" / "mirrors.yaml"
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("REGISTRY_SYNC_MIRRORS_FILE", raising=False)
    warning = (
        f"this command reads {own}, and DAG files in $AIRFLOW_HOME/dags read {other}; name the file, or set "
        "REGISTRY_SYNC_MIRRORS_FILE for both\n"
    )
    other.parent.mkdir()

    def warns(*more: str) -> bool:
        main([*command, *more])
        return capsys.readouterr().err.startswith(warning)

    assert not warns()
    other.symlink_to(own)
    assert not warns()
    other.unlink()
    other.write_text(GOOD)
    assert warns()
    assert not warns(*(["--mirrors-file"] if command[0] == "nodes" else []), str(own))
    monkeypatch.setenv("REGISTRY_SYNC_MIRRORS_FILE", str(own))
    assert not warns()


def test_schema_prints_the_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == OK
    printed, errors = capsys.readouterr()
    assert (json.loads(printed), errors) == (json_schema(), "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--mirror", "oftn"], "{file} has no mirror 'oftn'; its mirrors are often, by_hand"),
        (
            ["--mirror", "often", "--destination", "quay"],
            "mirror 'often' has no destination ['quay']; its destinations are acr, hub",
        ),
        (
            ["--mirror", "often", "--repository", "x/*", "--repository", "team/*"],
            "no repository of this mirror matches x/*; it has team/app, team/web",
        ),
    ],
)
def test_plan_refuses_unknown_names(
    file: Path, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(file), *arguments]) == UNUSABLE
    assert capsys.readouterr() == ("", problem.format(file=file) + "\n")


def test_plan_refuses_a_file_without_mirrors(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("registries: {}\nmirrors: {}\n")
    assert main(["plan", str(file), "--mirror", "often"]) == UNUSABLE
    assert capsys.readouterr() == ("", f"{file} has no mirror 'often'; it defines no mirrors\n")


@pytest.mark.parametrize("command", [["plan", "--mirror", "often"], ["check"]])
def test_commands_refuse_an_invalid_file(file: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    assert main([command[0], str(file), *command[1:]]) == UNUSABLE
    out, errors = capsys.readouterr()
    assert (out, len(errors.splitlines())) == ("", 2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "python -m registry_sync: error: the following arguments are required: COMMAND"),
        (["plan"], "python -m registry_sync plan: error: one of the arguments --mirror --all is required"),
        (
            ["plan", "--mirror", "m", "--tag", ""],
            "python -m registry_sync plan: error: argument --tag: must not be empty",
        ),
        *(
            (
                ["check", "--on-workers", "--wait", seconds],
                (
                    f"python -m registry_sync check: error: argument --wait: expected a number of seconds above 0, got "
                    f"{seconds!r}"
                ),
            )
            for seconds in ("nan", "inf", "0")
        ),
        (
            ["validate", "a", "b"],
            "python -m registry_sync: error: unrecognized arguments: b; name the mirrors file by FILE alone",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == UNUSABLE
    assert capsys.readouterr().err.splitlines()[-1] == problem


def test_help_names_the_default_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("REGISTRY_SYNC_MIRRORS_FILE", "/100%/mirrors.yaml")
    with pytest.raises(SystemExit) as caught:
        main(["validate", "--help"])
    assert caught.value.code == OK
    assert "mirrors file (/100%/mirrors.yaml)" in capsys.readouterr().out


def test_exit_codes_distinguish_valid_and_invalid_files(file: Path) -> None:
    """Scripts and CI rely on them."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "plugins"), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "registry_sync", "validate", str(file)]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == OK
    file.write_text(BAD)
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (UNUSABLE, "", 2)


@pytest.mark.parametrize("command", [["schema"], ["validate"]])
def test_a_reader_that_ends_early_sees_no_traceback(command: list[str], file: Path) -> None:
    """As with ``… | head``; the exit code is that of a process that SIGPIPE ended."""
    arguments = [*command, str(file)] if command == ["validate"] else command
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "plugins")}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "registry_sync", *arguments],
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


HELP = """
import contextlib, sys
from registry_sync.cli.main import main
with contextlib.suppress(SystemExit):
    main(["--help"])
print(*sorted(name for name in sys.modules if name.startswith(("registry_sync.", "pydantic", "yaml"))))
"""


def test_the_help_imports_no_command() -> None:
    environment = {"PYTHONPATH": str(PROJECT / "plugins")}
    ended = subprocess.run(
        [sys.executable, "-c", HELP], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    names = ("cli", "cli.arguments", "cli.command_help", "cli.main", "errors", "text")
    assert ended.stdout.splitlines()[-1].split() == [f"registry_sync.{name}" for name in names]


def test_each_command_has_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["schema", "validate"], ["validate", "--tag", "v1", "plan"]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert f"error: unrecognized arguments: {' '.join(arguments[1:2])}" in capsys.readouterr().err
