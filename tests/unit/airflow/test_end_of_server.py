"""What waits is stored when a real uvicorn ends, in each of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import requests

from testkit.loopback import LOOPBACK, free_port
from testkit.waiting import PATIENCE_SECONDS
from tests.unit.airflow import served_receiver


@contextmanager
def uvicorn(workers: int, stored: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{served_receiver.__name__}:app", f"--workers={workers}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), served_receiver.STORED: str(stored)}
    process = subprocess.Popen([*command, f"--port={port}", "--log-level=warning"], env=environment)
    try:
        yield process, f"http://{LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(address: str) -> str:
    """Ask by a new connection, which any of the processes may take."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, timeout=PATIENCE_SECONDS).text


def wait_for_processes(number: int, url: str) -> None:
    deadline, found = monotonic() + PATIENCE_SECONDS, set[str]()
    while len(found) < number:
        assert monotonic() < deadline
        try:
            found.add(ask(url))
        except requests.ConnectionError:
            sleep(0.1)


def test_what_waits_is_stored_when_the_server_ends(tmp_path: Path) -> None:
    """The first push of each process is stored at once, and the others wait for two seconds."""
    stored, tags = tmp_path / "stored", [f"v{number}" for number in range(20)]
    with uvicorn(2, stored) as (process, url):
        wait_for_processes(2, url)
        assert [ask(f"{url}/{tag}") for tag in tags] == 20 * ["accepted"]
        process.terminate()
        process.wait()
    assert sorted(stored.read_text().split()) == sorted(tags)
