"""CPU and memory of the parts of an Airflow on this machine, read from ``/proc``."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.processes import process_tree
from testkit.airflow import LocalAirflow

SAMPLE_SECONDS = 2.0

SCHEDULER, API = "scheduler, workers and tasks", "API servers"
"""Parts whose memory is measured as one, beside the components ``dag-processor`` and ``triggerer``."""

TASKS, SUPERVISORS, LOOP = "tasks", "their supervisors", "scheduler"
"""The parts that the CPU of :data:`SCHEDULER` is divided into."""

_PARTS: Mapping[str, str] = {"scheduler": SCHEDULER, "api-server": API, "execution-api": API}

_SUPERVISOR = b"airflow worker -- LocalExecutor"
"""The beginning of the title of a process that forks tasks, one after the other, and talks to the API for them."""


@dataclass(kw_only=True)
class Costs:
    """CPU and memory of the parts of an Airflow from ``with`` to the end of the block.

    :ivar peaks: peak memory of each part in megabytes, with shared pages counted once (PSS).
    :ivar peak_megabytes: peak of all parts together.
    :ivar cpu: seconds of CPU of each part, with its ended children; of :data:`TASKS`, :data:`SUPERVISORS` and
        :data:`LOOP` in place of :data:`SCHEDULER`.
    """

    airflow: LocalAirflow
    peaks: Counter[str] = field(default_factory=Counter)
    peak_megabytes: int = 0
    cpu: Mapping[str, float] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._before = cpu_seconds(self.airflow)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        after = cpu_seconds(self.airflow)
        self.cpu = {part: seconds - self._before[part] for part, seconds in after.items()}
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            now = Counter[str]()
            for part, pid in _processes(self.airflow):
                now[part] += _megabytes(pid)
            self.peaks |= now
            self.peak_megabytes = max(self.peak_megabytes, now.total())


def cpu_seconds(airflow: LocalAirflow) -> Mapping[str, float]:
    """Seconds of CPU of each part so far. A process has those of its children once they have ended."""
    seconds = defaultdict[str, float](float)
    for part, pid in _processes(airflow):
        with suppress(OSError):  # it has ended meanwhile
            own, of_children = _cpu(pid)
            of_parts = _parts_of_scheduler(pid) if part == SCHEDULER else (part, part)
            for name, spent in zip(of_parts, (own, of_children), strict=True):
                seconds[name] += spent
    return seconds


def _cpu(pid: int) -> tuple[float, float]:
    """The seconds of CPU of a process, and of its ended children."""
    # Behind the name in parentheses: utime, stime, cutime and cstime of proc(5), in ticks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, child_user, child_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, child_user + child_system


def _parts_of_scheduler(pid: int) -> tuple[str, str]:
    """The parts that the CPU of a process of the scheduler belongs to: its own, and that of its ended children."""
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    if title.startswith(_SUPERVISOR):
        return SUPERVISORS, TASKS
    return (TASKS, TASKS) if title.startswith(b"airflow worker") else (LOOP, LOOP)


def _processes(airflow: LocalAirflow) -> Iterator[tuple[str, int]]:
    for component, root in airflow.pids.items():
        for pid in process_tree(root):
            yield _PARTS.get(component, component), pid


def _megabytes(pid: int) -> int:
    with suppress(OSError, StopIteration):  # it has ended meanwhile
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) // 1024
    return 0
