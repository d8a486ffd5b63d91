"""A private piece of this machine: mounts, network and processes that nobody else sees, and that vanish together."""

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
"""``cat`` is the first process of the namespace. It ends when its input does, as when this process dies in whatever
way; the kernel then kills all others, and takes back mounts and network."""


class NamespaceError(Exception):
    """A namespace, or something in it, did not come up; the message ends with what it said."""


class Namespace:
    """Mounts, network and processes of their own, from ``with`` to the block's end.

    ``folder`` is seen from both sides, apart from ``folder/data``, which is memory within. ``/etc``, ``/run`` and
    ``/opt``, where daemons leave things, are copies that vanish. Nothing within reaches a
    network: there is only ``lo``, with ``hosts`` (names to addresses of our own choice; 127.0.0.0/8 would not do, since
    dockerd verifies no certificate there).
    """

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))  # short, since a socket's path has 107 bytes at most
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
        for each in self._children:
            each.wait()
        shutil.rmtree(self.folder)

    def spawn(self, *command: str, log: Path, environment: Mapping[str, str] | None = None) -> Spawned:
        """Start a command within; what it prints goes to ``log``."""
        spawned = Spawned(self.first, command, log, environment or {})
        self._children.append(spawned)
        return spawned

    def listens(self, address: str, port: int) -> bool:
        """Whether something within accepts connections there.

        https://docs.kernel.org/networking/proc_net_tcp.html
        """
        place = f"{int.from_bytes(bytes(map(int, address.split('.'))), 'little'):08X}:{port:04X}"
        rows = (line.split() for line in Path(f"/proc/{self.first}/net/tcp").read_text().splitlines())
        return any(row[1] == place and row[3] == _LISTENING for row in rows)


class Spawned:
    """A process in a namespace. ``nsenter`` stands for it on this side."""

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
        """Wait for what shows that the process is at work.

        :raises NamespaceError: when it ends, or takes too long; with the end of its log.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_ready():
            state = "ended" if self._nsenter.poll() is not None else "is not ready"
            if state == "ended" or time.monotonic() > deadline:
                raise NamespaceError(f"{self._nsenter.args!r} {state}:\n{self._log.read_text()[-4000:]}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Kill it, and wait until it is gone."""
        for each in children_of(self._nsenter.pid):
            os.kill(each, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        self._nsenter.wait()


def children_of(process: int) -> list[int]:
    """The children of a process, as numbers on this side; none when it is gone."""
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def why_not(commands: Iterable[str], target: str) -> str:
    """Why there can be no namespace with ``commands`` here; empty when there can.

    :param target: the target of the Makefile that installs the commands.
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
