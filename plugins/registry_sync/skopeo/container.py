"""Skopeo in containers, for workers without skopeo: one container per copy, with the files of the route copied in.

The Docker daemon may run on another machine, where the worker's files cannot be mounted. So the files are copied into
the container before it starts, and are deleted with it.

https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import io
import logging
import os
import queue
import signal
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig
from urllib3.exceptions import HTTPError

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo.config_files import Workspace
from registry_sync.skopeo.local import POLL_SECONDS, VERSION_SECONDS
from registry_sync.skopeo.runner import OLDEST_VERSION, SkopeoVersion, check_version, parse_version, run
from registry_sync.skopeo.traffic import INTERVAL_SECONDS, Traffic, read_io_counters
from registry_sync.worker.private_directory import private_directory

log = logging.getLogger(__name__)

TASK_LABEL = "registry_sync.task"
"""Label of every container with its task. A later try of the task removes the containers of a killed worker."""

ABANDONED_AFTER = timedelta(minutes=10)
"""Age at which any task removes a container that does not run.

A living worker removes its containers as soon as they end, so this one was left by a killed worker. It contains
passwords, and its own task may never be tried again.
"""

_SIGNAL_BASE = 128
"""Docker reports a death by signal as this number plus the signal's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """A Docker daemon and the settings for its containers.

    :param connect: makes a client; the calling thread closes it.
    :param network: name of a network of the daemon, or ``host``.
    :param task: value of the label ``TASK_LABEL``, the same for each try of a task.
    """

    connect: Callable[[], APIClient]
    url: str
    image: str
    network: str
    task: str


class SkopeoContainer:
    """A running skopeo in its own container, with the methods of :class:`~registry_sync.skopeo.local.SkopeoProcess`."""

    def __init__(self, docker: Docker, argv: Sequence[str], workspace: Workspace) -> None:
        self._docker = docker
        self._code: int | None = None
        self._id, self._partial_line = "", b""
        self._listener: threading.Thread | None = None
        self._output: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._started_at = time.monotonic()
        with _translate_errors(docker):
            self._client = docker.connect()
        self._traffic = Traffic(most_seconds_between=self._client.timeout + POLL_SECONDS)
        try:
            with _translate_errors(docker):
                self._id = self._create(argv, workspace)
                self._start(workspace)
        except BaseException:
            self.close()
            raise

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while skopeo runs."""
        return self._code

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def idle_seconds(self) -> float:
        return self._traffic.idle_seconds

    @property
    def sent_bytes(self) -> int:
        return self._traffic.sent_bytes

    def read_lines(self) -> list[str] | None:
        """Wait briefly for output and return the new lines; ``None`` after the end."""
        try:
            piece = self._output.get(timeout=POLL_SECONDS)
        except queue.Empty:
            piece = b""
        self._read_traffic()
        if piece is None:
            return self._end_of_output()
        *lines, self._partial_line = (self._partial_line + piece).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def terminate(self) -> None:
        """Do nothing, because a signal handler cannot call the daemon.

        The thread that reads the output checks for a stop a moment later, and calls :meth:`end`.
        """

    def end(self) -> None:
        """Kill and remove the container. As its first process, skopeo would ignore SIGTERM."""
        with suppress(Exception), closing(self._docker.connect()) as client:
            client.remove_container(self._id, force=True)
        if self._code is None:
            self._code = -signal.SIGKILL

    def close(self) -> None:
        """End skopeo and close the connection to the daemon."""
        try:
            if self._id:
                self.end()
            if self._listener:
                self._listener.join(POLL_SECONDS)
        finally:
            self._client.close()

    def _create(self, argv: Sequence[str], workspace: Workspace) -> str:
        created: dict[str, Any] = self._client.create_container(
            self._docker.image,
            entrypoint=argv[:1],
            command=list(argv[1:]),
            environment=_environment(workspace),
            use_config_proxy=False,  # of ~/.docker/config.json: our own requests know nothing of it
            user=f"{os.getuid()}:{os.getgid()}",
            labels={TASK_LABEL: self._docker.task},
            host_config=self._client.create_host_config(
                network_mode=self._docker.network,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                log_config=LogConfig(type="json-file"),  # the daemon's default may not support reading logs
            ),
        )
        return str(created["Id"])

    def _start(self, workspace: Workspace) -> None:
        self._client.put_archive(self._id, "/", _archive(workspace))
        self._client.start(self._id)
        output = self._client.logs(self._id, stdout=True, stderr=True, stream=True, follow=True)
        self._listener = threading.Thread(target=self._listen, args=(output,), daemon=True)
        self._listener.start()

    def _listen(self, output: Iterator[bytes]) -> None:
        """Queue the output until the container or the daemon ends; the exit code shows which of them did."""
        try:
            for piece in output:
                self._output.put(piece)
        except (OSError, HTTPError, struct.error) as error:  # docker-py raises struct.error for a truncated frame
            log.debug("the output of a container was cut off: %s", error)
        finally:
            self._output.put(None)

    def _end_of_output(self) -> list[str] | None:
        """The last line if it has no line end, then ``None``."""
        if self._code is None:
            self._code = self._exit_code()
        if not self._partial_line:
            return None
        last, self._partial_line = self._partial_line.decode(errors="replace"), b""
        self._output.put(None)
        return [last]

    def _exit_code(self) -> int:
        """Wait for the exit code. A container that was removed counts as killed.

        The wait is short: without output, a container that still runs cannot be watched.
        """
        with _translate_errors(self._docker), closing(self._docker.connect()) as client:
            try:
                status = int(client.wait(self._id, timeout=client.timeout)["StatusCode"])
            except NotFound:
                return -signal.SIGKILL
        return _SIGNAL_BASE - status if status > _SIGNAL_BASE else status

    def _read_traffic(self) -> None:
        """Read the traffic once per interval. Bytes after the last reading are not counted.

        When the daemon does not respond, the copy counts as stalled, because nothing else could end it.
        """
        if self._traffic.seconds_since_look < INTERVAL_SECONDS:
            return
        try:
            self._traffic.record(self._read_counters())
        except (DockerException, OSError):
            self._traffic.miss()

    def _read_counters(self) -> tuple[int, int] | None:
        """Bytes received and sent by the container's network; in the host's network, read and written by its process.

        The latter are readable only where the daemon runs on this machine.
        """
        if self._docker.network != "host":
            networks = self._client.stats(self._id, stream=False, one_shot=True).get("networks", {}).values()
            return sum(network["rx_bytes"] for network in networks), sum(network["tx_bytes"] for network in networks)
        return _process_counters(self._client.inspect_container(self._id)["State"]["Pid"], self._id)


