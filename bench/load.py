"""``python -m bench.load``: many routes, many tags and many mirrors at once, through a real Airflow; prints Markdown.

``--write`` puts the tables into ``docs/reliability.md``. All tags are in sync, between two stand-ins of Quay on
loopback, so that the figures are what mirroring costs by itself, without the transfer of any image.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.airflow_costs import API, LOOP, SCHEDULER, SUPERVISORS, TASKS, Costs
from bench.clients import NOON, plan, registry, route
from registry_sync.oci.reference import Digest
from testkit.airflow import LocalAirflow
from testkit.airflow_api import FINISHED
from testkit.page_block import PageBlock
from testkit.project import PROJECT
from testkit.quay_api import QuayApi
from testkit.registry import RegistryProcess

BLOCK = PageBlock(page="reliability.md", command="python -m bench.load --write")
LONGEST_RUN_SECONDS = 3600
POLL_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Figures of several runs at once. Without ``mirrors``, its tasks do nothing: that is Airflow's own share.

    ``name`` says what the tasks do.
    """

    name: str
    mirrors: int
    routes: int
    tags: int
    states: Mapping[str, int]
    seconds: float
    database_megabytes: float
    requests: int
    costs: Costs

    @property
    def tasks(self) -> int:
        return self.mirrors * (self.routes + 3) or self.routes + 1

    @property
    def all_routes(self) -> int:
        return max(self.mirrors, 1) * self.routes

    def cpu_ms_per_route(self, *parts: str) -> float:
        return 1000 * sum(self.costs.cpu[part] for part in parts) / self.all_routes


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


def through_airflow(mirrors: int, routes: int, tags: int, folder: Path) -> list[Load]:
    """A run of as many tasks that do nothing, then two runs of each mirror, those of all triggered at the same time."""
    names = {
        f"m{mirror:02}": [f"acme/m{mirror:02}-app{number:04}" for number in range(routes)] for mirror in range(mirrors)
    }
    with stand_ins([name for listed in names.values() for name in listed], tags) as (here, there):
        file = folder / "mirrors.yaml"
        file.write_text(json.dumps(_mirrors_file(names, here, there)))
        with LocalAirflow(folder / "home", dags=_dags(folder), mirrors_file=file, settings=_SETTINGS) as airflow:
            count = mirrors * routes
            loads = [Load(name=FLOOR, mirrors=0, routes=count, tags=0, requests=0, **_run(airflow, ["floor"], count))]
            for name in (FIRST, LATER):
                before = len(here.requests()) + len(there.requests())
                measured = _run(airflow, [f"mirror_{name}" for name in names])
                requests = len(here.requests()) + len(there.requests()) - before
                loads.append(Load(name=name, mirrors=mirrors, routes=routes, tags=tags, requests=requests, **measured))
    return loads


FLOOR, FIRST, LATER = "tasks that do nothing", "first run", "later run"
"""The first run of a mirror stores what is known about its tags. A later one, as most runs, finds them the same."""


_SETTINGS: Mapping[str, str] = {
    "AIRFLOW__CORE__MAX_MAP_LENGTH": "5000",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "PYTHONDONTWRITEBYTECODE": "",  # as in production
}

_FLOOR = """
from airflow.sdk import DAG, Param, task

with DAG("floor", params={"tasks": Param(1, type="integer")}):

    @task
    def numbers(params):
        return list(range(params["tasks"]))

    @task
    def nothing(number):
        pass

    nothing.expand(number=numbers())
"""


def _dags(folder: Path) -> Path:
    """The project's DAG files, with one whose mapped task does nothing."""
    dags = folder / "dags"
    shutil.copytree(PROJECT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "floor.py").write_text(_FLOOR)
    return dags


def _run(airflow: LocalAirflow, dag_ids: Sequence[str], tasks: int | None = None) -> dict[str, Any]:
    """Trigger the DAGs at the same time, and measure until all have ended."""
    for dag_id in dag_ids:
        airflow.api.wait_for_dag(dag_id, seconds=300)
    before = _database_bytes(airflow)
    with Costs(airflow=airflow) as costs:
        for dag_id in dag_ids:
            airflow.api.trigger(dag_id, {"tasks": tasks} if tasks else None)
        runs = [_wait_for_end(airflow, dag_id) for dag_id in dag_ids]
    begin, end = (
        compare(_time(run, name) for run in runs) for compare, name in ((min, "queued_at"), (max, "end_date"))
    )
    return {
        "states": Counter(run["state"] for run in runs),
        "seconds": (end - begin).total_seconds(),
        "database_megabytes": (_database_bytes(airflow) - before) / 1_000_000,
        "costs": costs,
    }


