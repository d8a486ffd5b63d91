"""Write locks between threads and between processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry_sync.errors import TemporaryError
from registry_sync.worker.shared_directory import shared_directory
from registry_sync.worker.write_locks import WriteLocks
from testkit.waiting import PATIENCE_SECONDS

REPOSITORY = "registry.example/team/app"
pytestmark = pytest.mark.usefixtures("own_temporary_directory", "minimal_jitter")


def locks(repository: str = REPOSITORY) -> WriteLocks:
    """The locks of a separate task."""
    return WriteLocks(repository, lambda: None)


@pytest.mark.parametrize("is_one_task", [True, False])
def test_one_holder_at_a_time(is_one_task: bool) -> None:
    shared, counting, inside, most = locks(), threading.Lock(), 0, 0

    def work(number: int) -> None:
        nonlocal inside, most
        with (shared if is_one_task else locks()).acquire(["a", f"own-{number}"]):
            with counting:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with counting:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert most == 1


@pytest.mark.parametrize(
    ("repository", "names"), [(REPOSITORY, ["b", "c"]), ("registry.example/team/other", ["a"])], ids=["names", "repo"]
)
def test_other_names_and_repositories_do_not_wait(repository: str, names: list[str]) -> None:
    with locks().acquire(["a"]):
        with locks(repository).acquire(names):
            pass


def test_overlapping_locks_do_not_deadlock() -> None:
    """A waiting task holds no locks."""
    own = [locks() for _ in range(4)]

    def work(number: int) -> None:
        names = ["a", "b", "c", "d"]
        for turn in range(25):
            with own[number].acquire(random.sample(names, 1 + (number + turn) % 4)):
                pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4), timeout=PATIENCE_SECONDS))


def test_waiting_ends_with_the_task() -> None:
    def is_ended() -> None:
        raise TemporaryError("the task is being ended")

    with locks().acquire(["a"]):
        other = WriteLocks(REPOSITORY, is_ended)
        with pytest.raises(TemporaryError, match="the task is being ended"), other.acquire(["a"]):
            raise AssertionError("the lock was held by another task")
    with other.acquire(["a"]):
        pass


_HOLDER = """
import sys, time
from registry_sync.worker.write_locks import WriteLocks
with WriteLocks(sys.argv[1], lambda: None).acquire(sys.argv[2:]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(*names: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": tempfile.gettempdir()}
    command = [sys.executable, "-c", _HOLDER, REPOSITORY, *names]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def test_a_lock_of_another_process_is_released_when_it_is_killed() -> None:
    with another_process("a", "b") as process, ThreadPoolExecutor(1) as pool:

        def work() -> bool:
            with locks().acquire(["b"]):
                return True

        pending = pool.submit(work)
        time.sleep(0.2)
        assert not pending.done()
        process.send_signal(signal.SIGKILL)
        assert pending.result(timeout=PATIENCE_SECONDS)


def test_work_continues_without_a_lock_file(tmp_path: Path) -> None:
    """For example on a full disk: only the checks of the destination remain."""
    (tmp_path / f"registry_sync-{os.getuid()}").write_text("somebody was here first")
    assert shared_directory() is None
    with locks().acquire(["a"]), locks().acquire(["a"]):
        pass


def test_only_one_empty_file_remains(tmp_path: Path) -> None:
    with locks().acquire(map(str, range(1000))):
        pass
    directory = shared_directory()
    assert directory == tmp_path / f"registry_sync-{os.getuid()}"
    assert [(path.name, path.stat().st_size) for path in directory.iterdir()] == [("write_locks", 0)]


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """In a directory that others can write to, a link could point to any file of this user."""
    directory = shared_directory()
    assert directory is not None
    (directory / "write_locks").symlink_to(tmp_path / "elsewhere")
    with locks().acquire(["a"]):
        pass
    assert not (tmp_path / "elsewhere").exists()
