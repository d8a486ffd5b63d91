"""Debian packages from this machine's sources.

Settings of apt and pip go into the images that tests build, and never into files of the project.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.stack.docker import CommandError, which

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
SUITE = "bookworm"

_MEMORY = Path("/dev/shm")
_NETWORK_SETTING = re.compile(r"cert|proxy|trusted-host|[a-z-]*-url")
"""Names of pip's settings that say how packages are reached."""


@contextmanager
def bootstrap(
    packages: Sequence[str], *options: str, log: Path, suite: str = SUITE, target: str = "-"
) -> Iterator[subprocess.Popen[bytes]]:
    """Install packages into a new file system, ``target``: a folder, or a tar that the process writes to ``stdout``.

    https://manpages.debian.org/bookworm/mmdebstrap/mmdebstrap.1.en.html

    :raises CommandError: at the block's end, for example when a package is missing.
    """
    settings = sorted(Path("/etc/apt/apt.conf.d").glob("9*"))
    command = [
        which("mmdebstrap"),
        f"--include={','.join(packages)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--aptopt={setting}" for setting in settings),
        *options,
        suite,
        target,
        "-",
    ]
    # thousands of small files: in memory if possible
    environment = {**os.environ, **({"TMPDIR": str(_MEMORY)} if _MEMORY.is_dir() else {})}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(_sources(suite).encode())
        process.stdin.close()
        yield process
    if process.returncode:
        raise CommandError(f"{' '.join(packages)} cannot be had:\n{log.read_text(errors='replace')[-8000:]}")


def _sources(suite: str) -> str:
    """Package sources of this machine for another suite, in either format of apt."""
    folder = Path("/etc/apt")
    files = (folder / "sources.list", *sorted((folder / "sources.list.d").glob("debian*")))
    text = "\n".join(file.read_text() for file in files if file.exists())
    return re.sub(r"\b(bookworm|trixie|forky|sid)\b", suite, text)


def pip_settings() -> str:
    """A pip.conf with the settings of this machine that say how packages are reached.

    ``pip config list`` prints lines such as ``:env:.cert='/a/file'`` and ``global.cert='/a/file'``.
    """
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = [line.partition("=") for line in said.stdout.splitlines()]
    named = {name.rpartition(".")[2]: value.strip("'") for name, _, value in pairs}
    lines = [f"{name} = {value}\n" for name, value in named.items() if _NETWORK_SETTING.fullmatch(name)]
    return "[global]\n" + "".join(lines)
