"""The documentation's commands, as they stand on its pages, against registries on loopback and a database of Airflow.

They run in one process, because most of the time of a command of Airflow is its start. Bash splits their words.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry_sync.cli.arguments import FAILED, OK, UNANSWERED
from testkit import images
from testkit.airflow import LocalAirflow
from testkit.documented_commands import DocumentedCommand, documented_commands, words_of
from testkit.project import PROJECT
from testkit.registry import RegistryProcess
from tests.unit.test_documented_commands import RUN, is_listed

pytestmark = pytest.mark.timeout(300)

COMMANDS = [command for command in documented_commands() if command.program in RUN and not is_listed(command)]

IN_PROCESS = {"registry-sync", "airflow"}

HOSTS = {
    "quay": "quay.io",
    "dockerhub": "docker.io",
    "acr": "gsoci.azurecr.io",
    "aliyun": "registry-intl.cn-shanghai.aliyuncs.com",
}

V1, MOVED = images.multi_arch("documented"), images.multi_arch("moved")

NOT_OK = {
    "registry-sync check": {FAILED},
    "registry-sync nodes": {OK, FAILED},
    "registry-sync plan --all": {FAILED},
    "registry-sync status": {FAILED, UNANSWERED},
    "registry-sync where": {FAILED, UNANSWERED},
}
"""Commands that may report something here: no scheduler runs, no run has ended, and a tag has moved."""

RUNNER = """
import contextlib, io, json, sys, traceback

def run(words):
    if words[0] == "airflow":
        from airflow.cli.cli_parser import get_parser
        arguments = get_parser().parse_args(words[1:])
        return arguments.func(arguments)
    from registry_sync.cli.main import main
    return main(words[1:])

orders, sys.stdin = sys.stdin, io.StringIO()
for line in orders:
    sys.stdin = io.StringIO("y\\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = run(json.loads(line)) or 0
        except SystemExit as exit:
            code = exit.code
        except BaseException:
            code = traceback.format_exc()
    print(json.dumps([code, printed.getvalue()]), file=sys.__stdout__, flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A copy of the project's folders, an Airflow, and a process that runs commands."""

    folder: Path
    environment: Mapping[str, str]
    hosts: Mapping[str, str]
    runner: subprocess.Popen[str]

    def run(self, command: DocumentedCommand) -> tuple[Any, str]:
        """Exit code and output of a command."""
        text = self.here(command.local)
        if command.program not in IN_PROCESS:
            return self.run_in_bash(text)
        words = words_of(text, self.environment)
        words = words if words[0] != "python" else ["registry-sync", *words[3:]]
        if words[:3] == ["airflow", "connections", "add"]:  # several pages begin with the same Connection
            self.run_here(["airflow", "connections", "delete", words[3]])
        return self.run_here(words)

    def run_here(self, words: list[str]) -> tuple[Any, str]:
        assert self.runner.stdin
        assert self.runner.stdout
        print(json.dumps(words), file=self.runner.stdin, flush=True)
        code, printed = json.loads(self.runner.stdout.readline())
        return code, printed

    def run_in_bash(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def here(self, text: str) -> str:
        """The text with what a reader replaces, or is on loopback here."""
        for host, ours in self.hosts.items():
            text = text.replace(f"docker://{host}/", f"--tls-verify=false docker://{ours}/")
        text = text.replace("sha256:70da357c…", str(MOVED.digest))
        return text.replace("delete mirror_NAME", "delete mirror_small").replace("mirror_NAME", "mirror_releases")


def mirrors_file(hosts: Mapping[str, str]) -> dict[str, Any]:
    """The mirrors and node pools that the pages name."""
    mirror = {"source": "quay", "destinations": ["acr"], "repositories": ["giantswarm/hyperkube"]}
    app = {**mirror, "repositories": ["giantswarm/coredns", "giantswarm/app-operator"]}
    machines = {"bootstrap_images": [{"repository": "giantswarm/hyperkube", "tags": {"names": ["v1.31.4"]}}]}
    return {
        "registries": {name: {"host": hosts[host], "tls": False, "private": True} for name, host in HOSTS.items()},
        "mirrors": {
            "first": mirror,
            "quay_to_acr": {**app, "schedule": "@daily", "start_date": "2026-10-01", "repositories": [
                "giantswarm/hyperkube"
            ]},
            "small": app,
            "releases": app,
            "careful": {**mirror, "on_moved_tag": "fail", "repositories": ["giantswarm/dns-operator"]},
            "world": {**mirror, "destinations": ["dockerhub", "aliyun"]},
        },
        "nodes": {
            "outside_china": {"registry": "dockerhub", "mirrors": ["acr"], **machines},
            "china": {"registry": "aliyun", **machines},
        },
    }  # fmt: skip


def fill(source: str, destination: str) -> None:
    for name in ("hyperkube", "coredns", "app-operator"):
        images.push(source, f"giantswarm/{name}", "v1.31.4", V1)
    images.push(source, "giantswarm/dns-operator", "v1.31.4", MOVED)
    for name in ("hyperkube", "dns-operator"):
        images.push(destination, f"giantswarm/{name}", "v1.31.4", V1)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    folder = tmp_path_factory.mktemp("documented")
    for name in ("dags", "plugins", "include", "secrets"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "daemon.json").write_text('{"registry-mirror": ["https://gsoci.azurecr.io"]}')
    with ExitStack() as stack:
        registries = {host: stack.enter_context(RegistryProcess()) for host in HOSTS.values()}
        fill(registries["quay.io"].url, registries["gsoci.azurecr.io"].url)
        hosts = {host: registry.host for host, registry in registries.items()}
        (folder / "include" / "mirrors.yaml").write_text(json.dumps(mirrors_file(hosts)))
        airflow = LocalAirflow(folder / "home", mirrors_file=folder / "include" / "mirrors.yaml")
        shutil.copytree(PROJECT / "dags", airflow.home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**airflow.environment, "PASSWORD": "secret", "PYTHONPATH": str(PROJECT / "plugins")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        runner = stack.enter_context(start_runner(folder, environment))
        stack.callback(runner.kill)
        place = Workplace(folder=folder, environment=environment, hosts=hosts, runner=runner)
        for words in (["db", "migrate"], ["dags", "reserialize"]):
            assert place.run_here(["airflow", *words])[0] == OK
        yield place


def start_runner(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_the_command_runs(command: DocumentedCommand, workplace: Workplace) -> None:
    code, printed = workplace.run(command)
    text = command.local.replace("python -m registry_sync", "registry-sync", 1)
    allowed = next((codes for start, codes in NOT_OK.items() if text.startswith(start)), {OK})
    assert code in allowed, f"{code}\n{printed}"
