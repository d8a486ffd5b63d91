"""Runs a command until it ends, and then ends every process that is left below it.

::

    python keeper.py GRACE_SECONDS COMMAND [ARGUMENT...]

The command is ended, too, when this process is told to (SIGTERM, SIGINT) or when its standard input closes, as happens
when whoever started it dies in whatever way. Airflow's tasks make process groups of their own, so that a signal to a
group does not reach them; on Linux, orphans become children of the keeper instead of being lost.

It uses nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05


def main() -> int:
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    told, teller = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(teller, b"!"))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while process.poll() is None and not select.select([told, 0], [], [], POLL_SECONDS)[0]:
        pass
    _end(process, grace_seconds)
    while children := _children():
        for each in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    process.terminate()
    deadline = time.monotonic() + grace_seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()


def _children() -> list[int]:
    """Of this process, orphans included; whatever runs below them becomes ours when they are gone."""
    try:
        return [int(each) for each in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []  # there is no /proc here


if __name__ == "__main__":
    sys.exit(main())
