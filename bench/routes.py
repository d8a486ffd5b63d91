"""N routes of T tags each, cold and then in step, between two real registries that count the requests."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from registry_sync.credentials import Endpoint
from registry_sync.mirrors import Mirror, Registry, Route, listed_routes
from registry_sync.registry.kinds import open_client
from registry_sync.skopeo import Skopeo, find_skopeo
from registry_sync.sync import Sides, sync_route
from tests.support import images
from tests.support.registry import RegistryProcess

WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one pass over all routes cost. CPU is of our process and the skopeos it started."""

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
    """A cold pass, then one in which all is in step."""
    with RegistryProcess() as source, RegistryProcess() as destination:
        for route in range(routes):
            for tag in range(tags):
                images.push(source.url, f"bench/app{route}", f"v{tag}", images.multi_arch(f"{route}.{tag}"))
        work = _routes(source.host, destination.host, routes)
        return [_pass(what, work, tags, source, destination) for what in ("cold", "in step")]


def _routes(source: str, destination: str, count: int) -> list[Route]:
    here = Registry(name="source", host=source, tls=False)
    there = Registry(name="destination", host=destination, tls=False)
    names = tuple(f"bench/app{each}" for each in range(count))
    mirror = Mirror(name="bench", source="source", destinations=("destination",), repositories=names)
    return list(listed_routes(mirror, here, there))


def _pass(
    what: str, routes: Sequence[Route], tags: int, source: RegistryProcess, destination: RegistryProcess
) -> Measured:
    source.clear_requests()
    destination.clear_requests()
    began, cpu = time.monotonic(), _cpu_seconds()
    copied = sum(_sync(route) for route in routes)
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


def _sync(route: Route) -> int:
    """Sync a route as its task does, with clients of its own; the number of tags copied."""
    here = Endpoint(host=route.source.host, tls=False)
    there = Endpoint(host=route.destination.host, tls=False)
    with (
        closing(open_client("distribution", here, max_connections=8)) as source,
        closing(open_client("distribution", there, max_connections=8)) as destination,
        Skopeo(
            find_skopeo(),
            source=here,
            destination=there,
            copy_timeout_seconds=600,
            stall_timeout_seconds=60,
            log=lambda *_: None,
        ) as skopeo,
    ):
        report = sync_route(route, Sides(source=source, destination=destination), skopeo)
    if report.is_failed:
        raise RuntimeError(f"the benchmark's own copy failed: {report}")
    return report.counts["copied"]
