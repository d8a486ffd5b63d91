"""The same images, cold, by both movers and by the peers on PATH: requests, connections, CPU, wall time and memory.

Each tool copies twice, to empty registries: through interceptors, which count connections and are slow, and without.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from registry_sync.oci.reference import Digest
from testkit import images
from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess


class _Place(Protocol):
    @property
    def host(self) -> str: ...


Commands = Callable[[_Place, _Place, list[str], Path], list[list[str]]]
"""The command lines that copy repositories; a folder for files is theirs."""

Wanted = Mapping[str, Mapping[str, Digest]]
"""Digest of each tag of each repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The cost of a cold copy by one tool.

    :ivar same: tags that have the digest of the source at the destination.
    :ivar cpu_seconds: of all its processes; ours includes the start of Python and its imports.
    :ivar peak_megabytes: of the process that was started, without those that it starts itself.
    """

    tool: str
    images: int
    same: int
    requests: int
    connections: int
    cpu_seconds: float
    wall_seconds: float
    peak_megabytes: float


def measure_movers(repositories: int, tags: int, *, layer_bytes: int) -> list[Moved]:
    """Copy images of two platforms with three layers each, of which all images of a repository share one."""
    with RegistryProcess() as source:
        wanted = {
            name: _fill(source, name, tags, layer_bytes) for name in map("bench/app{}".format, range(repositories))
        }
        return [_measure(tool, commands, source, wanted) for tool, commands in _TOOLS.items() if _is_here(tool)]


def _fill(source: RegistryProcess, name: str, tags: int, layer_bytes: int) -> dict[str, Digest]:
    base, digests = images.big_layer(layer_bytes, seed=1), {}
    for tag in map("v{}".format, range(tags)):
        own = [images.big_layer(layer_bytes, seed=zlib.crc32(f"{name} {tag} {part}".encode())) for part in range(4)]
        content = images.index([images.image([base, *own[:2]]), images.image([base, *own[2:]], "linux/arm64")])
        images.push(source.url, name, tag, content)
        digests[tag] = content.digest
    return digests


def _is_here(tool: str) -> bool:
    return tool.startswith("registry_sync") or shutil.which(tool.split(maxsplit=1)[0]) is not None


def _measure(tool: str, commands: Commands, source: RegistryProcess, wanted: Wanted) -> Moved:
    with _empty() as destination, Interceptor(source.url) as here, Interceptor(destination.url) as there:
        _run(commands, here, there, wanted)
        requests = len(here.requests()) + len(there.requests())
        connections = here.connections + there.connections
    with _empty() as destination:
        began = time.monotonic()
        cpu_seconds, peak_megabytes = _run(commands, source, destination, wanted)
        wall_seconds = time.monotonic() - began
        same = sum(
            images.resolve(destination.url, name, tag) == digest
            for name, digests in wanted.items()
            for tag, digest in digests.items()
        )
    return Moved(
        tool=tool,
        images=sum(map(len, wanted.values())),
        same=same,
        requests=requests,
        connections=connections,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        peak_megabytes=peak_megabytes,
    )


@contextmanager
def _empty() -> Iterator[RegistryProcess]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        with RegistryProcess(storage=Path(folder)) as registry:
            yield registry


def _run(commands: Commands, source: _Place, destination: _Place, wanted: Wanted) -> tuple[float, float]:
    """Run a tool in a temporary directory of its own. Returns CPU seconds and megabytes."""
    cpu_seconds = peak_megabytes = 0.0
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": folder, "HOME": folder}
        for command in commands(source, destination, list(wanted), Path(folder)):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
            done = 0
            while not done:
                peak_megabytes = max(peak_megabytes, _megabytes(process.pid))
                time.sleep(0.01)
                done, status, used = os.wait4(process.pid, os.WNOHANG)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            cpu_seconds += used.ru_utime + used.ru_stime
    return cpu_seconds, peak_megabytes


def _megabytes(pid: int) -> float:
    """The most memory that a process has had. ``ru_maxrss`` would be that of the process that started it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


_OURS = """
import sys
from testkit.routes import make_route, run_route
class At:
    def __init__(self, host): self.host = host
mover, source, destination, *names = sys.argv[1:]
for name in names:
    assert not run_route(make_route(At(source), At(destination), name, transfer=mover)).is_failed
"""


def _ours(mover: str) -> Commands:
    return lambda source, destination, names, _: [
        [sys.executable, "-c", _OURS, mover, source.host, destination.host, *names]
    ]


def _crane(source: _Place, destination: _Place, names: list[str], _: Path) -> list[list[str]]:
    copy = ["crane", "copy", "--all-tags", "--jobs", "4", "--insecure"]
    return [[*copy, f"{source.host}/{name}", f"{destination.host}/{name}"] for name in names]


def _regsync(source: _Place, destination: _Place, names: list[str], folder: Path) -> list[list[str]]:
    document = {
        "version": 1,
        "creds": [{"registry": place.host, "tls": "disabled"} for place in (source, destination)],
        "defaults": {"parallel": 4},
        "sync": [
            {"source": f"{source.host}/{name}", "target": f"{destination.host}/{name}", "type": "repository"}
            for name in names
        ],
    }
    (folder / "regsync.yml").write_text(json.dumps(document))
    return [["regsync", "once", "-c", str(folder / "regsync.yml")]]


def _skopeo_sync(source: _Place, destination: _Place, names: list[str], _: Path) -> list[list[str]]:
    options = ["--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
    sync = ["skopeo", "--insecure-policy", "sync", *options, "--src", "docker", "--dest", "docker"]
    return [[*sync, f"{source.host}/{name}", f"{destination.host}/{name.rpartition('/')[0]}"] for name in names]


_TOOLS: Mapping[str, Commands] = {
    "registry_sync, transfer: skopeo": _ours("skopeo"),
    "registry_sync, transfer: direct": _ours("direct"),
    "crane copy --all-tags": _crane,
    "regsync once": _regsync,
    "skopeo sync": _skopeo_sync,
}
