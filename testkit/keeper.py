"""Run a command until it ends, and then end every process below it.

::

    python keeper.py GRACE_SECONDS COMMAND [ARGUMENT...]

The command is ended, too, on SIGTERM and SIGINT, and when standard input closes because the parent died. Airflow's
tasks have process groups of their own, which a signal to the command's group does not reach. On Linux, orphans become
children of the keeper.

It uses only the standard library, so it starts at once.
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
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    process.terminate()
    deadline = time.monotonic() + grace_seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()


def _children() -> list[int]:
    """Children of this process, including orphans. Their children become ours when they end."""
    try:
        return [int(part) for part in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []  # this system has no /proc


if __name__ == "__main__":
    sys.exit(main())
