"""Skopeo in containers, for workers that do not carry it: each copy is one, with the files of its route copied in.

The Docker daemon may be anywhere, where it would not find what is mounted of the worker. So what a copy is given is put
into its container before that starts, and goes with it.

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
from registry_sync.skopeo.local import POLL_SECONDS, SIGN_OF_LIFE_BYTES, VERSION_SECONDS
from registry_sync.skopeo.runner import OLDEST_VERSION, Version, check_version, parse_version, run
from registry_sync.worker.private_directory import private_directory

log = logging.getLogger(__name__)

TASK_LABEL = "registry_sync.task"
"""On every container: the task that it works for. A later try of that task removes what a killed worker left."""

FORGOTTEN = timedelta(minutes=10)
"""A container that has not run for so long is of a worker that was killed: others are removed as soon as they end. It
has files with passwords in it, and its task may never be tried again, so that any task removes it."""

LOOK_SECONDS = 0.2
"""How often the daemon is asked how much a copy has moved. What it moves after the last look is not counted."""

_KILLED = 128
"""Docker adds the number of a signal to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """A daemon, and how containers are made there.

    :param connect: a new client; its own thread closes it.
    :param network: a network of the daemon's, ``host`` among them.
    :param task: whom the containers are for, the same for each try.
    """

    connect: Callable[[], APIClient]
    url: str
    image: str
    network: str
    task: str


class SkopeoContainer:
    """A skopeo that runs in a container of its own. As :class:`~registry_sync.skopeo.local.SkopeoProcess` is."""

    def __init__(self, docker: Docker, argv: Sequence[str], workspace: Workspace) -> None:
        self._docker = docker
        self._code: int | None = None
        self._id, self._rest = "", b""
        self._listener: threading.Thread | None = None
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._moved_bytes = self.sent_bytes = 0
        self._started = self._moved = self._looked = time.monotonic()
        with _told(docker):
            self._client = docker.connect()
        try:
            with _told(docker):
                self._id = self._create(argv, workspace)
                self._start(workspace)
        except BaseException:
            self.close()
            raise

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs."""
        return self._code

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def idle_seconds(self) -> float:
        """Since it was last seen to move something."""
        return time.monotonic() - self._moved

    def read_lines(self) -> list[str] | None:
        """The lines since the last call, after waiting a moment for some; ``None`` when it has ended."""
        try:
            piece = self._said.get(timeout=POLL_SECONDS)
        except queue.Empty:
            piece = b""
        self._look_at_counters()
        if piece is None:
            return self._end_of_output()
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def terminate(self) -> None:
        """Nothing yet, since a daemon cannot be asked in a signal handler.

        The thread that reads sees a moment later that all is to end, and ends it.
        """

    def end(self) -> None:
        """Have it ended and removed, whatever it takes. As the first process of its container it heeds no SIGTERM."""
        with suppress(Exception), closing(self._docker.connect()) as client:
            client.remove_container(self._id, force=True)
        if self._code is None:
            self._code = -signal.SIGKILL

    def close(self) -> None:
        """Have it ended, and close what connects us to it."""
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
            user=f"{os.getuid()}:{os.getgid()}",
            labels={TASK_LABEL: self._docker.task},
            host_config=self._client.create_host_config(
                network_mode=self._docker.network,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                log_config=LogConfig(type="json-file"),  # a daemon's own choice may be one that nobody can follow
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
        """Pass on what it prints, until its end or the daemon's; the exit code tells which."""
        try:
            for piece in output:
                self._said.put(piece)
        except (OSError, HTTPError, struct.error) as error:  # the last is docker's, for a head of a piece cut short
            log.debug("the output of a container broke off: %s", error)
        finally:
            self._said.put(None)

    def _end_of_output(self) -> list[str] | None:
        """Its last line if there is one without an end, then ``None``."""
        if self._code is None:
            self._code = self._exit_code()
        if not self._rest:
            return None
        last, self._rest = self._rest.decode(errors="replace"), b""
        self._said.put(None)
        return [last]

    def _exit_code(self) -> int:
        """A container that somebody has removed was killed before.

        One that goes on although its output broke off is not waited for: nobody would see whether it moves.
        """
        with _told(self._docker), closing(self._docker.connect()) as client:
            try:
                status = int(client.wait(self._id, timeout=client.timeout)["StatusCode"])
            except NotFound:
                return -signal.SIGKILL
        return _KILLED - status if status > _KILLED else status

    def _look_at_counters(self) -> None:
        """What it has moved, where that can be told; where not, it is taken for moving.

        A daemon that does not answer is no reason to take it for that: then nobody could end it either.
        """
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        with suppress(DockerException, OSError):
            self._take_in(self._counters())
        self._looked = time.monotonic()

    def _take_in(self, counters: tuple[int, int] | None) -> None:
        """Those of a container that has ended are gone, or zero: what was seen before holds."""
        if counters is None or sum(counters) >= self._moved_bytes + SIGN_OF_LIFE_BYTES:
            self._moved = time.monotonic()
        if counters and sum(counters) > self._moved_bytes:
            self._moved_bytes, self.sent_bytes = sum(counters), min(counters)

    def _counters(self) -> tuple[int, int] | None:
        """Bytes in and out: of its network, or of its process, where it shares the host's network and that is ours."""
        if self._docker.network != "host":
            networks = self._client.stats(self._id, stream=False, one_shot=True).get("networks", {}).values()
            return sum(each["rx_bytes"] for each in networks), sum(each["tx_bytes"] for each in networks)
        return _process_counters(self._client.inspect_container(self._id)["State"]["Pid"], self._id)


