"""CPU of one HEAD: our client beside ``requests`` and a bare pool of ``urllib3``, in one thread and one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
import urllib3

from bench.clients import NAME
from bench.scope import Scope
from bench.tables import Findings, Row, Table
from registry_sync.oci.manifest import ACCEPT
from registry_sync.oci.reference import Repository
from registry_sync.registry.distribution import DistributionClient
from registry_sync.registry.endpoint import Endpoint
from testkit import images
from testkit.registry import RegistryProcess

ROUNDS = 3
"""Each is measured this often, in turn. The least counts, because other work on the machine only adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """CPU of one HEAD in milliseconds, and how many times that of the bare pool it is."""

    what: str
    cpu_milliseconds: float
    ratio: float


def measure(scope: Scope) -> Findings:
    """The table."""
    headings = (f"{scope.sizes.heads} HEADs by", "CPU ms each", "× the pool")
    rows = [_row(head) for head in measure_heads(scope.sizes.heads)]
    return Findings(tables=[Table(title="A HEAD of one tag:", headings=headings, rows=rows)])


def _row(head: Head) -> Row:
    return (head.what, f"{head.cpu_milliseconds:.2f}", f"{head.ratio:.1f}")


def measure_heads(count: int) -> list[Head]:
    """``count`` HEADs of one tag by each client."""
    with RegistryProcess() as server:
        images.push(server.url, NAME, "v1", images.image([]))
        seconds = _least(_clients(server), count)
    pool = seconds["urllib3 pool"]
    return [
        Head(what=what, cpu_milliseconds=1000 * second / count, ratio=second / pool) for what, second in seconds.items()
    ]


def _clients(server: RegistryProcess) -> dict[str, Callable[[], object]]:
    """A HEAD by each client, with connections that are kept."""
    path, headers = f"/v2/{NAME}/manifests/v1", {"Accept": ACCEPT}
    ours = DistributionClient(Endpoint(host=server.host, tls=False))
    session, pool = requests.Session(), urllib3.connectionpool.connection_from_url(server.url)
    repository = Repository(server.host, NAME)
    return {
        "registry_sync": lambda: ours.head_manifest(repository, "v1"),
        "requests.Session": lambda: session.head(server.url + path, headers=headers, timeout=60),
        "urllib3 pool": lambda: pool.request("HEAD", path, headers=headers, retries=False),
    }


def _least(clients: dict[str, Callable[[], object]], count: int) -> dict[str, float]:
    """CPU seconds of ``count`` calls."""
    rounds = [{what: _cpu_seconds(head, count) for what, head in clients.items()} for _ in range(ROUNDS)]
    return {what: min(each[what] for each in rounds) for what in clients}


def _cpu_seconds(head: Callable[[], object], count: int) -> float:
    started = time.process_time()
    for _ in range(count):
        head()
    return time.process_time() - started
