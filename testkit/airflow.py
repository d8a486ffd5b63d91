"""A real Airflow on this machine, with a home of its own, for tests and the demo."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import requests

from testkit.kept_process import end, launch
from testkit.loopback import LOOPBACK
from testkit.waiting import PATIENCE_SECONDS, wait_until

PROJECT = Path(__file__).resolve().parents[1]

Component = Literal["api-server", "execution-api", "scheduler", "dag-processor", "triggerer"]
COMPONENTS: tuple[Component, ...] = ("api-server", "execution-api", "scheduler", "dag-processor", "triggerer")

POLL_SECONDS = 0.2

FINISHED = ("success", "failed")

_HEALTH_NAMES: Mapping[Component, str] = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class AirflowStartError(Exception):
    """A component did not come up; the message ends with the tail of its output."""


class AirflowApiError(Exception):
    """An answer of the REST API that is no success; ``status`` and ``body`` are its parts."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        super().__init__(f"{response.request.method} {response.url} answered {self.status}: {self.body[:1000]}")


class LocalAirflow:
    """An Airflow with everything it writes below ``home``, which is made when it is missing and never removed.

    Its processes see nothing of this machine's own Airflow, proxies or home directory, listen on loopback only, and
    end with ``stop()``, or when this process dies. What each prints is in ``home/output/``.

    :param mirrors_file: what ``REGISTRY_SYNC_MIRRORS_FILE`` names.
    :param connections: Airflow Connections by id, as fields: ``{"conn_type": "docker", "host": …, "login": …}``.
    :param settings: further environment variables, such as ``{"AIRFLOW__CORE__PARALLELISM": "2"}``; they win.
    :param paused: whether new DAGs wait to be unpaused.
    :param port: of web UI and API; a free one unless given.
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
    ) -> None:
        self.home = home.resolve()
        self.user, self.password = "admin", secrets.token_urlsafe(9)
        self._port, self._execution_port = port or _free_port(), _free_port()
        self._dags, self._plugins, self._mirrors_file, self._paused = dags, plugins, mirrors_file, paused
        self._connections, self._settings = dict(connections or {}), dict(settings or {})
        self._jwt_secret = secrets.token_hex(32)
        self._processes: dict[Component, subprocess.Popen[bytes]] = {}
        self.api = AirflowApi(self.url, self.user, self.password)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

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
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.user}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            # Several processes write: one that finds SQLite locked waits instead of failing.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=20",
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
        """Whether ``migrate()`` has been here before, with this version of Airflow."""
        return self._migrated_file.exists() and self._migrated_file.read_text() == version("apache-airflow-core")

    def migrate(self) -> None:
        """Create the database, or bring it to this version of Airflow.

        :raises AirflowStartError: when that fails.
        """
        done = self.run("db", "migrate")
        if done.returncode:
            raise AirflowStartError(f"airflow db migrate failed:\n{done.stdout}{done.stderr}")
        self._migrated_file.write_text(version("apache-airflow-core"))

    def run(self, *arguments: str, timeout_seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run ``airflow ARGUMENTS`` to its end.

        :raises TimeoutError: when it takes longer; it and all that it started are then ended.
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
        """Run ``airflow ARGUMENTS`` and read its output line by line; it is ended with the block."""
        process = self._launch(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield AirflowOutput(process)
        finally:
            end([process])

    def start(self, components: Collection[Component] = COMPONENTS) -> None:
        """Start what scheduled runs need, and wait until all of it is at work. Ask for ``migrate()`` before.

        :raises AirflowStartError: when a component ends, or is not there in time.
        """
        self._passwords_file.parent.mkdir(parents=True, exist_ok=True)
        self._passwords_file.write_text(json.dumps({self.user: self.password}))
        self._passwords_file.chmod(0o600)
        try:
            for each in components:
                self._start_component(each)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self, components: Collection[Component] = COMPONENTS) -> None:
        """End components and everything that they started. What runs is not waited for longer than a few seconds."""
        end([self._processes.pop(each) for each in components if each in self._processes])

    def kill(self, component: Component) -> None:
        """End a component as a crash does, with the tasks that run below it; ``start([component])`` brings it back."""
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
        """Components that were started and have ended by themselves."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    @property
    def pids(self) -> dict[Component, int]:
        """The process at the root of each component's own."""
        return {name: process.pid for name, process in self._processes.items()}

    def output(self, component: Component) -> str:
        """What a component has printed so far."""
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
        command = [sys.executable, "-m", "airflow", *arguments]
        return launch(command, environment=self.environment, folder=self.home, stdout=stdout, stderr=stderr)

    def _start_component(self, component: Component) -> None:
        if component in self._processes:
            return
        self._output_file(component).parent.mkdir(parents=True, exist_ok=True)
        with self._output_file(component).open("wb") as output:
            arguments = self._arguments(component)
            self._processes[component] = self._launch(arguments, stdout=output, stderr=subprocess.STDOUT)

    def _arguments(self, component: Component) -> list[str]:
        """A component's command line.

        The API for people and that for tasks are processes of their own. In one, they stop each other over SQLite: the
        former waits for the lock in the event loop that a task's transaction needs to commit and give the lock back.

        Airflow would serve task logs for other machines, on all addresses of this one; here the files are at hand.
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
        """Our password is what tells our API server from another one that owns the port."""
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
        asked = {_HEALTH_NAMES[each] for each in self._processes if each in _HEALTH_NAMES}
        return [each for each in asked if health[each]["status"] != "healthy"]

    def _serves_tasks(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self._execution_url}/health", timeout=PATIENCE_SECONDS).ok
            except requests.ConnectionError:
                return False


class AirflowOutput:
    """What a command of Airflow's prints."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __iter__(self) -> Iterator[str]:
        """Lines without their ends, as they come."""
        for line in self._process.stdout or ():
            yield line.decode(errors="replace").rstrip("\n")

    def wait(self) -> int:
        """The exit code of the command."""
        return self._process.wait()


