"""Processes that die with the one that started them, and not before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry_sync.skopeo.lifeline import kill_at_close
from testkit.waiting import wait_until

STARTER = """
import sys, time
from registry_sync.skopeo.local import SkopeoProcess
running = [SkopeoProcess(["/bin/sleep", "60"], {}) for _ in range(2)]
print(*(each._process.pid for each in running), flush=True)
time.sleep(60)
"""


def sleeper(reading_end: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "60"], pass_fds=(reading_end,))


def test_a_process_is_killed_when_the_pipe_is_closed() -> None:
    reading_end, writing_end = os.pipe()
    process = sleeper(reading_end)
    kill_at_close(reading_end, process.pid)
    os.close(reading_end)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    os.close(writing_end)
    assert process.wait(10) == -signal.SIGKILL


def test_a_process_that_is_gone_does_no_harm() -> None:
    reading_end, writing_end = os.pipe()
    process = sleeper(reading_end)
    process.kill()
    process.wait()
    kill_at_close(reading_end, process.pid)
    os.close(writing_end)
    os.close(reading_end)


def test_all_processes_die_with_the_one_that_started_them() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    starter = subprocess.Popen([sys.executable, "-c", STARTER], env=environment, stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert all(map(is_running, pids))
    starter.kill()
    starter.communicate()
    wait_until(lambda: not any(map(is_running, pids)), "both are gone")


def is_running(pid: int) -> bool:
    """Return whether a process runs. One that nobody has waited for remains as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
