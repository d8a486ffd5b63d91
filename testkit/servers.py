"""Real registry servers, each as a process of the test that uses it. ``make servers`` builds all but Debian's."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from testkit.project import PROJECT
from testkit.registry import DEBIAN, STOP_TIMEOUT_SECONDS, Htpasswd, RegistryProcess, RegistryStartError, tied_to_parent
from testkit.waiting import wait_until

FOLDER = PROJECT / ".servers"
"""Folder of the built programs."""

USER, PASSWORD = "robot", "only-for-these-tests-93d0"
"""The only user of a server with a log-in."""

PUBLIC = "public"
"""Namespace that everyone may read where a server has public and private repositories."""

_PORT = re.compile(rb"(?:127\.0\.0\.1:|serving on port )(\d+)\n")


class Server(Protocol):
    """A server that runs: ``host`` is ``127.0.0.1:PORT``, ``url`` is ``http://`` and the host."""

    @property
    def host(self) -> str: ...
    @property
    def url(self) -> str: ...


Start = Callable[[], AbstractContextManager[Server]]
"""Starts an empty server for the time of a ``with`` block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProgram:
    """A registry server and the ways to start it. A way is ``None`` where the server does not have it.

    :ivar name: name and version, as the documentation has them.
    :ivar file: file of the program that ``make servers`` builds; ``None`` for Debian's.
    :ivar start: starts it for everyone.
    :ivar with_login: starts it with one user, ``USER``.
    :ivar read_only: starts it without pushes.
    """

    name: str
    file: Path | None
    start: Start
    with_login: Start | None = None
    read_only: Start | None = None

    @property
    def missing(self) -> str:
        """Reason why it cannot be started here; empty when it can."""
        return f"{self.file} does not exist; run make servers" if self.file and not self.file.exists() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LoopbackServer:
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def _run(*command: str) -> Iterator[Server]:
    """Run a server that chooses a port and prints it.

    :raises RegistryStartError: when it ends instead.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            tied_to_parent(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield _LoopbackServer(port=wait_until(lambda: _printed_port(process, output), f"{command[0]} serves"))
        finally:
            _end(process)


def _printed_port(process: subprocess.Popen[bytes], output: BinaryIO) -> int | None:
    text = os.pread(output.fileno(), 65_536, 0)  # a seek would move the position at which the server writes
    if process.poll() is not None:
        raise RegistryStartError(f"{process.args!r} ended: {text.decode(errors='replace')}")
    match = _PORT.search(text)
    return int(match[1]) if match else None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _run_distribution(program: str, **options: Any) -> Iterator[Server]:
    """Run a distribution registry with its storage in memory, because thousands of tags are as many small files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="registry-", dir=memory if memory.is_dir() else None) as folder:
        with RegistryProcess(program=program, storage=Path(folder), **options) as registry:
            yield registry


def _distribution(name: str, program: str, file: Path | None = None) -> ServerProgram:
    start = partial(_run_distribution, program)
    return ServerProgram(
        name=name,
        file=file,
        start=start,
        with_login=partial(start, auth=Htpasswd(users={USER: PASSWORD})),
        read_only=partial(start, read_only=True),
    )


_CRANE, _OCISERVER, _DISTRIBUTION_3 = FOLDER / "crane", FOLDER / "ociserver", FOLDER / "registry"

DISTRIBUTION_2 = _distribution("docker-registry 2.8 (Debian)", DEBIAN)
DISTRIBUTION_3 = _distribution("distribution 3.1", str(_DISTRIBUTION_3), _DISTRIBUTION_3)
CRANE = ServerProgram(
    name="crane registry 0.22",
    file=_CRANE,
    start=partial(_run, str(_CRANE), "registry", "serve", "--address", "127.0.0.1:0"),
)
OCISERVER = ServerProgram(
    name="CUE ociserver",
    file=_OCISERVER,
    start=partial(_run, str(_OCISERVER)),
    with_login=partial(_run, str(_OCISERVER), "-login", f"{USER}:{PASSWORD}"),
    read_only=partial(_run, str(_OCISERVER), "-read-only"),
)
OCISERVER_TERSE = ServerProgram(
    name="CUE ociserver, terse", file=_OCISERVER, start=partial(_run, str(_OCISERVER), "-terse")
)

PROGRAMS = (DISTRIBUTION_2, DISTRIBUTION_3, CRANE, OCISERVER, OCISERVER_TERSE)