class AirflowApi:
    """Airflow's REST API, as far as tests and the demo need it. Documents are as the API has them."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url, self._user, self._password = url, user, password
        self._session = requests.Session()
        self._session.trust_env = False

    @cached_property
    def token(self) -> str:
        """What a log-in gives; in the web UI it is the cookie ``_token``."""
        login = {"username": self._user, "password": self._password}
        response = self._session.post(f"{self._url}/auth/token", json=login, timeout=PATIENCE_SECONDS)
        return str(_document(response)["access_token"])

    def call(self, method: str, path: str, *, json: Any = None, **params: Any) -> Any:
        """One request below ``/api/v2/``; the answer's document.

        :raises AirflowApiError: for an answer that is no success.
        """
        response = self._session.request(
            method,
            f"{self._url}/api/v2/{path}",
            json=json,
            params=params,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_SECONDS,
        )
        return _document(response)

    def wait_for_dag(self, dag_id: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until the DAG has been read and can run, and return it."""

        def found() -> dict[str, Any] | None:
            try:
                dag: dict[str, Any] = self.call("GET", f"dags/{dag_id}")
            except AirflowApiError as error:
                if error.status != requests.codes.not_found:
                    raise
                return None
            return None if dag["is_stale"] or dag["has_import_errors"] else dag

        return wait_until(found, f"{dag_id} can run", seconds=seconds)

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, logical_date: datetime | None = None
    ) -> str:
        """Ask for a run by hand; its id."""
        moment = logical_date.isoformat() if logical_date else None
        body = {"conf": dict(conf or {}), "logical_date": moment}
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")
        return run

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        answer = self.call("GET", f"dags/{dag_id}/dagRuns", order_by="run_after", limit=100)
        return list(answer["dag_runs"])

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until the run has succeeded or failed, and return it."""

        def finished() -> dict[str, Any] | None:
            run = self.dag_run(dag_id, run_id)
            return run if run["state"] in FINISHED else None

        return wait_until(finished, f"{run_id} of {dag_id} ends", seconds=seconds)

    def task_instances(self, dag_id: str, run_id: str, task_id: str | None = None) -> list[dict[str, Any]]:
        """By task and map index; ``rendered_map_index`` is the label."""
        only = {"task_id": task_id} if task_id else {}
        answer = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100, **only)
        return sorted(answer["task_instances"], key=lambda each: (each["task_id"], each["map_index"]))

    def log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """The text of a try's log: what was logged, and the messages of exceptions, without times and other fields."""
        path = f"{_task_instance(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.call("GET", path, map_index=map_index, full_content=True)["content"]
        return "\n".join(each if isinstance(each, str) else log_text(each) for each in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"{_task_instance(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, map_index=map_index, deserialize=False)["value"]

    def clear(
        self, dag_id: str, run_id: str, tasks: Sequence[str | tuple[str, int]], *, downstream: bool = True
    ) -> list[dict[str, Any]]:
        """Have task instances run again: a whole task, or one map index of it; with what follows. What was cleared."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [each if isinstance(each, str) else list(each) for each in tasks],
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        return list(self.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body)["task_instances"])

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance as ``failed`` or ``success``, as a person does in the UI; one that runs is killed."""
        path = _task_instance(dag_id, run_id, task_id) + (f"/{map_index}" if map_index >= 0 else "")
        self.call("PATCH", path, json={"new_state": state})

    def backfill(
        self,
        dag_id: str,
        first: datetime,
        last: datetime,
        *,
        conf: Mapping[str, Any] | None = None,
        max_active_runs: int = 10,
        reprocess: Literal["none", "completed", "failed"] = "none",
    ) -> int:
        """Ask for the runs between two dates, both included; the backfill's id."""
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "dag_run_conf": dict(conf or {}),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
        }
        return int(self.call("POST", "backfills", json=body)["id"])

    def import_errors(self) -> dict[str, str]:
        """File name to what went wrong in it."""
        errors = self.call("GET", "importErrors", limit=100)["import_errors"]
        return {Path(each["filename"]).name: str(each["stack_trace"]) for each in errors}


def log_text(record: Mapping[str, Any]) -> str:
    """A record of a structured log of Airflow's as people read it: its event, and the exceptions below it."""
    raised = record.get("error_detail") or record.get("exception") or []
    exceptions = [f"{each['exc_type']}: {each['exc_value']}" for each in raised if isinstance(each, Mapping)]
    return "\n".join([str(record.get("event", "")), *exceptions])


def _document(response: requests.Response) -> Any:
    if not response.ok:
        raise AirflowApiError(response)
    return response.json() if response.content else None


def _task_instance(dag_id: str, run_id: str, task_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
