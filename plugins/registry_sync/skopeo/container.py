"""Skopeo in a container, for workers without skopeo: one container per copy, with the files of the route copied in.

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from docker.errors import DockerException, NotFound
from docker.types import LogConfig
from urllib3.exceptions import HTTPError

from registry_sync.skopeo.config_files import Workspace
from registry_sync.skopeo.docker_daemon import TASK_LABEL, Docker, translate_errors
from registry_sync.skopeo.local import POLL_SECONDS
from registry_sync.skopeo.traffic import INTERVAL_SECONDS, Traffic, read_io_counters

log = logging.getLogger(__name__)


_SIGNAL_BASE = 128
"""Docker reports a death by signal as this number plus the signal's."""


class SkopeoContainer:
    """A running skopeo in its own container, with the methods of :class:`~registry_sync.skopeo.local.SkopeoProcess`."""

    def __init__(self, docker: Docker, argv: Sequence[str], workspace: Workspace) -> None:
        self._docker = docker
        self._code: int | None = None
        self._id, self._partial_line = "", b""
        self._listener: threading.Thread | None = None
        self._output: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._started_at = time.monotonic()
        with translate_errors(docker):
            self._client = docker.connect()
        self._traffic = Traffic(most_seconds_between=self._client.timeout + POLL_SECONDS)
        try:
            with translate_errors(docker):
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
        with translate_errors(self._docker), closing(self._docker.connect()) as client:
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
