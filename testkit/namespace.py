"""Private mounts, network and processes on this machine (Linux namespaces), which vanish together."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from testkit.waiting import PATIENCE_SECONDS

POLL_SECONDS = 0.01
_COMMANDS = ("unshare", "nsenter", "ip", "mount")

_LISTENING = "0A"

_SET_UP = """
set -eu
ip link set lo up
for address in $ADDRESSES; do ip address add "$address/32" dev lo; done
for place in /run /opt "$FOLDER/data"; do mount -t tmpfs tmpfs "$place"; done
mkdir "$FOLDER/data/upper" "$FOLDER/data/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$FOLDER/data/upper,workdir=$FOLDER/data/work" /etc
mkdir -p /etc/containerd
mount --bind "$FOLDER/hosts" /etc/hosts
mount --bind "$FOLDER/containerd" /etc/containerd
echo ready
exec cat
"""
"""``cat`` is the first process of the namespace. It ends with its input, also when this process dies. The kernel then
kills all other processes, and removes mounts and network."""


class NamespaceError(Exception):
    """A namespace or a process in it did not start. The message ends with its output."""


class Namespace:
    """Private mounts, network and processes, from ``with`` to the block's end.

    ``folder`` is visible on both sides, except ``folder/data``, which is memory inside the namespace. ``/etc``,
    ``/run`` and ``/opt``, where daemons write, are copies that vanish. The only network is ``lo``, with ``hosts``
    (names to addresses; outside of 127.0.0.0/8, where dockerd verifies no certificate).
    """

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))  # short, because a socket's path has at most 107 bytes
        self._hosts = hosts
        self._children: list[Spawned] = []

    def __enter__(self) -> Self:
        for name in ("data", "containerd"):
            (self.folder / name).mkdir()
        lines = "".join(f"{address} {name}\n" for name, address in self._hosts.items())
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{lines}")
        self._unshare = subprocess.Popen(
            ["unshare", "-mnpf", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c", _SET_UP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                "PATH": os.environ["PATH"],
                "FOLDER": str(self.folder),
                "ADDRESSES": " ".join(sorted(set(self._hosts.values()))),
            },
        )
        assert self._unshare.stdout is not None
        said = self._unshare.stdout.readline()
        if said != b"ready\n":
            said += self._unshare.stdout.read()
            self.__exit__()
            raise NamespaceError(f"the namespace was not set up: {said.decode().strip()}")
        (self.first,) = children_of(self._unshare.pid)
        return self

    def __exit__(self, *_: object) -> None:
        with self._unshare as process:  # closes its pipes, and waits
            if first := children_of(process.pid):
                os.kill(first[0], signal.SIGKILL)
        for child in self._children:
            child.wait()
        shutil.rmtree(self.folder)

    def spawn(self, *command: str, log: Path, environment: Mapping[str, str] | None = None) -> Spawned:
        """Start a command in the namespace, with its output in ``log``."""
        spawned = Spawned(self.first, command, log, environment or {})
        self._children.append(spawned)
        return spawned

    def listens(self, address: str, port: int) -> bool:
        """Return whether a process in the namespace accepts connections at the address.

        https://docs.kernel.org/networking/proc_net_tcp.html
        """
        place = f"{int.from_bytes(bytes(map(int, address.split('.'))), 'little'):08X}:{port:04X}"
        rows = (line.split() for line in Path(f"/proc/{self.first}/net/tcp").read_text().splitlines())
        return any(row[1] == place and row[3] == _LISTENING for row in rows)


class Spawned:
    """A process in a namespace, represented outside by ``nsenter``."""

    def __init__(self, first: int, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        enter = ("nsenter", "-t", str(first), "-m", "-n", "-p", "--")
        with log.open("ab") as output:
            self._nsenter = subprocess.Popen(
                [*enter, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], **environment},
            )

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the process works.

        :raises NamespaceError: when it ends or takes too long. The message has the end of its log.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_ready():
            state = "ended" if self._nsenter.poll() is not None else "is not ready"
            if state == "ended" or time.monotonic() > deadline:
                raise NamespaceError(f"{self._nsenter.args!r} {state}:\n{self._log.read_text()[-4000:]}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Kill the process, and wait for its end."""
        for each in children_of(self._nsenter.pid):
            os.kill(each, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        self._nsenter.wait()


def children_of(process: int) -> list[int]:
    """Children of a process by their ids outside of the namespace; empty when it has ended."""
    try:
        return [int(part) for part in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def namespace_obstacle(commands: Iterable[str], target: str) -> str:
    """Return why this machine cannot make a namespace with ``commands``, or an empty text.

    :param target: Makefile target that installs the commands.
    """
    if missing := [each for each in (*_COMMANDS, *commands) if shutil.which(each) is None]:
        return f"not installed: {', '.join(missing)} (make {target} installs them on Debian and Ubuntu)"
    if os.geteuid() != 0:
        return "only root may make mounts, networks and processes of its own"
    try:
        with Namespace({"example.test": "10.77.0.1"}):
            return ""
    except NamespaceError as error:
        return str(error)
