"""Each shell command in the documentation is run by a test, or is listed here with the reason why not."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml
from airflow.configuration import conf
from airflow.models.connection import Connection

from testkit.documented_commands import DocumentedCommand, documented_commands
from testkit.project import PROJECT

COMMANDS = documented_commands()

RUN = {"registry-sync", "airflow", "mkdir", "cp", "rm", "ls", "cd", "skopeo", "umask", "printf"}
"""Programs whose commands ``tests/integration/test_documented_commands.py`` runs."""

RUN_ELSEWHERE = {
    "tests/unit/cli/test_events.py": r"python -m registry_sync events .*",
    "tests/unit/importing/test_move_page.py": r"registry-sync (import .*|validate mirrors\.yaml)",
    "tests/integration/test_dag_runs.py": r"python -m registry_sync check --on-workers",
    "tests/integration/test_wheel.py": r"pip install \.|airflow dags test .*",
    "tests/integration/test_push_queue.py": r"redis-cli .* publish .*",
    "tests/unit/nodes/test_audit.py": r"python -m registry_sync nodes audit .*--(against|allow) .*",
}
"""Tests that run commands, in the same form or in one that needs no network, and the commands."""

NOT_RUN = {
    "needs a Docker daemon; tests/stack builds, starts, stops, restores and removes the same stack": r"docker .*",
    "needs a Kubernetes cluster; the chart's schema checks the values in tests/unit/deploy": r"(kubectl|helm) .*",
    "makes secrets for Kubernetes": r"random\(\) .*",
    "changes the owner of a file, as root": r"sudo chown .*",
    "changes .env of the stack, which tests/stack starts with other values": r"echo WORKERS=.*",
    "changes packages of the environment that runs the tests": (
        r"pip (install (-r requirements\.txt|'\.\[.*)|uninstall .*)"
    ),
    "needs the API server of an Airflow; tests/pages and tests/integration/test_operator_states.py send the same": (
        r"(token=\$\()?curl .*|url=.*"
    ),
    "starts an Airflow, which runs until it is ended": r"airflow standalone",
    "changes a git checkout": r"git pull",
    "gives rights in an account of a cloud": r"(az|gcloud) .*",
    "starts registries on ports of the reader, and ends them": (
        r"docker-registry serve .*|skopeo copy .* docker://127\.0\.0\.1:5001/.*|registry-sync plan --mirror local .*"
        r"|kill .*|rm -rf one .*"
    ),
}
"""Reasons why commands are not run, and the commands."""


def is_listed(command: DocumentedCommand) -> bool:
    patterns = [*RUN_ELSEWHERE.values(), *NOT_RUN.values()]
    return any(re.fullmatch(pattern, command.text, re.DOTALL) for pattern in patterns)


def test_each_command_is_run_or_has_a_reason() -> None:
    """Run a new command in ``tests/integration/test_documented_commands.py``, or add the reason why not above."""
    missing = [str(each) for each in COMMANDS if each.program not in {*RUN, "make", "export"} and not is_listed(each)]
    assert missing == []


@pytest.mark.parametrize("pattern", [*RUN_ELSEWHERE.values(), *NOT_RUN.values()])
def test_each_reason_is_used(pattern: str) -> None:
    assert [command for command in COMMANDS if re.fullmatch(pattern, command.text, re.DOTALL)]


@pytest.mark.parametrize("test", RUN_ELSEWHERE)
def test_each_test_that_runs_commands_exists(test: str) -> None:
    assert (PROJECT / test).exists()


def test_all_are_valid_in_bash() -> None:
    script = "\n".join(command.text for command in COMMANDS)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_knows_each_target() -> None:
    targets = {command.text.split()[1] for command in COMMANDS if command.program == "make"}
    help_lines = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert targets - {line.split()[1] for line in help_lines.splitlines()} == set()


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.program == "export"], ids=str)
def test_airflow_reads_the_variable(command: DocumentedCommand) -> None:
    done = subprocess.run(["bash", "-euc", f"{command.text}\nenv -0"], capture_output=True, text=True, check=True)
    variables = dict(line.partition("=")[::2] for line in done.stdout.split("\0") if line)
    names = [name for name in variables if re.search(rf"\b{name}=", command.text)]
    assert names
    assert [name for name in names if not is_read(name, variables[name])] == []


def is_read(name: str, value: str) -> bool:
    """Return whether Airflow, Python or this package knows the variable, or gets a Connection from the value."""
    if name.startswith("AIRFLOW_CONN_"):
        return bool(Connection.from_json(value).conn_type)
    if found := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", name):
        section, option = (part.lower() for part in found.groups())
        return option in conf.configuration_description[section]["options"]
    if name == "PYTHONPATH":
        return value.rpartition("/")[2] == "plugins"
    return name in ("PATH", "AIRFLOW_HOME", "REGISTRY_SYNC_MIRRORS_FILE")


def test_files_of_this_project_exist() -> None:
    named = re.findall(
        r"(?<![\w/])(?:deploy|secrets|include|dags|plugins)/[\w./-]*\w", "\n".join(command.text for command in COMMANDS)
    )
    missing = {path for path in named if not (PROJECT / path).exists()}
    assert len(named) > 15
    assert missing == {"secrets/connections.yaml", "secrets/pools.json", "deploy/mirrors-scheduler"}


def test_the_stack_has_each_service_that_a_command_names() -> None:
    text = "\n".join(command.text for command in COMMANDS)
    named = re.findall(r"docker compose (?:stop|up -d|exec(?: -T)?) ([a-z-]+)", text)
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    assert len(named) > 5
    assert set(named) - services.keys() == set()
