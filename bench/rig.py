"""Cost of the proxies of the contests themselves."""

from __future__ import annotations

import time

import urllib3

from bench.contest import Contest, hold
from bench.proxy import CountingProxy
from bench.scope import Scope
from bench.storage import big_images, many_tags
from bench.tables import Findings, Row, Table
from registry_sync.oci.manifest import ACCEPT
from testkit.registry import RegistryProcess

HEADS = 1000


def measure(scope: Scope) -> Findings:
    """HEADs by a pool of urllib3, and big layers by GET and PUT, with and without the proxies."""
    headings = ("raw requests", "wall s without proxies", "with proxies", "CPU s of the proxies")
    rows = [_heads(), _big(scope)]
    return Findings(tables=[Table(title="The counting proxies themselves:", headings=headings, rows=rows)])


def _heads() -> Row:
    with many_tags(1, 1) as storage, RegistryProcess(storage=storage.folder, read_only=True) as registry:
        without = _head_seconds(registry.host)
        with CountingProxy(registry) as proxy:
            behind = _head_seconds(proxy.host)
            cpu_seconds = proxy.take().cpu_seconds
    return (f"{HEADS:,} HEADs, one after another", f"{without:.2f}", f"{behind:.2f}", f"{cpu_seconds:.2f}")


def _head_seconds(host: str) -> float:
    pool, began = urllib3.HTTPConnectionPool(host), time.monotonic()
    for _ in range(HEADS):
        response = pool.request("HEAD", "/v2/bench/app0/manifests/v0", headers={"Accept": ACCEPT}, retries=False)
        if response.status != 200:
            raise RuntimeError(f"HEAD answered {response.status}")
    return time.monotonic() - began


def _big(scope: Scope) -> Row:
    count, megabytes = scope.sizes.big_images, scope.sizes.big_megabytes
    with big_images(count, layer_bytes=megabytes * 1_000_000) as storage:
        (without,) = hold(Contest(source=storage, is_counted=False), scope.raws[:1])
        (behind,) = hold(Contest(source=storage), scope.raws[:1])
    walls = (f"{without.cost.wall_seconds:.2f}", f"{behind.cost.wall_seconds:.2f}")
    return (
        f"{count} layers of {megabytes:,} MB by GET and PUT, four at once",
        *walls,
        f"{behind.proxy_cpu_seconds:.2f}",
    )
