"""``python -m bench.ours JOB``: sync routes as two task slots of Airflow do, each one route after another.

With the default ``parallel_copies`` that is eight images at once, as the other tools get.

JOB is the JSON of :func:`job`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from registry_sync.config.registry import Registry
from registry_sync.config.settings import MoverName, RouteSettings
from registry_sync.oci.reference import Repository
from registry_sync.routes.route import Route
from registry_sync.tags.overwrite_policy import parse_policies
from testkit.routes import DESTINATION, SOURCE, run_route

SLOTS = 2
"""Routes at the same time. As in Airflow, each slot is a process that was forked after the imports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Routes to sync.

    :ivar ca_file: authority of both registries; ``None`` is plain HTTP.
    :ivar keeps: tags at the destination are kept, and a scheduled run between two full checks compares names.
    """

    source: str
    destination: str
    ca_file: str | None
    names: Sequence[str]
    mover: MoverName
    keeps: bool = False


def command(job: Job) -> list[str]:
    """The command line that does the job."""
    return [sys.executable, "-m", "bench.ours", json.dumps(asdict(job))]


def main() -> None:
    logging.disable(logging.WARNING)
    job = Job(**json.loads(sys.argv[1]))
    slots = min(SLOTS, len(job.names))
    pids = [_fork(job, job.names[number::slots]) for number in range(1, slots)]
    failed = _failed(job, job.names[::slots])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if failed or any(codes):
        raise SystemExit(f"{len(failed)} routes failed, such as {failed[:1]}; the other slots ended with {codes}")


def _fork(job: Job, names: Sequence[str]) -> int:
    """Sync routes in a process of its own. Returns its number."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(1 if _failed(job, names) else 0)
        finally:
            os._exit(2)
    return pid


def _failed(job: Job, names: Sequence[str]) -> list[str]:
    """Sync routes one after another. Returns the names of those that failed."""
    return [name for name in names if run_route(_route(job, name), compares_names=job.keeps).is_failed]


def _route(job: Job, name: str) -> Route:
    tls: dict[str, Any] = {"tls": job.ca_file is not None, "ca_file": Path(job.ca_file) if job.ca_file else None}
    return Route(
        mirror="bench",
        source=Registry(name=SOURCE, host=job.source, **tls),
        destination=Registry(name=DESTINATION, host=job.destination, **tls),
        source_repository=Repository(job.source, name),
        destination_repository=Repository(job.destination, name),
        settings=RouteSettings(transfer=job.mover, on_moved_tag=parse_policies("keep" if job.keeps else "follow")),
    )


if __name__ == "__main__":
    main()
