"""The certificate authorities of this worker, each once, in one file for skopeo.

Go reads the bundle of the system, and then the files of its directories, which have the same authorities once or twice
more. With Debian's that takes 12 ms of CPU in each skopeo, 8 of them for what it has read before.

https://github.com/golang/go/blob/go1.24.0/src/crypto/x509/root_linux.go
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from registry_sync.worker.kept_results import kept_result, read_if_possible, replace_file

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
    """Write all authorities, and return whether there are any. To join them takes 8 ms of CPU."""
    sources = [*_bundle(), *_files()]
    certificates = kept_result("authorities.pem", sources, lambda: _join(sources))
    if not certificates:
        return False
    replace_file(file, certificates)
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


def _join(sources: Sequence[str]) -> bytes:
    """The certificates of all files, each once. Files that cannot be read are left out, as Go does."""
    blocks = (block for path in sources for block in _CERTIFICATE.findall(read_if_possible(Path(path))))
    return b"".join(block + b"\n" for block in dict.fromkeys(blocks))
