"""A private Docker for tests. It does not touch other containers, images or networks, and is removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.namespace import Namespace
from testkit.network import NAME_SERVER, PortForwards, outbound_network

COMMANDS = ("dockerd", "docker", "docker-compose", "slirp4netns", "mmdebstrap", "iptables")
COMMAND_TIMEOUT_SECONDS = 300.0

_CGROUPS = Path("/sys/fs/cgroup")


class CommandError(Exception):
    """A command failed. The message has the command and its output."""


class Docker:
    """A running daemon, used by the real command line."""

    def __init__(self, namespace: Namespace, forwards: PortForwards) -> None:
        self._namespace, self._forwards = namespace, forwards
        self.folder = namespace.folder

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Docker]:
        """Start a daemon whose containers reach this machine's networks. It ends with the block or this process."""
        with Namespace({}) as namespace, outbound_network(namespace), PortForwards(namespace) as forwards:
            docker = cls(namespace, forwards)
            parent = namespace.folder.name  # its cgroups are below one of this name
            process = namespace.spawn(
                "dockerd",
                f"--data-root={namespace.folder / 'data' / 'docker'}",
                "--exec-root=/run/docker",
                "--pidfile=/run/docker.pid",
                f"--host={docker.address}",
                f"--cgroup-parent=/{parent}",
                f"--dns={NAME_SERVER}",
                "--ip6tables=false",
                log=namespace.folder / "dockerd.log",
            )
            try:
                process.wait_until(docker.answers)
                yield docker
            finally:
                docker.remove_containers()
                process.stop()
                _remove_cgroups(parent)

    @property
    def address(self) -> str:
        return f"unix://{self.folder / 'docker.sock'}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the command lines, without settings for another Docker."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_HOST": self.address,
            "DOCKER_BUILDKIT": "0",  # BuildKit may be a missing plug-in
            "COMPOSE_DOCKER_CLI_BUILD": "0",
        }

    def answers(self) -> bool:
        return (self.folder / "docker.sock").exists() and not self.try_run("version", timeout_seconds=10).returncode

    def try_run(
        self, *arguments: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker ARGUMENTS``, and return its result even if it fails."""
        return run(["docker", *arguments], environment=self.environment, timeout_seconds=timeout_seconds, **options)

    def run(self, *arguments: str, **options: Any) -> str:
        """Output of ``docker ARGUMENTS``.

        :raises CommandError: when it fails.
        """
        return succeeded(self.try_run(*arguments, **options))

    def inspect(self, name: str) -> dict[str, Any]:
        """Docker's description of a container or image."""
        (found,) = json.loads(self.run("inspect", name))
        return dict(found)

    def forward(self, port: int, container: str | None = None) -> str:
        """Address ``127.0.0.1:PORT`` that leads to a port of a container, or to a published port."""
        if container is None:
            return self._forwards.open(port)
        (network,) = self.inspect(container)["NetworkSettings"]["Networks"].values()
        return self._forwards.open(port, network["IPAddress"])

    def remove_containers(self) -> None:
        if left := self.try_run("ps", "-aq").stdout.split():
            self.try_run("rm", "-f", *left)


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout_seconds: float,
    folder: Path | None = None,
    input_text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with both output channels in ``stdout``."""
    return subprocess.run(
        command,
        env=dict(environment),
        cwd=folder,
        input=input_text,
        stdin=subprocess.DEVNULL if input_text is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command.

    :raises CommandError: when it failed.
    """
    if done.returncode:
        raise CommandError(f"{done.args!r} ended with {done.returncode}:\n{done.stdout[-8000:]}")
    return done.stdout


def _remove_cgroups(name: str) -> None:
    """Remove empty cgroups that the daemon leaves, deepest first."""
    for root in (_CGROUPS, *_CGROUPS.iterdir()):
        top = root / name
        for each in sorted((top, *top.rglob("*/")), reverse=True) if top.is_dir() else ():
            deadline = time.monotonic() + 2
            while each.is_dir() and time.monotonic() < deadline:
                try:
                    each.rmdir()
                except OSError:
                    time.sleep(0.05)


def which(command: str) -> str:
    """Path of a command, or the command itself when it is not on PATH."""
    return shutil.which(command) or command
