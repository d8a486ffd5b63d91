"""Directories for secrets: ownership and removal."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from registry_sync.errors import TemporaryError
from registry_sync.worker.private_directory import PREFIX, private_directory, remove_abandoned
from registry_sync.worker.shared_directory import shared_directory

pytestmark = pytest.mark.usefixtures("own_temporary_directory")


def test_the_directory_is_private_and_removed_after_the_block(tmp_path: Path) -> None:
    with private_directory() as directory:
        assert directory.parent == tmp_path
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "secret").write_text("hunter2")
    assert list(tmp_path.iterdir()) == []


_OWNER = """
import subprocess, sys
from registry_sync.errors import TemporaryError
from registry_sync.worker.private_directory import private_directory
with private_directory() as directory:
    (directory / "secret").write_text("hunter2")
    print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL).pid, flush=True)
    sys.stdin.read()
"""


def test_the_directory_is_kept_while_its_owner_lives_and_removed_after_a_kill(tmp_path: Path) -> None:
    """A child process that outlives the owner does not keep it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _OWNER], env=environment, stdin=pipe, stdout=pipe) as owner:
        try:
            assert owner.stdout is not None
            child = int(owner.stdout.readline())
            (directory,) = tmp_path.iterdir()
            remove_abandoned()
            assert (directory / "secret").exists()
        finally:
            owner.kill()
    try:
        with private_directory() as ours:
            assert list(tmp_path.iterdir()) == [ours]
    finally:
        os.kill(child, 9)


def test_other_files_are_not_removed(tmp_path: Path) -> None:
    others = [f"registry_sync-{os.getuid()}", "registry_sync-backup", "other"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / f"{PREFIX}file").write_text("not a directory")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    remove_abandoned()
    assert {path.name for path in tmp_path.iterdir()} == {*others, "elsewhere", f"{PREFIX}file", f"{PREFIX}link"}
    assert (elsewhere / "file").exists()


def test_concurrent_owners_keep_their_directories(tmp_path: Path) -> None:
    """Each removes abandoned ones while others have made theirs, but not locked it yet."""

    def work(_: int) -> bool:
        with private_directory() as directory:
            (directory / "file").touch()
            remove_abandoned()
            return (directory / "file").exists()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert list(tmp_path.iterdir()) == []


def test_a_process_may_have_several_directories(tmp_path: Path) -> None:
    with ExitStack() as stack:
        directories = {stack.enter_context(private_directory()) for _ in range(3)}
        assert set(tmp_path.iterdir()) == directories


def test_a_full_disk_is_a_temporary_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks for a writable directory on first use, and finds none when all are full or read-only."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "gone")])
    with pytest.raises(TemporaryError) as caught, private_directory():
        raise AssertionError("there was a place")
    assert str(caught.value) == (
        "this worker's temporary directory cannot be written to: [Errno 2] No usable temporary directory found in "
        f"{[str(tmp_path / 'gone')]}"
    )
    assert shared_directory() is None
