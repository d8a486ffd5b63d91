"""Commands and everything that they start: wall time, CPU time, memory and exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

SAMPLE_SECONDS = 0.02
"""Interval at which memory is read. A shorter peak is not seen."""

_PAGE_MEGABYTES = os.sysconf("SC_PAGE_SIZE") / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Costs of commands with all processes that they started.

    :ivar cpu_seconds: of all processes that were waited for, as those of a command that ends by itself are.
    :ivar peak_megabytes: resident memory of all processes at one time, as sampled.
    :ivar exit_code: of the first command that failed; 0 when none did.
    :ivar is_stopped: the time limit was over, and the commands were killed.
    :ivar output: of the first command that failed, its end.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    exit_code: int = 0
    is_stopped: bool = False
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Surroundings of a command: its folder, its environment, and the monotonic time when it is killed."""

    folder: Path
    environment: Mapping[str, str]
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    cpu_seconds: float = 0.0
    exit_code: int = 0
    is_stopped: bool = False
    output: str = ""


def measure(
    commands: Sequence[Sequence[str]],
    *,
    folder: Path,
    environment: Mapping[str, str],
    at_once: int = 1,
    limit_seconds: float,
) -> Cost:
    """Run commands, ``at_once`` at a time. After ``limit_seconds`` they are killed, and no further one starts."""
    began = time.monotonic()
    place = Place(folder=folder, environment=environment, deadline=began + limit_seconds)
    with _Memory() as memory, ThreadPoolExecutor(at_once) as pool:
        ends = list(pool.map(partial(_run, place, memory), commands))
    failed = next((end for end in ends if end.exit_code), _End())
    return Cost(
        wall_seconds=time.monotonic() - began,
        cpu_seconds=sum(end.cpu_seconds for end in ends),
        peak_megabytes=memory.peak_megabytes,
        exit_code=failed.exit_code,
        is_stopped=any(end.is_stopped for end in ends),
        output=failed.output,
    )


def _run(place: Place, memory: _Memory, command: Sequence[str]) -> _End:
    """Run one command in a process group of its own."""
    if time.monotonic() >= place.deadline:
        return _End(is_stopped=True)
    output = place.folder / f"output-{threading.get_ident()}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with memory.watching(process.pid):
        is_stopped = _wait(process.pid, place.deadline)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return _End(
        cpu_seconds=used.ru_utime + used.ru_stime,
        exit_code=process.returncode,
        is_stopped=is_stopped,
        output=output.read_text(errors="replace")[-2000:].strip() if process.returncode else "",
    )


def _wait(pid: int, deadline: float) -> bool:
    """Wait for a process without collecting it, so its group keeps its number. Returns whether it was killed."""
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        os.killpg(pid, signal.SIGKILL)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), stop)
    timer.start()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    timer.cancel()
    timer.join()
    return stopped.is_set()


@dataclass(kw_only=True)
class _Memory:
    """Samples the resident memory of processes and of what they started."""

    peak_megabytes: float = 0.0
    _roots: set[int] = field(default_factory=set)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def watching(self, pid: int) -> _Watched:
        return _Watched(self._roots, pid)

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            now = sum(_megabytes(pid) for root in tuple(self._roots) for pid in process_tree(root))
            self.peak_megabytes = max(self.peak_megabytes, now)


@dataclass(frozen=True, slots=True)
class _Watched:
    roots: set[int]
    pid: int

    def __enter__(self) -> None:
        self.roots.add(self.pid)

    def __exit__(self, *_: object) -> None:
        self.roots.discard(self.pid)


def process_tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    with suppress(OSError):  # it has ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from process_tree(int(child))


def _megabytes(pid: int) -> float:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MEGABYTES
    return 0.0
