"""Programs that are skopeo: what is asked of one, wherever it runs, and the one that is installed on this worker."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo.config_files import Workspace
from registry_sync.skopeo.runner import (
    _VERSION,
    Version,
    check_version,
    parse_version,
)

VERSION_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopeoBinary:
    """A skopeo on this worker, and the command before it that ties its life to ours, where there is one."""

    path: Path
    version: Version
    launcher: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.launcher, str(self.path))

    @property
    def shown(self) -> str:
        return str(self.path)

    def start(self, argv: Sequence[str], workspace: Workspace) -> SkopeoProcess:
        return SkopeoProcess(argv, workspace.environment)


def find_skopeo() -> SkopeoBinary:
    """The skopeo on PATH.

    :raises ConfigurationError: when there is none, or it is too old or none at all.
    """
    found = shutil.which("skopeo")
    if found is None:
        advice = "install it, on Debian and Ubuntu with apt-get install skopeo"
        raise ConfigurationError(f"there is no skopeo on this worker's PATH; {advice}")
    version = check_version(_read_version(found), found)
    return SkopeoBinary(path=Path(found), version=version, launcher=_find_launcher(found))


def _read_version(path: str) -> Version:
    try:
        output = _ask_version(path)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{path} --version does not work on this worker: {error}") from error
    return parse_version(output, path)


def _find_launcher(path: str) -> tuple[str, ...]:
    """``setpriv --pdeathsig KILL``, which has the kernel kill skopeo when the thread that started it is no more.

    That thread waits in :meth:`Skopeo.copy` all the time, so it ends only with the whole task, for example when that is
    out of memory; no orphan then goes on pushing. Calling prctl between fork and exec instead is not safe with threads.
    Where this setpriv cannot do it, an orphan ends at its next line of output, or by ``--command-timeout``.
    """
    setpriv = shutil.which("setpriv")
    if setpriv:
        launcher = (setpriv, "--pdeathsig", "KILL")
        with suppress(OSError, subprocess.SubprocessError):
            if _VERSION.match(_ask_version(*launcher, path)):
                return launcher
    return ()


def _ask_version(*command: str) -> str:
    done = subprocess.run(
        [*command, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=VERSION_SECONDS,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
    )
    return done.stdout or done.stderr


POLL_SECONDS = 0.25

END_SECONDS = 3
"""How long a skopeo that was asked to end may take before it is killed. Airflow itself kills a task after five."""

SIGN_OF_LIFE_BYTES = 256
"""Less between two looks is no progress: a skopeo that only waits moves some 10 bytes a second for ever, by which the
threads of a Go program wake each other. One HTTP request is more than this."""

_PIPE_BYTES = 1 << 16


class SkopeoProcess:
    """A skopeo that runs: what it prints, how much it moves, and its end. Read by the thread that started it.

    It stays in the task's process group, which Airflow kills as a whole.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                bufsize=0,
            )
        except OSError as error:
            raise TemporaryError(f"skopeo could not be started: {error}") from error
        self._pipe = cast("IO[bytes]", self._process.stdout)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._rest = b""
        self._moved_bytes = self.sent_bytes = 0
        self._started = self._moved = time.monotonic()

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal."""
        return self._process.returncode

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def idle_seconds(self) -> float:
        """Since it last moved a byte."""
        return time.monotonic() - self._moved

    def read_lines(self) -> list[str] | None:
        """The lines since the last call, after waiting a moment for some; ``None`` when it has ended.

        The counters are read while the process is there or only just dead, since they vanish when it is waited for.
        """
        is_readable = bool(self._poll.poll(POLL_SECONDS * 1000))
        self._look_at_counters()
        if not is_readable:
            return [] if self._process.poll() is None else None
        piece = os.read(self._pipe.fileno(), _PIPE_BYTES)
        if not piece and not self._rest:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_SECONDS)
            return [] if self.code is None else None
        is_whole = not piece or len(self._rest) > _PIPE_BYTES  # a line that does not end is cut
        *lines, self._rest = (self._rest + piece + b"\n" * is_whole).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def terminate(self) -> None:
        """Ask it to end. It does so at once, as skopeo handles no signal."""
        self._process.terminate()

    def end(self) -> None:
        """Have it ended, whatever it takes."""
        self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Have it ended, and close what connects us to it."""
        try:
            self.end()
        finally:
            self._pipe.close()

    def _look_at_counters(self) -> None:
        """``rchar`` and ``wchar`` of proc(5) count network traffic too, and hardly grow when nothing is moved.

        What is sent was read before. Each of the two has something else in it as well (the program's own files, notes
        of layers), about 0.1 MB, so the smaller one is the better estimate.
        """
        try:
            text = Path(f"/proc/{self._process.pid}/io").read_text(encoding="ascii")
        except OSError:
            self._moved = time.monotonic() if not self._moved_bytes else self._moved
            return
        counters = dict(line.split(": ") for line in text.splitlines())
        read_bytes, written_bytes = int(counters["rchar"]), int(counters["wchar"])
        if read_bytes + written_bytes >= self._moved_bytes + SIGN_OF_LIFE_BYTES:
            self._moved = time.monotonic()
        self._moved_bytes = read_bytes + written_bytes
        self.sent_bytes = min(read_bytes, written_bytes)