def _process_counters(pid: int, container: str) -> tuple[int, int] | None:
    """``rchar`` and ``wchar`` of proc(5) of a container's process, if that is here and lets itself be seen."""
    try:
        if container not in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"):
            return None
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except OSError:
        return None
    counters = dict(line.split(": ") for line in text.splitlines())
    return int(counters["rchar"]), int(counters["wchar"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoImage:
    """A skopeo in an image of a daemon."""

    docker: Docker
    version: Version

    @property
    def command(self) -> tuple[str, ...]:
        return ("skopeo",)

    @property
    def shown(self) -> str:
        return f"skopeo of {self.docker.image}"

    def start(self, argv: Sequence[str], workspace: Workspace) -> SkopeoContainer:
        return SkopeoContainer(self.docker, argv, workspace)


def find_skopeo_image(docker: Docker) -> SkopeoImage:
    """The skopeo of the daemon's image, which is pulled if need be.

    :raises ConfigurationError: when there is none, or it is too old, or the daemon refuses.
    :raises TemporaryError: when the daemon does not answer.
    """
    _pull_image(docker)
    _remove_abandoned(docker)
    unknown = SkopeoImage(docker=docker, version=OLDEST_VERSION)
    with private_directory() as directory:
        workspace = Workspace(directory=directory, environment={"HOME": str(directory)})
        said = run(unknown, [*unknown.command, "--version"], workspace, VERSION_SECONDS)
    return replace(unknown, version=check_version(parse_version(said, unknown.shown), unknown.shown))


def _pull_image(docker: Docker) -> None:
    """Have the daemon hold the image.

    :raises ConfigurationError: when it cannot get it.
    """
    with _told(docker), closing(docker.connect()) as client:
        try:
            client.inspect_image(docker.image)
        except ImageNotFound:
            log.info("The Docker daemon at %s pulls %s", docker.url, docker.image)
            for step in client.pull(docker.image, stream=True, decode=True):
                if "error" in step:
                    raise TemporaryError(f"the Docker daemon at {docker.url} cannot pull it: {step['error']}") from None


def _remove_abandoned(docker: Docker) -> None:
    """Remove what killed workers left: the containers of an earlier try of this task, and those long forgotten."""
    with _told(docker), closing(docker.connect()) as client:
        for each in client.containers(all=True, filters={"label": TASK_LABEL}):
            if each["Labels"][TASK_LABEL] == docker.task or _is_forgotten(client, each):
                log.info("container %s is of a task that was killed; it is removed", each["Id"][:12])
                try:
                    client.remove_container(each["Id"], force=True)
                except APIError as error:  # another task may be at it: then it is not there, or a conflict (409)
                    log.info("container %s was not removed: %s", each["Id"][:12], error.explanation)


def _is_forgotten(client: APIClient, container: Mapping[str, Any]) -> bool:
    """By the daemon's own clock."""
    if container["State"] not in ("created", "exited", "dead"):
        return False
    try:
        seen = client.inspect_container(container["Id"])
    except NotFound:
        return False
    since = seen["Created"] if seen["State"]["Status"] == "created" else seen["State"]["FinishedAt"]
    now = datetime.fromisoformat(client.info()["SystemTime"])
    return now - datetime.fromisoformat(since) > FORGOTTEN


@contextmanager
def _told(docker: Docker) -> Iterator[None]:
    """Docker's errors as ours. What the daemon refuses needs somebody; one that does not answer needs time."""
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
    """What skopeo gets to see. PATH is the image's own, and notes of layers go with the container."""
    kept = {name: value for name, value in workspace.environment.items() if name != "PATH"}
    return {**kept, "XDG_DATA_HOME": f"{workspace.environment['HOME']}/.local/share"}


def _archive(workspace: Workspace) -> bytes:
    """A tar of the files, each under the name that it has here, so that the same arguments find them there."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for each in (workspace.directory, *workspace.outside):
            tar.add(each, arcname=str(each).lstrip("/"))
    return archive.getvalue()
