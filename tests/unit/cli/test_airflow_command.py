"""``airflow registry-sync``: everything behind it is of our command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.cli.cli_config import DefaultHelpParser
from airflow.cli.cli_parser import _add_command

import registry_sync
from registry_sync.cli.airflow_command import get_commands

FILE = """\
registries: {quay: {host: quay.io}, acr: {host: acr.example}}
mirrors: {a: {source: quay, destinations: [acr], repositories: [team/app]}}
"""


def run_in_airflow(*arguments: str) -> int:
    """Run ``airflow ARGUMENTS`` with a parser of Airflow that has our command only."""
    parser = DefaultHelpParser(prog="airflow")
    subparsers = parser.add_subparsers(dest="subcommand")
    for command in get_commands():
        _add_command(subparsers, command)
    parsed = parser.parse_args(arguments)
    with pytest.raises(SystemExit) as ended:
        parsed.func(parsed)
    return int(str(ended.value.code))


@pytest.fixture(autouse=True)
def logging_kept() -> Iterator[None]:
    """The logging of this process, which a command sets for its own."""
    loggers = [logging.getLogger(), logging.getLogger("registry_sync")]
    kept = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in kept:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    (tmp_path / "mirrors.yaml").write_text(FILE)
    return tmp_path / "mirrors.yaml"


def test_arguments_reach_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_airflow("registry-sync", "validate", str(file)) == 0
    assert capsys.readouterr().out.startswith(f"{file} is valid\n")


def test_exit_code_is_that_of_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("")
    assert run_in_airflow("registry-sync", "validate", str(file)) == 2
    assert capsys.readouterr().err == "mirrors.yaml:1: expected registries: and mirrors:, got nothing\n"


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--version"], f"registry-sync {registry_sync.__version__}\n"),
        (["--help"], "usage: airflow registry-sync [-h] [--version] COMMAND ..."),
        (["plan", "--help"], "usage: airflow registry-sync plan [-h] ["),
        (["-h"], "usage: airflow registry-sync [-h]"),
    ],
)
def test_options_are_of_the_command(arguments: list[str], output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_airflow("registry-sync", *arguments) == 0
    assert capsys.readouterr().out.startswith(output)


@pytest.mark.usefixtures("file")
def test_missing_command_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_airflow("registry-sync") == 2
    assert "airflow registry-sync: error: the following arguments are required: COMMAND" in capsys.readouterr().err
