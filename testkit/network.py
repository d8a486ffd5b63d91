"""Ways between this machine and a namespace: out of it by a user-mode network, and into it by doors."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from testkit.kept_process import end, launch
from testkit.loopback import LOOPBACK, LoopbackServer
from testkit.namespace import Namespace, NamespaceError
from testkit.waiting import PATIENCE_SECONDS

NAME_SERVER = "10.0.2.3"
"""Where slirp4netns answers look-ups within the namespace, as this machine would."""

CLONE_NEWNET = 0x40000000
POLL_SECONDS = 0.02


@contextmanager
def way_out(namespace: Namespace) -> Iterator[None]:
    """Connections out of the namespace become connections of a process of ours: nothing of this machine is changed.

    Addresses of this machine itself are not reached. https://github.com/rootless-containers/slirp4netns
    """
    command = ("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(namespace.first), "tap0")
    log = namespace.folder / "slirp4netns.log"
    with log.open("wb") as output:
        process = launch(
            [shutil.which(command[0]) or command[0], *command[1:]],
            environment={"PATH": os.environ["PATH"]},
            folder=namespace.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for_route(namespace, process, log)
        yield
    finally:
        end([process])


def _wait_for_route(namespace: Namespace, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until there is a default route: it comes last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "tap0\t00000000" not in Path(f"/proc/{namespace.first}/net/route").read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NamespaceError(f"slirp4netns gave no network:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


class Doors:
    """Ports of this machine that lead into a namespace, from ``with`` to the block's end."""

    def __init__(self, namespace: Namespace) -> None:
        # A thread can live in another network than its process. Its sockets do, whoever uses them.
        self._inside = ThreadPoolExecutor(1, initializer=_enter_network, initargs=(namespace.first,))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._inside.shutdown()

    def open(self, port: int, address: str = LOOPBACK) -> str:
        """The address, as ``127.0.0.1:PORT``, that leads to ``port`` of ``address`` within."""
        server = LoopbackServer(partial(_Door, partial(self._connect, address, port)))
        server.start()
        self._stack.callback(server.stop)
        return server.host

    def _connect(self, address: str, port: int) -> socket.socket:
        return self._inside.submit(socket.create_connection, (address, port)).result()


class _Door(socketserver.BaseRequestHandler):
    """One connection through a door."""

    def __init__(self, connect: Callable[[], socket.socket], *args: Any) -> None:
        self._connect = connect
        super().__init__(*args)

    def handle(self) -> None:
        try:
            inside = self._connect()
        except OSError:
            return  # nobody listens there; the caller sees a connection that closes
        with inside:
            answering = threading.Thread(target=_pump, args=(inside, self.request), daemon=True)
            answering.start()
            _pump(self.request, inside)
            answering.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on, and then the end of them."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _enter_network(process: int) -> None:
    """Move this thread, and no other, to the network of a process. https://man7.org/linux/man-pages/man2/setns.2.html."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{process}/ns/net").open("rb") as network:
        if libc.setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
