"""Protocols of a skopeo that can be run, and its versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from registry_sync.errors import ConfigurationError, TemporaryError
from registry_sync.skopeo.config_files import Workspace

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
