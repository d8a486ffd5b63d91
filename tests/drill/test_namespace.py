"""The namespace of the drill: it is invisible outside, reaches no network, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.airflow import PROJECT
from testkit.namespace import Namespace, children_of
from testkit.waiting import wait_until

pytestmark = pytest.mark.usefixtures("possible")

MAKER = """
import sys
from pathlib import Path
from testkit.namespace import Namespace, children_of
with Namespace({"example.test": "10.77.0.1"}) as namespace:
    namespace.spawn("sleep", "1000", log=Path(sys.argv[1]))
    print(namespace.first, namespace.folder, flush=True)
    sys.stdin.read()
"""


def run(namespace: Namespace, *command: str) -> str:
    """The output of a command in the namespace."""
    log = namespace.folder / "output"
    log.write_bytes(b"")
    namespace.spawn(*command, log=log).wait()
    return log.read_text()


def test_no_network_is_reached() -> None:
    with Namespace({"example.test": "10.77.0.1"}) as namespace:
        assert run(namespace, "ip", "-o", "route", "get", "10.77.0.1").startswith("local 10.77.0.1 dev lo")
        assert run(namespace, "ip", "route", "get", "192.0.2.1") == "RTNETLINK answers: Network is unreachable\n"
        assert run(namespace, "getent", "hosts", "example.test").split() == ["10.77.0.1", "example.test"]


def test_files_and_mounts_are_invisible_outside() -> None:
    files = [Path(f"{folder}/file-of-the-drill") for folder in ("/etc", "/run", "/opt")]
    before = Path("/proc/mounts").read_text()
    with Namespace({}) as namespace:
        assert run(namespace, "touch", *map(str, files)) == ""
        assert run(namespace, "ls", *map(str, files)).split() == sorted(map(str, files))
        assert not any(file.exists() for file in files)
        assert Path("/proc/mounts").read_text() == before
        first, folder = namespace.first, namespace.folder
    assert not Path(f"/proc/{first}").exists()
    assert not folder.exists()


def test_processes_end_when_their_creator_is_killed(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
        "TMPDIR": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as maker:
        assert maker.stdout is not None
        first = int(maker.stdout.readline().split()[0])
        (unshare,) = [each for each in children_of(maker.pid) if children_of(each) == [first]]
        maker.kill()
    wait_until(
        lambda: not Path(f"/proc/{first}").exists() and not Path(f"/proc/{unshare}").exists(),
        "both processes have ended",
    )
