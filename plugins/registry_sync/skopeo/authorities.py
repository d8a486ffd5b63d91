"""The certificate authorities of this worker, each once, in one file for skopeo.

Go reads the bundle of the system, and then the files of its directories, which have the same authorities once or twice
more. With Debian's that takes 12 ms of CPU in each skopeo, 8 of them for what it has read before.

https://github.com/golang/go/blob/go1.24.0/src/crypto/x509/root_linux.go
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from registry_sync.worker.shared_directory import shared_directory

BUNDLES: Sequence[str] = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Bundles of authorities, of which Go reads the first that it can."""

DIRECTORIES: Sequence[str] = ("/etc/ssl/certs", "/etc/pki/tls/certs")
"""Directories of authorities. Go reads the files of both, but for links within a directory."""

_NO_DIRECTORY = "/nonexistent"

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def authority_variables(file: Path) -> Mapping[str, str]:
    """The variables by which Go reads the authorities of ``file``. It is written if it does not exist.

    Without authorities, and where the file cannot be written, there are none, and Go looks for authorities itself.
    """
    try:
        is_there = file.exists() or _write(file)
    except OSError:
        is_there = False
    return {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": _NO_DIRECTORY} if is_there else {}


def _write(file: Path) -> bool:
    """Write all authorities, and return whether there are any.

    The text is kept for the tasks of this machine, as long as no file changes: to join it takes 8 ms of CPU.
    """
    sources = [*_bundle(), *_files()]
    first_line = f"# {_state(sources)}\n".encode()
    shared = shared_directory()
    kept = shared / "authorities.pem" if shared else None
    text = _read(kept) if kept else b""
    if not text.startswith(first_line):
        text = first_line + _join(sources)
        if kept:
            _replace(kept, text)
    if text == first_line:
        return False
    _replace(file, text)
    return True


def _bundle() -> Iterator[str]:
    yield from [path for path in BUNDLES if os.access(path, os.R_OK)][:1]


def _files() -> Iterator[str]:
    for directory in DIRECTORIES:
        with suppress(OSError), os.scandir(directory) as entries:
            yield from sorted(entry.path for entry in entries if not _is_link_within(entry) and entry.is_file())


def _is_link_within(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is another name in its directory, as the names by hash are."""
    return entry.is_symlink() and len(Path(entry.path).readlink().parts) == 1


def _state(sources: Sequence[str]) -> str:
    """A text that changes with any of the files."""
    stats = ((path, Path(path).stat()) for path in sources)
    lines = (f"{path} {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in stats)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _join(sources: Sequence[str]) -> bytes:
    """The certificates of all files, each once. Files that cannot be read are left out, as Go does."""
    blocks = (block for path in sources for block in _CERTIFICATE.findall(_read(Path(path))))
    return b"".join(block + b"\n" for block in dict.fromkeys(blocks))


def _read(path: Path) -> bytes:
    """The content of a file; empty when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _replace(path: Path, text: bytes) -> None:
    """Write a file completely, or not at all. Other threads and containers may write the same one at this time."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
