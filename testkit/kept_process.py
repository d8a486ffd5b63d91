"""Processes that end with this one, with all their children."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

KEEPER = Path(__file__).with_name("keeper.py")
STOP_GRACE_SECONDS = 3.0


def launch(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` below a keeper, and return the keeper. Its exit code is the command's.

    The keeper has its own session, so Ctrl-C reaches the caller only.
    """
    return subprocess.Popen(
        [sys.executable, "-ISs", str(KEEPER), str(STOP_GRACE_SECONDS), *command],
        stdin=_lifeline(),
        stdout=stdout,
        stderr=stderr,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )


def end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes of :func:`launch` with their children, and wait for them."""
    processes = list(processes)
    for process in processes:  # signal all before waiting, so they end at the same time
        if process.poll() is None:
            process.terminate()
    for each in processes:
        each.wait()
        for pipe in (each.stdout, each.stderr):
            if pipe:
                pipe.close()


@cache
def _lifeline() -> int:
    """Reading end of a pipe without a writer. It closes when this process ends, however that happens."""
    reading, _ = os.pipe()
    return reading
