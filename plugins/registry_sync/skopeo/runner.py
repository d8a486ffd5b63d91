"""Protocols for a skopeo program and its processes, and the versions that are supported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo.config_files import Workspace

_VERSION_OUTPUT = re.compile(r"skopeo version (\d+)\.(\d+)\.(\d+)")


class SkopeoVersion(NamedTuple):
    """A version of skopeo.

    >>> str(SkopeoVersion(1, 9, 3))
    '1.9.3'
    """

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST_VERSION = SkopeoVersion(1, 9, 0)

KEEPS_CONNECTIONS = SkopeoVersion(1, 12, 0)
"""The first version that does not open a connection for each request: https://github.com/containers/image/pull/1867."""


def speed_limit(version: SkopeoVersion) -> str:
    """The reason why a version copies slowly; empty for a version that copies fast.

    >>> speed_limit(SkopeoVersion(1, 11, 2))
    'it opens a connection for each request, which versions from 1.12 on do not'
    >>> speed_limit(SkopeoVersion(1, 12, 0))
    ''
    """
    if version >= KEEPS_CONNECTIONS:
        return ""
    newer = f"{KEEPS_CONNECTIONS.major}.{KEEPS_CONNECTIONS.minor}"
    return f"it opens a connection for each request, which versions from {newer} on do not"


class RunningSkopeo(Protocol):
    """A running skopeo: its output, its traffic, and its end. Used by the thread that started it."""

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while skopeo runs."""

    @property
    def age_seconds(self) -> float:
        """Time since the start."""

    @property
    def idle_seconds(self) -> float:
        """Time without traffic, up to the last call of :meth:`read_lines`."""

    @property
    def sent_bytes(self) -> int:
        """Bytes sent, up to the last call of :meth:`read_lines`."""

    def read_lines(self) -> list[str] | None:
        """Wait briefly for output and return the new lines; ``None`` after the end."""

    def terminate(self) -> None:
        """Send SIGTERM where that is possible, without waiting. Safe in a signal handler."""

    def end(self) -> None:
        """End skopeo, by SIGKILL if necessary, and wait for the end."""

    def close(self) -> None:
        """End skopeo and close the connection to it."""


class SkopeoProgram(Protocol):
    """A skopeo that was found and has a supported version.

    ``command`` starts every command line; ``label`` names the program in messages.
    """

    @property
    def version(self) -> SkopeoVersion: ...

    @property
    def command(self) -> tuple[str, ...]: ...

    @property
    def label(self) -> str: ...

    @property
    def needs_output(self) -> bool:
        """Its output has a use beside the log, so that it must not be silenced."""

    def start(self, argv: Sequence[str], workspace: Workspace) -> RunningSkopeo:
        """Start a command line with the files and the environment of ``workspace`` alone.

        :raises TemporaryError: when it cannot be started.
        """


def run(program: SkopeoProgram, argv: Sequence[str], workspace: Workspace, timeout_seconds: float) -> str:
    """Run a short command to its end and return its output.

    :raises TemporaryError: when it cannot be started, or after the timeout: this worker, or the daemon, is too busy.
    """
    child = program.start(argv, workspace)
    output: list[str] = []
    try:
        while (lines := child.read_lines()) is not None:
            output += lines
            if child.age_seconds > timeout_seconds:
                raise TemporaryError(f"{program.label} did not end in {timeout_seconds:g} s on this worker")
    finally:
        child.close()
    return "\n".join(output)


def parse_version(output: str, label: str) -> SkopeoVersion:
    """Parse the output of ``skopeo --version``.

    :param label: names the program in the message.
    :raises ConfigurationError: when it is the output of another program.
    """
    match = _VERSION_OUTPUT.match(output)
    if match is None:
        raise ConfigurationError(f"{label} --version printed {output[:200]!r}, not 'skopeo version …'; is it skopeo?")
    return SkopeoVersion(*map(int, match.groups()))


def check_version(version: SkopeoVersion, label: str) -> SkopeoVersion:
    """Return ``version``.

    :raises ConfigurationError: when it is older than ``OLDEST_VERSION``.
    """
    if version < OLDEST_VERSION:
        raise ConfigurationError(f"{label} is skopeo {version}, but at least {OLDEST_VERSION} is needed; update it")
    return version
