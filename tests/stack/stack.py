"""The stack of docker-compose.yaml, in a copy of the project, asked through Compose and the API."""

from __future__ import annotations

import shutil
from functools import cached_property

from testkit.airflow import PROJECT, AirflowApi
from testkit.waiting import wait_until
from tests.stack.docker import COMMAND_TIMEOUT_SECONDS, Docker, run, succeeded, which

HEALTHY_TIMEOUT_SECONDS = 240.0

SERVICES = frozenset({"postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer", "worker"})

SECRETS = ("ADMIN_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "API_SECRET_KEY", "JWT_SECRET", "FERNET_KEY")

_NOT_OURS = shutil.ignore_patterns(".git", ".venv", ".env", ".demo", ".*_cache", ".hypothesis", "__pycache__")


class Stack:
    """One installation: a folder with the project and a ``.env``, as a user has it."""

    def __init__(self, docker: Docker, name: str, compose: str = "docker-compose") -> None:
        self.docker = docker
        self.folder = docker.folder / name
        self._compose = compose
        shutil.copytree(PROJECT, self.folder, ignore=_NOT_OURS)

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def write_settings(self, **settings: str) -> None:
        """Have .env say this, whatever it said before."""
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / ".env").write_text(lines)

    def make_settings(self, **settings: str) -> None:
        """``make env``, and what else is wanted."""
        self.command("make", "--silent", "env")
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    @property
    def settings(self) -> dict[str, str]:
        """What .env says."""
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def command(self, *command: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> str:
        """What a command in the folder prints.

        :raises CommandError: when it fails.
        """
        environment = self.docker.environment
        return succeeded(run(command, environment=environment, timeout_seconds=timeout_seconds, folder=self.folder))

    def compose(self, *arguments: str) -> str:
        """``docker-compose ARGUMENTS``.

        :raises CommandError: when it fails.
        """
        return self.command(which(self._compose), *arguments)

    def containers(self, service: str) -> list[str]:
        """The running containers of a service."""
        name = f"label=com.docker.compose.service={service}"
        return self.docker.run("ps", "-q", "--no-trunc", "--filter", name).split()

    def exec(self, service: str, *command: str) -> str:
        """What a command in the first container of a service prints."""
        return self.compose("exec", "-T", service, *command)

    def wait_until_healthy(self) -> None:
        """Until every service that goes on has a container, and each is healthy by its own check.

        :raises TimeoutError: with what is not.
        """
        wait_until(lambda: not self.unhealthy(), "all is healthy", seconds=HEALTHY_TIMEOUT_SECONDS, seen=self.unhealthy)

    def unhealthy(self) -> dict[str, str]:
        """What is not well, by container; a service without a container is."""
        states = {service: "absent" for service in SERVICES if not self.containers(service)}
        for container in [each for service in SERVICES for each in self.containers(service)]:
            found = self.docker.inspect(container)
            if (status := found["State"].get("Health", {}).get("Status", "unchecked")) != "healthy":
                states[found["Name"]] = status
        return states

    @cached_property
    def url(self) -> str:
        return f"http://{self.docker.door(8080)}"

    def api(self) -> AirflowApi:
        """The API as the user admin sees it."""
        return AirflowApi(self.url, "admin", self.settings["ADMIN_PASSWORD"])

    def registry_url(self, service: str) -> str:
        (container,) = self.containers(service)
        return f"http://{self.docker.door(5000, container)}"
