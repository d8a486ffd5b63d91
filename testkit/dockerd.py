"""A Docker daemon for tests, with an image that holds this machine's skopeo."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from docker import APIClient

from testkit.kept_process import end, launch
from testkit.namespace import namespace_obstacle
from testkit.skipping import skip_or_fail
from testkit.waiting import PATIENCE_SECONDS

IMAGE = "skopeo-of-this-machine"

_DAEMON = """
set -eu
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$FOLDER/data"
exec dockerd --data-root="$FOLDER/data" --exec-root=/run/docker --pidfile=/run/docker.pid \
    --host="unix://$FOLDER/docker.sock" --bridge=none --iptables=false --ip6tables=false
"""
"""``/run`` is private, apart from other daemons. Containers have this machine's loopback (host) or no network."""


def require_dockerd() -> None:
    """Fail in CI, and skip elsewhere, where Docker cannot run."""
    skip_or_fail(
        namespace_obstacle(("dockerd", "ldd", "skopeo"), "drill-packages packages"),
        "skopeo cannot run in containers here",
    )


class Dockerd:
    """dockerd with all its files below one folder, from ``with`` to the block's end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dockerd-"))  # short, because a socket's path has at most 107 bytes
        self.url = f"unix://{self.folder / 'docker.sock'}"

    def __enter__(self) -> Self:
        (self.folder / "data").mkdir()
        with (self.folder / "log").open("wb") as log:
            self._process = launch(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _DAEMON],
                environment={"PATH": os.environ["PATH"], "FOLDER": str(self.folder)},
                folder=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_it_answers()
        return self

    def __exit__(self, *_: object) -> None:
        end([self._process])
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Stop the daemon from answering. It still takes connections, and its containers go on."""
        (pid,) = (child for child in _children(self._process.pid) if _program(child) == "dockerd")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def client(self) -> APIClient:
        return APIClient(base_url=self.url, version="auto")

    def load_skopeo(self) -> str:
        """Make an image of this machine's skopeo and its libraries, and return its name."""
        self.load(IMAGE, _skopeo_files())
        return IMAGE

    def load(self, image: str, files: Iterable[str]) -> None:
        """Make an image of this machine's files and a temporary directory."""
        client = self.client()
        try:
            client.import_image_from_data(_archive(files), repository=image, tag="latest")
        finally:
            client.close()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket(socket.AF_UNIX) as client:
                if client.connect_ex(self.url.removeprefix("unix://")) == 0:
                    self.client().close()
                    return
            time.sleep(0.1)
        said = (self.folder / "log").read_text(errors="replace")
        self.__exit__()
        raise TimeoutError(f"dockerd does not answer:\n{said[-4000:]}")


def _children(pid: int) -> list[int]:
    return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _skopeo_files() -> list[str]:
    binary = str(shutil.which("skopeo"))
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return [binary, *(word for word in linked.split() if word.startswith("/"))]


def _archive(files: Iterable[str]) -> bytes:
    """Archive for https://docs.docker.com/reference/cli/docker/image/import/."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for file in files:
            tar.add(file)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return archive.getvalue()
