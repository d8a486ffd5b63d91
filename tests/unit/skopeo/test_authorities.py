"""The authorities of a worker in one file. That skopeo accepts them is in tests/integration/test_skopeo.py."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from registry_sync.skopeo import authorities
from registry_sync.skopeo.authorities import authority_variables
from registry_sync.worker.shared_directory import shared_directory


def certificate(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


A, B, C, D = map(certificate, "ABCD")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the places of authorities: two bundles, and two directories."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    monkeypatch.setattr(authorities, "BUNDLES", [str(one / "bundle.crt"), str(two / "other.crt")])
    monkeypatch.setattr(authorities, "DIRECTORIES", [str(one), str(two), str(tmp_path / "none")])
    return tmp_path


def found(system: Path, name: str = "found.pem") -> str:
    """The certificates of the file that is written."""
    file = system / name
    assert authority_variables(file) == variables(file)
    return file.read_text()


def variables(file: Path) -> Mapping[str, str]:
    return {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": "/nonexistent"}


def test_each_authority_is_written_once(system: Path) -> None:
    (system / "one/bundle.crt").write_text(f"# comment\n{A}{B}")
    (system / "one/a.pem").write_text(A)
    (system / "one/c.pem").write_text(C)
    (system / "two/d.pem").write_text(f"no certificate\n{D}{B}")
    assert found(system) == A + B + C + D


def test_links_lead_out_of_a_directory_and_not_within_it(system: Path) -> None:
    (system / "elsewhere.pem").write_text(A)
    (system / "one/a.pem").symlink_to(system / "elsewhere.pem")
    (system / "one/0123abcd.0").symlink_to("a.pem")
    (system / "one/lost.pem").symlink_to(system / "gone.pem")
    (system / "one/folder").mkdir()
    assert found(system) == A


def test_a_second_bundle_counts_only_without_the_first(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "DIRECTORIES", [])
    (system / "two/other.crt").write_text(B)
    assert found(system, "second.pem") == B
    (system / "one/bundle.crt").write_text(A)
    assert found(system, "first.pem") == A


def test_the_text_is_kept_until_a_file_changes(system: Path) -> None:
    shared = shared_directory()
    assert shared
    kept, source = shared / "authorities.pem", system / "one/a.pem"
    source.write_text(A)
    assert found(system, "1.pem") == A
    kept.write_text(kept.read_text() + C)
    assert found(system, "2.pem") == A + C, "the kept text is used"
    source.write_text(B)
    os.utime(source, ns=(1, 1))
    assert found(system, "3.pem") == B
    (system / "two/d.pem").write_text(D)
    assert found(system, "4.pem") == B + D


def test_a_file_that_exists_is_not_written_again(system: Path) -> None:
    (system / "one/a.pem").write_text(A)
    assert found(system) == A
    (system / "one/a.pem").write_text(B)
    assert found(system) == A


def test_several_threads_write_at_the_same_time(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    (system / "one/a.pem").write_text(A * 1000 + B)
    shared, begin = shared_directory(), Barrier(8)
    assert shared

    def write(number: int) -> str:
        begin.wait()
        return found(system, f"{number}.pem")

    with ThreadPoolExecutor(8) as pool:
        for start in range(0, 240, 8):
            (shared / "authorities.pem").unlink(missing_ok=True)
            assert list(pool.map(write, range(start, start + 8))) == 8 * [A + B]
    assert [path.name for path in shared.iterdir()] == ["authorities.pem"]


@pytest.mark.parametrize("content", ["", "no certificate\n", "-----BEGIN TRUSTED CERTIFICATE-----\n"])
def test_without_authorities_go_looks_for_them(system: Path, content: str) -> None:
    (system / "one/bundle.crt").write_text(content)
    for _ in range(2):
        assert authority_variables(system / "found.pem") == {}
        assert not (system / "found.pem").exists()


def test_where_nothing_can_be_written_go_looks_for_them(system: Path) -> None:
    (system / "one/a.pem").write_text(A)
    assert authority_variables(system / "gone/found.pem") == {}


def test_without_a_shared_directory_nothing_is_kept(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    (system / f"registry_sync-{os.getuid()}").touch()
    (system / "one/a.pem").write_text(A)
    assert found(system) == A