def _wait_for_end(airflow: LocalAirflow, dag_id: str) -> dict[str, Any]:
    """Wait for the only run of a DAG.

    The details of a run with a thousand tasks cost the API server a tenth of a second, the list of runs little.
    """
    deadline = time.monotonic() + LONGEST_RUN_SECONDS
    while (run := airflow.api.dag_runs(dag_id)[-1])["state"] not in FINISHED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{dag_id} did not end in {LONGEST_RUN_SECONDS} seconds")
        time.sleep(POLL_SECONDS)
    return run


def _time(run: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(run[name])


def _mirrors_file(names: Mapping[str, Sequence[str]], here: QuayApi, there: QuayApi) -> dict[str, Any]:
    registries = {
        name: {
            "host": api.host,
            "kind": "quay",
            "api_url": api.url,
            "tls": False,
            "requests_per_second": 1000,  # by default four to Quay's API: a thousand routes would wait 250 seconds
        }
        for name, api in (("here", here), ("there", there))
    }
    mirrors = {
        name: {"source": "here", "destinations": ["there"], "repositories": list(each)} for name, each in names.items()
    }
    return {"registries": registries, "mirrors": mirrors}


def _database_bytes(airflow: LocalAirflow) -> int:
    return sum(path.stat().st_size for path in airflow.home.glob("airflow.db*"))


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
    *("what", "mirrors at once", "routes each", "tags each", "tasks", "ended as", "seconds", "requests"),
    *("database grew", "memory", "scheduler, workers, tasks", "API servers", "DAG processor", "triggerer"),
)

_CPU_PARTS = (TASKS, SUPERVISORS, LOOP, API, "dag-processor", "triggerer")


def render(loads: Sequence[Load], bigs: Sequence[Big]) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {' | '.join(_LOAD_HEADINGS)} |",
        f"|{'---|' * len(_LOAD_HEADINGS)}",
        *map(_load_row, loads),
        "",
        "CPU of a route, in milliseconds:",
        "",
        f"| what | routes | all | {' | '.join(_CPU_PARTS)} |",
        f"|{'---|' * (3 + len(_CPU_PARTS))}",
        *map(_cpu_row, loads),
        "",
        "| tags in one repository | requests | CPU seconds | memory before | memory at the most |",
        "|---|---|---|---|---|",
    ]
    for big in bigs:
        memory = (f"{big.idle_megabytes:.0f} MB", f"{big.peak_megabytes:.0f} MB")
        lines.append(f"| {' | '.join((f'{big.tags:,}', str(big.requests), f'{big.cpu_seconds:.1f}', *memory))} |")
    return "\n".join(lines)


def _load_row(load: Load) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(load.states.items()))
    shape = (load.name, str(load.mirrors or ""), f"{load.routes:,}", str(load.tags or ""), f"{load.tasks:,}", states)
    speed = (f"{load.seconds:.0f}", f"{load.requests:,}")
    parts = (SCHEDULER, API, "dag-processor", "triggerer")
    memory = (f"{load.costs.peak_megabytes:,} MB", *(f"{load.costs.peaks[part]} MB" for part in parts))
    return f"| {' | '.join((*shape, *speed, f'{load.database_megabytes:.1f} MB', *memory))} |"


def _cpu_row(load: Load) -> str:
    parts = (load.cpu_ms_per_route(part) for part in _CPU_PARTS)
    figures = (load.all_routes, load.cpu_ms_per_route(*_CPU_PARTS), *parts)
    return f"| {' | '.join((load.name, *(f'{figure:,.0f}' for figure in figures)))} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--routes", type=int, nargs="*", default=[100, 1000], help="of a mirror, by run (100 1000)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {BLOCK.page}")
    arguments = parser.parse_args()
    loads = list[Load]()
    many_mirrors = [] if arguments.routes != [100, 1000] else [(20, 10, 10)]
    for mirrors, routes, tags in (*((1, count, 100) for count in arguments.routes), *many_mirrors):
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            loads += through_airflow(mirrors, routes, tags, Path(folder))
    text = render(loads, [one_repository(count) for count in (100, 10_000)])
    print(text)
    if arguments.write:
        BLOCK.write(text)


if __name__ == "__main__":
    main()
