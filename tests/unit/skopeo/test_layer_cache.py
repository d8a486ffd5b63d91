"""The place of skopeo's cache of layers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from registry_sync.skopeo import layer_cache as cache
from registry_sync.skopeo.layer_cache import layer_cache
from registry_sync.worker import shared_directory


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system in memory; the temporary directory is beside it."""
    directories = tmp_path / "memory", tmp_path / "disk"
    for directory in directories:
        directory.mkdir()
    monkeypatch.setattr(shared_directory, "MEMORY", directories[0])
    monkeypatch.setattr(tempfile, "tempdir", str(directories[1]))
    return directories[0]


def own(parent: Path) -> Path:
    return parent / f"registry_sync-{os.getuid()}"


def test_it_is_in_memory_and_private(memory: Path) -> None:
    assert [layer_cache(), layer_cache()] == [own(memory), own(memory)]
    assert own(memory).stat().st_mode & 0o777 == 0o700
    assert not own(memory.with_name("disk")).exists()


@pytest.mark.parametrize("lack", ["no memory", "little is free", "another user's"])
def test_it_is_on_disk_where_memory_cannot_be_used(memory: Path, monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    match lack:
        case "no memory":
            memory.rmdir()
        case "little is free":
            monkeypatch.setattr(cache, "_NEEDED_BYTES", 1 << 62)
        case _:
            own(memory).mkdir(mode=0o700)
            own(memory).chmod(0o770)
    assert layer_cache() == own(memory.with_name("disk"))


@pytest.mark.parametrize(("sizes", "kept"), [((40, 60), 2), ((40, 61), 0), ((101,), 0), ((), 0)])
def test_a_large_cache_is_begun_anew(
    memory: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], kept: int
) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 100)
    folder = own(memory) / "containers" / "cache"
    folder.mkdir(parents=True)
    own(memory).chmod(0o700)
    for number, size in enumerate(sizes):
        (folder / f"blob-info-cache-v{number}.boltdb").write_bytes(b"x" * size)
    layer_cache()
    assert len(list(folder.iterdir())) == kept
