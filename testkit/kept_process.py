"""Processes that end, with everything below them, when this one does."""

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
    """Start ``command`` below a keeper, which is the process that is returned; its exit code is the command's.

    It has a session of its own: Ctrl-C is for the caller to act on, and does not reach it by itself.
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
    """End what :func:`launch` returned, with everything below, and wait for it."""
    processes = list(processes)
    for each in processes:  # all before the first is waited for, so that they go down together
        if each.poll() is None:
            each.terminate()
    for each in processes:
        each.wait()
        for pipe in (each.stdout, each.stderr):
            if pipe:
                pipe.close()


@cache
def _lifeline() -> int:
    """The reading end of a pipe that nobody writes to: it closes when this process ends, in whatever way."""
    reading, _ = os.pipe()
    return reading