def _process_counters(pid: int, container: str) -> tuple[int, int] | None:
    """Bytes read and written by a container's process; ``None`` when it is not a readable process of this machine."""
    try:
        is_local = container in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
    except OSError:
        return None
    return read_io_counters(pid) if is_local else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoImage:
    """The skopeo of an image at a Docker daemon."""

    docker: Docker
    version: SkopeoVersion

    @property
    def command(self) -> tuple[str, ...]:
        return ("skopeo",)

    @property
    def label(self) -> str:
        return f"skopeo of {self.docker.image}"

    @property
    def needs_output(self) -> bool:
        """The traffic of a container is read when it prints. Without output, that of a short copy would be 0."""
        return True

    def start(self, argv: Sequence[str], workspace: Workspace) -> SkopeoContainer:
        return SkopeoContainer(self.docker, argv, workspace)


def find_skopeo_image(docker: Docker) -> SkopeoImage:
    """Find the skopeo of the configured image, which is pulled if the daemon does not have it.

    :raises ConfigurationError: when skopeo is not found or too old, or the daemon refuses a call.
    :raises TemporaryError: when the daemon does not respond.
    """
    _pull_image(docker)
    _remove_abandoned(docker)
    unchecked = SkopeoImage(docker=docker, version=OLDEST_VERSION)
    with private_directory() as directory:
        workspace = Workspace(directory=directory, environment={"HOME": str(directory)})
        output = run(unchecked, [*unchecked.command, "--version"], workspace, VERSION_SECONDS)
    version = check_version(parse_version(output, unchecked.label), unchecked.label)
    return replace(unchecked, version=version)


def _pull_image(docker: Docker) -> None:
    """Pull the image unless the daemon has it.

    :raises ConfigurationError: when the image does not exist.
    """
    with _translate_errors(docker), closing(docker.connect()) as client:
        try:
            client.inspect_image(docker.image)
        except ImageNotFound:
            log.info("Pulling %s at the Docker daemon %s", docker.image, docker.url)
            for step in client.pull(docker.image, stream=True, decode=True):
                if "error" in step:
                    text = f"the Docker daemon at {docker.url} cannot pull {docker.image}: {step['error']}"
                    raise TemporaryError(text) from None


def _remove_abandoned(docker: Docker) -> None:
    """Remove the containers that killed workers left: those of an earlier try of this task, old ones of all."""
    with _translate_errors(docker), closing(docker.connect()) as client:
        for container in client.containers(all=True, filters={"label": TASK_LABEL}):
            if container["Labels"][TASK_LABEL] == docker.task or _is_abandoned(client, container):
                log.info("removing container %s, which a killed task left", container["Id"][:12])
                try:
                    client.remove_container(container["Id"], force=True)
                except APIError as error:  # 404 or 409 when another task removes it at the same time
                    log.info("container %s was not removed: %s", container["Id"][:12], error.explanation)


def _is_abandoned(client: APIClient, container: Mapping[str, Any]) -> bool:
    """Return whether a container has not run for ``ABANDONED_AFTER`` by the daemon's clock."""
    if container["State"] not in ("created", "exited", "dead"):
        return False
    try:
        details = client.inspect_container(container["Id"])
    except NotFound:
        return False
    idle_since = details["Created"] if details["State"]["Status"] == "created" else details["State"]["FinishedAt"]
    now = datetime.fromisoformat(client.info()["SystemTime"])
    return now - datetime.fromisoformat(idle_since) > ABANDONED_AFTER


@contextmanager
def _translate_errors(docker: Docker) -> Iterator[None]:
    """Translate docker-py errors: a refusal → ConfigurationError, no answer → TemporaryError."""
    where = f"the Docker daemon at {docker.url}"
    try:
        yield
    except NotFound as error:
        raise ConfigurationError(
            f"{where} has no image {docker.image!r} or network {docker.network!r}, and cannot get "
            f"it: {error.explanation}; check skopeo: in the mirrors file"
        ) from error
    except APIError as error:
        text = f"{where} answered {error.status_code}: {error.explanation}"
        if error.is_server_error():
            raise TemporaryError(text) from error
        raise ConfigurationError(text) from error
    except (DockerException, OSError) as error:
        raise TemporaryError(f"{where} cannot be reached: {error}") from error


def _environment(workspace: Workspace) -> Mapping[str, str]:
    """The environment of skopeo in the container: PATH is the image's, and the cache of layers is not kept."""
    variables = {name: value for name, value in workspace.environment.items() if name != "PATH"}
    return {**variables, "XDG_DATA_HOME": f"{workspace.environment['HOME']}/.local/share"}


def _archive(workspace: Workspace) -> bytes:
    """A tar of the files under their paths on this worker, which the command line refers to."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for path in (workspace.directory, *workspace.outside):
            tar.add(path, arcname=str(path).lstrip("/"))
    return archive.getvalue()
