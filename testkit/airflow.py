"""A real Airflow on this machine with its own home, for tests and the demo."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import requests

from testkit.airflow_api import AirflowApi, AirflowApiError
from testkit.kept_process import end, launch
from testkit.loopback import LOOPBACK, free_port
from testkit.project import PROJECT
from testkit.waiting import PATIENCE_SECONDS

Component = Literal["api-server", "execution-api", "scheduler", "dag-processor", "triggerer"]
COMPONENTS: tuple[Component, ...] = ("api-server", "execution-api", "scheduler", "dag-processor", "triggerer")

POLL_SECONDS = 0.2

_HEALTH_NAMES: Mapping[Component, str] = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class AirflowStartError(Exception):
    """A component did not start. The message ends with the tail of its output."""


class LocalAirflow:
    """An Airflow that writes below ``home`` only. The folder is created when it is missing, and never removed.

    Its processes see nothing of this machine's own Airflow, proxies or home directory. They listen on loopback only,
    and end with ``stop()`` or when this process dies. Their output is in ``home/output/``.

    :param mirrors_file: value of ``REGISTRY_SYNC_MIRRORS_FILE``.
    :param connections: Airflow Connections by id, as fields: ``{"conn_type": "docker", "host": …, "login": …}``.
    :param settings: further environment variables, such as ``{"AIRFLOW__CORE__PARALLELISM": "2"}``, which win.
    :param paused: whether new DAGs wait to be unpaused.
    :param port: of web UI and API; a free one unless given.
    :param people: roles of further people by name, such as ``{"vera": "viewer"}``.
    :param python: interpreter of its environment.
    :param base_path: path of ``[api] base_url``, as behind a reverse proxy, such as ``/airflow``.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path = PROJECT / "dags",
        plugins: Path = PROJECT / "plugins",
        mirrors_file: Path | None = None,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        settings: Mapping[str, str] | None = None,
        paused: bool = False,
        port: int | None = None,
        people: Mapping[str, str] | None = None,
        base_path: str = "",
        python: str = sys.executable,
    ) -> None:
        self.home = home.resolve()
        self._python = python
        self.base_path, self._people = base_path, dict(people or {})
        self.user, self.password = "admin", secrets.token_urlsafe(9)
        self._port, self._execution_port = port or free_port(), free_port()
        self._dags, self._plugins, self._mirrors_file, self._paused = dags, plugins, mirrors_file, paused
        self._connections, self._settings = dict(connections or {}), dict(settings or {})
        self._passwords = {name: secrets.token_urlsafe(9) for name in self._people}
        self._jwt_secret = secrets.token_hex(32)
        self._processes: dict[Component, subprocess.Popen[bytes]] = {}
        self.api = AirflowApi(self.url, self.user, self.password)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}{self.base_path}"

    def api_of(self, name: str) -> AirflowApi:
        """The REST API as one of ``people``."""
        return AirflowApi(self.url, name, self._passwords[name])

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of every process of this Airflow."""
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        own = {
            "HOME": str(self.home / "user"),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self._plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(self._paused),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._execution_url}/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{name}:{role}" for name, role in {self.user: "admin", **self._people}.items()
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            # Several processes write: one that finds SQLite locked waits instead of failing.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "AIRFLOW__API__HOST": LOOPBACK,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": self._jwt_secret,
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
        if self._mirrors_file:
            own["REGISTRY_SYNC_MIRRORS_FILE"] = str(self._mirrors_file)
        connections = {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(dict(fields)) for name, fields in self._connections.items()
        }
        return {**kept, **own, **connections, **self._settings}

    @property
    def logs(self) -> Path:
        """The folder of the task logs."""
        return self.home / "logs"

    @property
    def is_migrated(self) -> bool:
        """Return whether this version of Airflow has migrated the database."""
        return self._migrated_file.exists() and self._migrated_file.read_text() == version("apache-airflow-core")

    def migrate(self) -> None:
        """Create the database, or migrate it to this version of Airflow.

        :raises AirflowStartError: when that fails.
        """
        done = self.run("db", "migrate")
        if done.returncode:
            raise AirflowStartError(f"airflow db migrate failed:\n{done.stdout}{done.stderr}")
        self._migrated_file.write_text(version("apache-airflow-core"))

    def run(self, *arguments: str, timeout_seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run ``airflow ARGUMENTS`` to its end.

        :raises TimeoutError: when it takes longer. The command and its children are ended then.
        """
        process = self._launch(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"airflow {' '.join(arguments)} did not end in {timeout_seconds} seconds") from error
        finally:
            end([process])
        return subprocess.CompletedProcess(arguments, process.returncode, out.decode(), err.decode())

    @contextmanager
    def stream(self, *arguments: str) -> Iterator[AirflowOutput]:
        """Run ``airflow ARGUMENTS`` and read its output line by line. The command is ended with the block."""
        process = self._launch(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield AirflowOutput(process)
        finally:
            end([process])

    def start(self, components: Collection[Component] = COMPONENTS) -> None:
        """Start the components of scheduled runs, and wait until all work. Call ``migrate()`` before.

        :raises AirflowStartError: when a component ends, or does not start in time.
        """
        self._passwords_file.parent.mkdir(parents=True, exist_ok=True)
        self._passwords_file.write_text(json.dumps({self.user: self.password, **self._passwords}))
        self._passwords_file.chmod(0o600)
        try:
            for component in components:
                self._start_component(component)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self, components: Collection[Component] = COMPONENTS) -> None:
        """End components and their children. Running tasks have a few seconds to end."""
        end([self._processes.pop(component) for component in components if component in self._processes])

    def terminate(self, component: Component) -> None:
        """Ask a component to end, and give it the time that it needs."""
        process = self._processes.pop(component)
        for child in _children(process.pid):
            os.kill(child, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)

    def kill(self, component: Component) -> None:
        """Kill a component with the tasks below it, as a crash does. ``start([component])`` starts it again."""
        process = self._processes.pop(component)
        for child in _children(process.pid):
            os.kill(child, signal.SIGKILL)
        end([process])

    def __enter__(self) -> Self:
        self.migrate()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ended(self) -> list[Component]:
        """Started components that have ended by themselves."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    @property
    def pids(self) -> dict[Component, int]:
        """The root process of each component."""
        return {name: process.pid for name, process in self._processes.items()}

    def output(self, component: Component) -> str:
        """Output of a component so far."""
        return self._output_file(component).read_text(errors="replace")

    @property
    def _execution_url(self) -> str:
        return f"http://{LOOPBACK}:{self._execution_port}/execution"

    @property
    def _migrated_file(self) -> Path:
        return self.home / "migrated"

    @property
    def _passwords_file(self) -> Path:
        return self.home / "passwords.json"

    def _output_file(self, component: Component) -> Path:
        return self.home / "output" / f"{component}.log"

    def _launch(self, arguments: Sequence[str], *, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
        for name in ("user", "tmp", "output"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        command = [self._python, "-m", "airflow", *arguments]
        return launch(command, environment=self.environment, folder=self.home, stdout=stdout, stderr=stderr)

    def _start_component(self, component: Component) -> None:
        if component in self._processes:
            return
        self._output_file(component).parent.mkdir(parents=True, exist_ok=True)
        with self._output_file(component).open("wb") as output:
            arguments = self._arguments(component)
            self._processes[component] = self._launch(arguments, stdout=output, stderr=subprocess.STDOUT)

    def _arguments(self, component: Component) -> list[str]:
        """Command line of a component.

        The API for people and the API for tasks are two processes. In one process they deadlock over SQLite: a task's
        transaction holds the lock and needs the event loop to commit, while the event loop waits for the lock.

        Airflow does not serve task logs on this machine's addresses, because their files are here.
        """
        match component:
            case "api-server":
                return ["api-server", "--apps", "core", "--port", str(self._port)]
            case "execution-api":
                return ["api-server", "--apps", "execution", "--port", str(self._execution_port)]
            case "scheduler" | "triggerer":
                return [component, "--skip-serve-logs"]
            case "dag-processor":
                return [component]

    def _wait_until_ready(self) -> None:
        """Wait until all components work. Our password distinguishes our API server from another one on the port."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        missing: list[str] = []
        while time.monotonic() < deadline:
            for name in self.ended:
                raise AirflowStartError(f"airflow {name} ended at once:\n{self.output(name)[-4000:]}")
            missing = self._missing()
            if not missing:
                return
            time.sleep(POLL_SECONDS)
        tails = "\n".join(f"{name}:\n{self.output(name)[-2000:]}" for name in self._processes)
        raise AirflowStartError(f"{missing} not ready in {PATIENCE_SECONDS} seconds:\n{tails}")

    def _missing(self) -> list[str]:
        if "execution-api" in self._processes and not self._serves_tasks():
            return ["execution-api"]
        if "api-server" not in self._processes:
            return []
        try:
            health = self.api.call("GET", "monitor/health")
        except (requests.ConnectionError, AirflowApiError):
            return ["api-server"]
        asked = {_HEALTH_NAMES[process] for process in self._processes if process in _HEALTH_NAMES}
        return [each for each in asked if health[each]["status"] != "healthy"]

    def _serves_tasks(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self._execution_url}/health", timeout=PATIENCE_SECONDS).ok
            except requests.ConnectionError:
                return False


class AirflowOutput:
    """Output of a command of Airflow."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __iter__(self) -> Iterator[str]:
        """Lines without their line ends, as they arrive."""
        for line in self._process.stdout or ():
            yield line.decode(errors="replace").rstrip("\n")

    def wait(self) -> int:
        """Wait for the command, and return its exit code."""
        return self._process.wait()


def _children(pid: int) -> list[int]:
    return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
