"""N routes of T tags each, cold and then in sync, between two real registries that count the requests."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.clients import registry, route, sync
from registry_sync.routes.route import Route
from testkit import images
from testkit.registry import RegistryProcess

WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Costs of one pass over all routes. CPU is of our process and the skopeos it started."""

    what: str
    routes: int
    tags: int
    copied: int
    source_requests: int
    destination_requests: int
    writes: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float

    @property
    def requests_per_100_tags(self) -> float:
        return 100 * (self.source_requests + self.destination_requests) / self.tags


def measure(routes: int, tags: int) -> list[Measured]:
    """A cold pass, then one in which all is in sync."""
    with RegistryProcess() as source, RegistryProcess() as destination:
        for number in range(routes):
            for tag in range(tags):
                images.push(source.url, f"bench/app{number}", f"v{tag}", images.multi_arch(f"{number}.{tag}"))
        work = _routes(source, destination, routes)
        return [_pass(what, work, tags, source, destination) for what in ("cold", "in sync")]


def _routes(source: RegistryProcess, destination: RegistryProcess, count: int) -> list[Route]:
    here, there = (registry("distribution", each.host, each.url) for each in (source, destination))
    return [route(here, there, f"bench/app{each}") for each in range(count)]


def _pass(
    what: str, routes: Sequence[Route], tags: int, source: RegistryProcess, destination: RegistryProcess
) -> Measured:
    source.clear_requests()
    destination.clear_requests()
    began, cpu = time.monotonic(), _cpu_seconds()
    copied = sum(sync(each) for each in routes)
    wall, cpu = time.monotonic() - began, _cpu_seconds() - cpu
    methods = Counter(each.method for each in destination.requests())
    return Measured(
        what=what,
        routes=len(routes),
        tags=len(routes) * tags,
        copied=copied,
        source_requests=len(source.requests()),
        destination_requests=methods.total(),
        writes=sum(methods[each] for each in WRITES),
        wall_seconds=wall,
        cpu_seconds=cpu,
        peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
