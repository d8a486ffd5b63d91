"""Programs that are skopeo: what is asked of one, wherever it runs, and the one that is installed on this worker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo_files import Workspace
from registry_sync.skopeo_process import SkopeoProcess

VERSION_SECONDS = 10

_VERSION = re.compile(r"skopeo version (\d+)\.(\d+)\.(\d+)")


class Version(NamedTuple):
    """A version of skopeo.

    >>> str(Version(1, 9, 3))
    '1.9.3'
    """

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST_VERSION = Version(1, 9, 0)


class RunningSkopeo(Protocol):
    """A skopeo that runs: what it prints, how much it moves, and its end. Read by the thread that started it."""

    sent_bytes: int

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs."""

    @property
    def age_seconds(self) -> float:
        """Since it was started."""

    @property
    def idle_seconds(self) -> float:
        """Since it last moved a byte."""

    def read_lines(self) -> list[str] | None:
        """The lines since the last call, after waiting a moment for some; ``None`` when it has ended."""

    def terminate(self) -> None:
        """Ask it to end, without waiting; it may be called in a signal handler."""

    def end(self) -> None:
        """Have it ended, whatever it takes."""

    def close(self) -> None:
        """Have it ended, and close what connects us to it."""


class SkopeoProgram(Protocol):
    """A skopeo that works.

    ``command`` begins its command lines; ``shown`` is what people are told it is.
    """

    @property
    def version(self) -> Version: ...

    @property
    def command(self) -> tuple[str, ...]: ...

    @property
    def shown(self) -> str: ...

    def start(self, argv: Sequence[str], workspace: Workspace) -> RunningSkopeo:
        """Run a command line with the files and the environment of ``workspace``, and no others.

        :raises TemporaryError: when it cannot be started.
        """


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


def run(program: SkopeoProgram, argv: Sequence[str], workspace: Workspace, timeout_seconds: float) -> str:
    """All that a short command prints.

    :raises ConfigurationError: when it cannot be started, or does not end in time.
    """
    try:
        child = program.start(argv, workspace)
    except TemporaryError as error:
        raise ConfigurationError(f"{program.shown} does not work on this worker: {error}") from error
    said = []
    try:
        while (lines := child.read_lines()) is not None:
            said += lines
            if child.age_seconds > timeout_seconds:
                raise ConfigurationError(
                    f"{program.shown} does not work on this worker: it did not end in {timeout_seconds} s"
                )
    finally:
        child.close()
    return "\n".join(said)


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


def parse_version(output: str, shown: str) -> Version:
    """What ``skopeo --version`` printed.

    :raises ConfigurationError: when that is something else.
    """
    match = _VERSION.match(output)
    if match is None:
        raise ConfigurationError(f"{shown} --version answered {output[:200]!r}, not 'skopeo version …'; is it skopeo?")
    return Version(*map(int, match.groups()))


def check_version(version: Version, shown: str) -> Version:
    """:raises ConfigurationError: when it is too old."""
    if version < OLDEST_VERSION:
        raise ConfigurationError(f"{shown} is skopeo {version}, but at least {OLDEST_VERSION} is needed; update it")
    return version


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
