"""The folder of the demo's files. Removing it removes the demo."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testkit.project import PROJECT


class DemoError(Exception):
    """The demo cannot continue. The message has the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFolder:
    """Folder of the demo's registries, mirrors file and Airflow."""

    path: Path

    @property
    def airflow_home(self) -> Path:
        return self.path / "airflow"

    @property
    def mirrors_file(self) -> Path:
        return self.path / "mirrors.yaml"

    @property
    def airflow_output(self) -> Path:
        """Airflow's output of the last run."""
        return self.path / "last-run.jsonl"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"

    def storage(self, registry: str) -> Path:
        return self.path / "registries" / registry

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Make the folder, and lock it for this process, because two demos would write to the same registries.

        :raises DemoError: when another demo is using it.
        """
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path=path.resolve())
        with (folder.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DemoError(f"another demo runs in {shown(path)}; end it first (make ui: with Ctrl-C)") from error
            folder._use_temporary()
            yield folder

    def _use_temporary(self) -> None:
        """Put temporary files below this folder, without those of a killed demo."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)


def shown(path: Path) -> str:
    """A path to show: relative to the project where it is inside."""
    path = path.resolve()
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
