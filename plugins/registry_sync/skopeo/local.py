"""The skopeo that is installed on this worker, and its processes."""

from __future__ import annotations

import errno
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo import lifeline
from registry_sync.skopeo.authorities import authority_variables
from registry_sync.skopeo.config_files import Workspace
from registry_sync.skopeo.runner import SkopeoVersion, check_version, parse_version
from registry_sync.skopeo.traffic import Traffic, read_io_counters
from registry_sync.worker.kept_results import kept_result

_ELF = b"\x7fELF"
"""The first bytes of a program that is not a script, on Linux."""

VERSION_SECONDS = 10
"""Timeout of ``skopeo --version``."""

_NO_PROGRAM = frozenset({errno.ENOEXEC, errno.EACCES})
"""Errors of starting a file that stay until someone changes it. Others are of a worker without memory or processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoBinary:
    """A skopeo on this worker."""

    path: Path
    version: SkopeoVersion

    @property
    def command(self) -> tuple[str, ...]:
        return (str(self.path),)

    @property
    def label(self) -> str:
        return str(self.path)

    @property
    def needs_output(self) -> bool:
        """True where only a line of output ends an orphan: the pipe has no reader, and the kernel does not kill it."""
        return not lifeline.IS_SUPPORTED

    def start(self, argv: Sequence[str], workspace: Workspace) -> SkopeoProcess:
        found = authority_variables(workspace.authorities) if workspace.authorities else {}
        return SkopeoProcess(argv, {**workspace.environment, **found})


def find_skopeo() -> SkopeoBinary:
    """Find skopeo on PATH.

    :raises ConfigurationError: when it is not found, too old, another program, or not for this machine.
    :raises TemporaryError: when this worker is too busy to run it.
    """
    return _found(_read_version)


def find_known_skopeo() -> SkopeoBinary:
    """Find skopeo on PATH. It is run only if its version is not known since its file was last changed.

    A run would be one more process for each task. A script is always run: it may start another program than before.

    :raises RegistrySyncError: as :func:`find_skopeo` does.
    """
    return _found(_known_version)


def _found(read_version: Callable[[str], SkopeoVersion]) -> SkopeoBinary:
    path = shutil.which("skopeo")
    if path is None:
        advice = "install it, on Debian and Ubuntu with apt-get install skopeo"
        raise ConfigurationError(f"skopeo not found on this worker's PATH; {advice}")
    return SkopeoBinary(path=Path(path), version=check_version(read_version(path), path))


def _known_version(path: str) -> SkopeoVersion:
    try:
        if not _is_binary(path):
            return _read_version(path)
        text = kept_result("skopeo-version", [path], partial(_show_version, path))
    except OSError:
        return _read_version(path)  # it may be run, and not be read
    return parse_version(text.decode(errors="replace"), path)


def _show_version(path: str) -> bytes:
    return f"skopeo version {_read_version(path)}".encode()


def _is_binary(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _read_version(path: str) -> SkopeoVersion:
    what = f"{path} --version"
    try:
        done = _run_version(path)
    except subprocess.TimeoutExpired as error:
        raise TemporaryError(f"{what} did not end in {VERSION_SECONDS:g} s on this worker") from error
    except OSError as error:
        failure = ConfigurationError if error.errno in _NO_PROGRAM else TemporaryError
        raise failure(f"{what} does not work on this worker: {error}") from error
    if done.returncode < 0:
        raise TemporaryError(f"{what} was ended by signal {-done.returncode} on this worker")
    return parse_version(done.stdout or done.stderr, path)


def _run_version(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=VERSION_SECONDS,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
    )


POLL_SECONDS = 0.25
"""The longest wait for a line of output."""

END_SECONDS = 3
"""Time between SIGTERM and SIGKILL. Airflow itself kills a task after five seconds."""

_MOST_SECONDS_BETWEEN = 4 * POLL_SECONDS
"""A longer time between two readings of the traffic does not count: skopeo may have been suspended, too."""

_PIPE_BYTES = 1 << 16


class SkopeoProcess:
    """A skopeo process of this worker. Used by the thread that started it.

    It stays in the task's process group, which Airflow kills as a whole. When the task alone is killed, for example by
    the OOM killer, the kernel kills skopeo, so that no orphan continues to push.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            self._process, self._lifeline = _start(argv, environment)
        except OSError as error:
            raise TemporaryError(f"skopeo could not be started: {error}") from error
        self._pipe = cast("IO[bytes]", self._process.stdout)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._partial_line = b""
        self._traffic = Traffic(_MOST_SECONDS_BETWEEN)
        self._started_at = time.monotonic()

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal."""
        return self._process.returncode

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
        """Wait briefly for output and return the new lines; ``None`` after the end.

        The counters are read before ``wait``, because they disappear with the process.
        """
        is_readable = bool(self._poll.poll(POLL_SECONDS * 1000))
        self._traffic.record(read_io_counters(self._process.pid))
        if not is_readable:
            return [] if self._process.poll() is None else None
        piece = os.read(self._pipe.fileno(), _PIPE_BYTES)
        if not piece and not self._partial_line:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_SECONDS)
            return [] if self.code is None else None
        is_complete = not piece or len(self._partial_line) > _PIPE_BYTES  # cut a line without end
        *lines, self._partial_line = (self._partial_line + piece + b"\n" * is_complete).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def terminate(self) -> None:
        """Send SIGTERM, which ends skopeo at once, because it handles no signals."""
        self._process.terminate()

    def end(self) -> None:
        """End the process, by SIGKILL if necessary, and wait for the end."""
        self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process and close its pipe."""
        try:
            self.end()
        finally:
            self._pipe.close()
            os.close(self._lifeline)


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process that dies with this one. Returns it, and the descriptor that keeps it alive.

    :raises OSError: when it cannot be started.
    """
    reading_end, writing_end = os.pipe()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            bufsize=0,
            pass_fds=(reading_end,),
        )
        lifeline.kill_at_close(reading_end, process.pid)
    except BaseException:
        os.close(writing_end)
        raise
    finally:
        os.close(reading_end)
    return process, writing_end
