"""Connections between this machine and a namespace: out by a user-mode network, in through forwarded ports."""

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
"""Address of slirp4netns's DNS server in the namespace."""

CLONE_NEWNET = 0x40000000
POLL_SECONDS = 0.02


@contextmanager
def outbound_network(namespace: Namespace) -> Iterator[None]:
    """Connect a namespace to the network through a process of ours, without changing this machine.

    This machine's own addresses are not reachable. https://github.com/rootless-containers/slirp4netns
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
    """Wait for the default route, which is set last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "tap0\t00000000" not in Path(f"/proc/{namespace.first}/net/route").read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NamespaceError(f"slirp4netns gave no network:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


class PortForwards:
    """Ports of this machine that are forwarded into a namespace, from ``with`` to the block's end."""

    def __init__(self, namespace: Namespace) -> None:
        # A thread can be in another network than its process. Its sockets are, whichever thread uses them.
        self._inside = ThreadPoolExecutor(1, initializer=_enter_network, initargs=(namespace.first,))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._inside.shutdown()

    def open(self, port: int, address: str = LOOPBACK) -> str:
        """Forward a port to ``port`` of ``address`` in the namespace, and return its address ``127.0.0.1:PORT``."""
        server = LoopbackServer(partial(_Forwarding, partial(self._connect, address, port)))
        server.start()
        self._stack.callback(server.stop)
        return server.host

    def _connect(self, address: str, port: int) -> socket.socket:
        return self._inside.submit(socket.create_connection, (address, port)).result()


class _Forwarding(socketserver.BaseRequestHandler):
    """Forward one connection."""

    def __init__(self, connect: Callable[[], socket.socket], *args: Any) -> None:
        self._connect = connect
        super().__init__(*args)

    def handle(self) -> None:
        try:
            inside = self._connect()
        except OSError:
            return  # no listener inside; the caller sees a closed connection
        with inside:
            answering = threading.Thread(target=_pump, args=(inside, self.request), daemon=True)
            answering.start()
            _pump(self.request, inside)
            answering.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes, and then the end of the stream."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _enter_network(process: int) -> None:
    """Move this thread only into the network of a process. https://man7.org/linux/man-pages/man2/setns.2.html."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{process}/ns/net").open("rb") as network:
        if libc.setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
