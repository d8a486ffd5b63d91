"""The machine of a measurement, and the versions of the programs on it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.scope import Scope
from bench.tables import Findings, Row, Table


def describe(scope: Scope, load_before: float) -> Findings:
    """Processor, memory, load before and after, and versions."""
    rows: list[Row] = [
        ("measured", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}"),
        ("processor", f"{os.cpu_count()} × {_processor()}"),
        ("memory", f"{_memory_gigabytes():.0f} GB; the registries' files are in memory"),
        ("load", f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after; a quiet machine begins near 0"),
        ("system", f"Linux {platform.release()}, Python {platform.python_version()}, urllib3 {version('urllib3')}"),
        ("registry server", _output("docker-registry", "--version").replace("github.com/docker/distribution ", "")),
        ("tools found", ", ".join(tool.name for tool in (*scope.ours, *scope.peers))),
    ]
    return Findings(tables=[Table(title="The machine:", headings=("what", "value"), rows=rows, texts=2)])


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gigabytes() -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) / 1_000_000 if found else 0.0


def _commit() -> str:
    return _output("git", "rev-parse", "--short", "HEAD") or "unknown"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
