"""Fixtures of the tests with real registries and the real skopeo."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testkit.interceptor import Interceptor
from testkit.registry import RegistryProcess

_SCRIPT = """#!/bin/sh
echo "start $$ $*" >>{log}
{skopeo} "$@"
code=$?
echo "end $$" >>{log}
exit $code
"""


@dataclass(frozen=True, kw_only=True)
class SkopeoLog:
    """What the real skopeo was started for, noted by a script before it on PATH."""

    file: Path

    @property
    def copies(self) -> list[str]:
        """The arguments of each copy, oldest first."""
        return [line.split(" ", 2)[2] for line in self._lines() if line.startswith("start ")]

    @property
    def at_once(self) -> list[int]:
        """How many copies were running, whenever one started."""
        running, counts = set[str](), []
        for line in self._lines():
            what, process = line.split(" ")[:2]
            if what == "start":
                running.add(process)
                counts.append(len(running))
            else:
                running.discard(process)
        return counts

    def _lines(self) -> list[str]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        other = {line.split(" ")[1] for line in lines if line.startswith("start ") and " copy " not in line}
        return [line for line in lines if line.split(" ")[1] not in other]


@pytest.fixture
def skopeo_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SkopeoLog:
    """Have every start and end of skopeo noted."""
    real = shutil.which("skopeo")
    assert real is not None, "skopeo is not installed; on Debian and Ubuntu: apt-get install skopeo"
    script, log = tmp_path / "bin" / "skopeo", tmp_path / "skopeo.log"
    script.parent.mkdir()
    script.write_text(_SCRIPT.format(log=shlex.quote(str(log)), skopeo=shlex.quote(real)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return SkopeoLog(file=log)


@pytest.fixture(scope="module")
def source() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


@pytest.fixture(scope="module")
def destination() -> Iterator[RegistryProcess]:
    with RegistryProcess() as registry:
        yield registry


@pytest.fixture
def source_wire(source: RegistryProcess) -> Iterator[Interceptor]:
    """An interceptor in front of the source."""
    with Interceptor(source.url) as interceptor:
        yield interceptor


@pytest.fixture
def wire(destination: RegistryProcess) -> Iterator[Interceptor]:
    """An interceptor in front of the destination."""
    with Interceptor(destination.url) as interceptor:
        yield interceptor


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"team/{words}"
