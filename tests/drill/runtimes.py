"""The real daemons that nodes pull with, controlled through their own APIs."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

import grpc

from testkit.namespace import Namespace
from testkit.waiting import PATIENCE_SECONDS


class PullFailedError(Exception):
    """A daemon could not pull. The message is the daemon's own."""


class Runtime(Protocol):
    """A daemon in a namespace."""

    def pull(self, name: str, target: str) -> str:
        """Pull ``name:target``, or ``name@target`` of a digest, and return the image's ID: the digest of its config.

        :raises PullFailedError: when the daemon reports an error.
        """


def version_of(daemon: str) -> str:
    """The version of an installed daemon, such as 20.10.24."""
    output = subprocess.run([daemon, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"(?:version|containerd) v?(\d+\.\d+\.\d+)|(\d+\.\d+\.\d+)", output)
    assert match, output
    return match[1] or match[2]


class Dockerd:
    """Docker's daemon with our ``daemon.json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/
    """

    def __init__(self, socket_file: Path) -> None:
        self._socket_file = socket_file

    @classmethod
    @contextmanager
    def running(cls, namespace: Namespace, config: Path, ca_file: Path) -> Iterator[Dockerd]:
        """Start dockerd without a bridge and firewall rules. It ends with the namespace."""
        socket_file = namespace.folder / "docker.sock"
        process = namespace.spawn(
            "dockerd",
            f"--config-file={config / 'daemon.json'}",
            f"--data-root={namespace.folder / 'data' / 'docker'}",
            "--exec-root=/run/docker",
            "--pidfile=/run/docker.pid",
            f"--host=unix://{socket_file}",
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            log=namespace.folder / "dockerd.log",
            environment={"SSL_CERT_FILE": str(ca_file)},
        )
        daemon = cls(socket_file)
        process.wait_until(daemon.answers)
        yield daemon

    def answers(self) -> bool:
        try:
            return self._call("GET", "/_ping") == b"OK"
        except OSError:
            return False

    def pull(self, name: str, target: str) -> str:
        """Pull and return the ID. An error after the first byte of the response is the last line of its stream."""
        stream = self._call("POST", f"/images/create?{urlencode({'fromImage': name, 'tag': target})}")
        for line in map(json.loads, stream.splitlines()):
            if "error" in line:
                raise PullFailedError(line["error"])
        reference = f"{name}{'@' if ':' in target else ':'}{target}"
        return str(json.loads(self._call("GET", f"/images/{reference}/json"))["Id"])

    def _call(self, method: str, path: str) -> bytes:
        connection = _UnixConnection(self._socket_file)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise PullFailedError(json.loads(body)["message"])
        return body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_file: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._socket_file = socket_file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._socket_file))


class Containerd:
    """Runs containerd with our files in ``/etc/containerd``. Pulls use CRI, as kubelet does: ctr ignores the files.

    https://github.com/kubernetes/cri-api/blob/v0.28.0/pkg/apis/runtime/v1/api.proto
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._pull = channel.unary_unary("/runtime.v1.ImageService/PullImage")

    @classmethod
    @contextmanager
    def running(cls, namespace: Namespace, ca_file: Path) -> Iterator[Containerd]:
        socket_file = namespace.folder / "containerd.sock"
        process = namespace.spawn(
            "containerd",
            "--config=/etc/containerd/config.toml",
            f"--root={namespace.folder / 'data' / 'containerd'}",
            "--state=/run/containerd",
            f"--address={socket_file}",
            log=namespace.folder / "containerd.log",
            environment={"SSL_CERT_FILE": str(ca_file)},
        )
        process.wait_until(socket_file.exists)
        with grpc.insecure_channel(f"unix://{socket_file}") as channel:
            yield cls(channel)

    def pull(self, name: str, target: str) -> str:
        """Pull and return the ID. The request has the name as the only field of its only field; so has the response."""
        reference = f"{name}{'@' if ':' in target else ':'}{target}".encode()
        try:
            answer = self._pull(_field(_field(reference)), timeout=PATIENCE_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            raise PullFailedError(error.details()) from error
        return str(answer[2:].decode())


def _field(content: bytes) -> bytes:
    """Encode the first field of a message: https://protobuf.dev/programming-guides/encoding/."""
    low, high = len(content) % 128, len(content) // 128
    return b"\x0a" + (bytes([low | 0x80, high]) if high else bytes([low])) + content
