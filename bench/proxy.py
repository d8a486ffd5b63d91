"""The counting proxy of ``testkit/go_servers/countproxy``, a process in front of one registry."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Self

from testkit.registry import RegistryProcess, tied_to_parent
from testkit.servers import FOLDER
from testkit.tls import Certificate

PROGRAM = FOLDER / "countproxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds that are added to each request and to each new connection."""

    request_ms: int = 0
    connection_ms: int = 0


NO_LATENCY = Latency()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests and connections at one proxy, and CPU time of the proxy itself."""

    requests: int
    connections: int
    cpu_seconds: float


class CountingProxy:
    """Forwards to ``registry``, over TLS with a ``certificate``.

    It is written in Go, so that it takes a small part of the machine: see ``bench/rig.py``.
    """

    def __init__(
        self, registry: RegistryProcess, *, latency: Latency = NO_LATENCY, certificate: Certificate | None = None
    ) -> None:
        self._command = [str(PROGRAM), "-upstream", registry.url, f"-delay={latency.request_ms}ms"]
        self._command.append(f"-connect-delay={latency.connection_ms}ms")
        if certificate:
            self._command += ["-cert", str(certificate.cert_file), "-key", str(certificate.key_file)]
        self.host = ""

    def __enter__(self) -> Self:
        """Start it. :raises FileNotFoundError: when ``make servers`` has not built it."""
        if not PROGRAM.exists():
            raise FileNotFoundError(f"{PROGRAM} does not exist; run make servers")
        self._process = subprocess.Popen(
            tied_to_parent(self._command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.host = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input

    def take(self) -> Counts:
        """The counts since the start or the last call."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        taken = json.loads(self._read())
        return Counts(
            requests=sum(taken["requests"].values()),
            connections=taken["connections"],
            cpu_seconds=taken["cpu_seconds"],
        )

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAM.name} ended with {self._process.wait()}")
        return line.strip()
