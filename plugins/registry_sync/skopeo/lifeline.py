"""A pipe that binds another process to this one: when this one ends, however it ends, the kernel kills the other.

The other process has the reading end of the pipe, to which nothing is written. When no process has the writing end any
more, the kernel sends the signal that was chosen by ``F_SETSIG`` of fcntl(2). Unlike ``PR_SET_PDEATHSIG`` this is set
from outside: it needs neither a program that starts the other one, nor code between fork and exec, which is not safe
with threads.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress

IS_SUPPORTED = hasattr(fcntl, "F_SETSIG")
"""False on systems other than Linux."""


def kill_at_close(reading_end: int, pid: int) -> None:
    """Have a process killed when the writing end of a pipe is closed. Where that is not possible, do nothing.

    :param reading_end: a descriptor of the pipe, which the process has as well.
    """
    if IS_SUPPORTED:
        with suppress(OSError):
            fcntl.fcntl(reading_end, fcntl.F_SETOWN, pid)
            fcntl.fcntl(reading_end, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(reading_end, fcntl.F_SETFL, os.O_ASYNC)
