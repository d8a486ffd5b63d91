"""``python -m bench.load``: many routes, many tags and many mirrors at once, through a real Airflow; prints Markdown.

``--write`` puts the tables into ``docs/reliability.md``. All tags are in sync, between two stand-ins of Quay on
loopback, so that the figures are what mirroring costs by itself, without the transfer of any image.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from bench.clients import NOON, plan, registry, route
from registry_sync.oci.reference import Digest
from testkit.airflow import LocalAirflow
from testkit.page_block import PageBlock
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess

BLOCK = PageBlock(page="reliability.md", command="python -m bench.load --write")
LONGEST_RUN_SECONDS = 3600
SAMPLE_SECONDS = 2.0


@dataclass(kw_only=True)
class Memory:
    """Peak memory (PSS) of each part of an Airflow in megabytes, from ``with`` to the block's end."""

    airflow: LocalAirflow
    peaks: Counter[str] = field(default_factory=Counter)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            now: Counter[str] = Counter()
            for part, megabytes in _parts(self.airflow):
                now[part] += megabytes
            self.peaks |= now


def _parts(airflow: LocalAirflow) -> Iterator[tuple[str, int]]:
    """Part and megabytes of each process of an Airflow."""
    for component, root in airflow.pids.items():
        part = _PARTS.get(component, component)
        for pid in _tree(root):
            with suppress(OSError, StopIteration):  # it has ended meanwhile
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                yield part, next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) // 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _tree(int(child))


_PARTS: Mapping[str, str] = {
    "scheduler": "scheduler, workers and tasks",
    "api-server": "API servers",
    "execution-api": "API servers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Figures of several runs at once."""

    mirrors: int
    routes: int
    tags: int
    states: Mapping[str, int]
    seconds: float
    database_megabytes: float
    requests: int
    peaks: Mapping[str, int]

    @property
    def tasks(self) -> int:
        return self.mirrors * (self.routes + 2)


@contextmanager
def stand_ins(names: Sequence[str], tags: int) -> Iterator[tuple[QuayApi, QuayApi]]:
    """Two registries that list the same tags with the same digests."""
    with RegistryProcess() as empty, QuayApi(empty.url) as here, QuayApi(empty.url) as there:
        for name in names:
            for number in range(tags):
                digest = Digest.of(f"{name} {number}".encode())
                for api in (here, there):
                    api.push(name, f"v{number}", NOON - timedelta(hours=number), digest)
        yield here, there


def through_airflow(mirrors: int, routes: int, tags: int, folder: Path) -> Load:
    """Runs of all mirrors, triggered at the same time."""
    names = {
        f"m{mirror:02}": [f"acme/m{mirror:02}-app{each:04}" for each in range(routes)] for mirror in range(mirrors)
    }
    with stand_ins([name for each in names.values() for name in each], tags) as (here, there):
        file = folder / "mirrors.yaml"
        file.write_text(json.dumps(_mirrors_file(names, here, there)))
        settings = {
            "AIRFLOW__CORE__MAX_MAP_LENGTH": "2000",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        airflow = LocalAirflow(folder / "home", mirrors_file=file, settings=settings)
        with airflow, Memory(airflow=airflow) as memory:
            for name in names:
                airflow.api.wait_for_dag(f"mirror_{name}", seconds=300)
            before, began = _database_bytes(airflow), time.monotonic()
            runs = {f"mirror_{name}": airflow.api.trigger(f"mirror_{name}") for name in names}
            states = Counter(
                airflow.api.wait_for_run(dag_id, run_id, seconds=LONGEST_RUN_SECONDS)["state"]
                for dag_id, run_id in runs.items()
            )
            seconds = time.monotonic() - began
            grown = _database_bytes(airflow) - before
        return Load(
            mirrors=mirrors,
            routes=routes,
            tags=tags,
            states=states,
            seconds=seconds,
            database_megabytes=grown / 1_000_000,
            requests=len(here.requests()) + len(there.requests()),
            peaks=memory.peaks,
        )


def _mirrors_file(names: Mapping[str, Sequence[str]], here: QuayApi, there: QuayApi) -> dict[str, Any]:
    registries = {
        name: {"host": api.host, "kind": "quay", "api_url": api.url, "tls": False}
        for name, api in (("here", here), ("there", there))
    }
    mirrors = {
        name: {"source": "here", "destinations": ["there"], "repositories": list(each)} for name, each in names.items()
    }
    return {"registries": registries, "mirrors": mirrors}


def _database_bytes(airflow: LocalAirflow) -> int:
    return sum(each.stat().st_size for each in airflow.home.glob("airflow.db*"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Big:
    """One repository with many tags, all in sync: what a task over it takes."""

    tags: int
    requests: int
    cpu_seconds: float
    peak_megabytes: float
    idle_megabytes: float


def one_repository(tags: int) -> Big:
    """A pass over a repository of ``tags`` tags in its own process."""
    with stand_ins(["acme/big"], tags) as (here, there):
        work = route(registry("quay", here.host, here.url), registry("quay", there.host, there.url), "acme/big")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            idle, peak, seconds = pool.apply(_pass, (work,))
        requests = len(here.requests()) + len(there.requests())
        return Big(tags=tags, requests=requests, cpu_seconds=seconds, peak_megabytes=peak, idle_megabytes=idle)


def _pass(work: Any) -> tuple[float, float, float]:
    """Megabytes before and at the peak, and seconds of CPU."""
    idle, began = _own_megabytes(), time.process_time()
    copies = plan(work)
    if copies:
        raise RuntimeError(f"{copies} tags are to be copied although all are in sync")
    return idle, _own_megabytes(), time.process_time() - began


def _own_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_LOAD_HEADINGS = (
    *("mirrors at once", "routes each", "tags each", "tasks", "ended as", "seconds", "tasks per second", "requests"),
    *("database grew", "scheduler, workers, tasks", "API servers", "DAG processor", "triggerer"),
)


def render(loads: Sequence[Load], bigs: Sequence[Big]) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {' | '.join(_LOAD_HEADINGS)} |",
        f"|{'---|' * len(_LOAD_HEADINGS)}",
        *map(_load_row, loads),
        "",
        "| tags in one repository | requests | CPU seconds | memory before | memory at the most |",
        "|---|---|---|---|---|",
    ]
    for each in bigs:
        memory = (f"{each.idle_megabytes:.0f} MB", f"{each.peak_megabytes:.0f} MB")
        lines.append(f"| {' | '.join((f'{each.tags:,}', str(each.requests), f'{each.cpu_seconds:.1f}', *memory))} |")
    return "\n".join(lines)


def _load_row(load: Load) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(load.states.items()))
    shape = (str(load.mirrors), f"{load.routes:,}", str(load.tags), f"{load.tasks:,}", states)
    speed = (f"{load.seconds:.0f}", f"{load.tasks / load.seconds:.1f}", f"{load.requests:,}")
    parts = ("scheduler, workers and tasks", "API servers", "dag-processor", "triggerer")
    memory = (f"{load.database_megabytes:.1f} MB", *(f"{load.peaks.get(each, 0)} MB" for each in parts))
    return f"| {' | '.join((*shape, *speed, *memory))} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--routes", type=int, default=1000, help="of the first run (1000)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {BLOCK.page}")
    arguments = parser.parse_args()
    loads = []
    for mirrors, routes, tags in ((1, arguments.routes, 100), (20, 10, 10)):
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            loads.append(through_airflow(mirrors, routes, tags, Path(folder)))
    text = render(loads, [one_repository(count) for count in (100, 10_000)])
    print(text)
    if arguments.write:
        BLOCK.write(text)


if __name__ == "__main__":
    main()
