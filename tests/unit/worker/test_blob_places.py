"""Places of blobs: shared, bounded, and never trusted when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_sync.worker.blob_places import BlobPlaces
from registry_sync.worker.shared_directory import shared_directory

DIGEST = f"sha256:{64 * 'a'}"
pytestmark = pytest.mark.usefixtures("own_temporary_directory")


def test_a_place_is_found_by_other_tasks_of_the_same_user_at_the_registry() -> None:
    BlobPlaces("r.example robot").note(DIGEST, "team/app")
    assert BlobPlaces("r.example robot").find(DIGEST) == "team/app"
    assert BlobPlaces("r.example other").find(DIGEST) is None
    assert BlobPlaces("r.example robot").find(f"sha256:{64 * 'b'}") is None


def test_the_file_does_not_grow(own_temporary_directory: Path) -> None:
    places = BlobPlaces("r.example")
    for number in range(500):
        places.note(f"sha256:{number:064}", f"team/app{number}")
    (file,) = own_temporary_directory.glob("*/blob_places")
    assert file.stat().st_size <= 16_384 * 256
    assert places.find(f"sha256:{499:064}") == "team/app499"


@pytest.mark.parametrize("name", ["", 300 * "a"])
def test_names_that_do_not_fit_are_not_kept(name: str) -> None:
    places = BlobPlaces("r.example")
    places.note(DIGEST, name)
    assert places.find(DIGEST) is None


def test_a_damaged_entry_is_no_place() -> None:
    places = BlobPlaces("r.example")
    places.note(DIGEST, "team/app")
    directory = shared_directory()
    assert directory is not None
    file = directory / "blob_places"
    file.write_bytes(file.read_bytes().replace(b"team/app", b"evil/app"))
    assert places.find(DIGEST) is None
    file.write_bytes(b"short")
    assert places.find(DIGEST) is None
