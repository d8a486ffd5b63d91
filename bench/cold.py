"""Copies of small images to an empty registry, plain and over TLS with latency."""

from __future__ import annotations

from bench.contest import Contest, hold
from bench.proxy import Latency
from bench.scope import Scope
from bench.storage import distinct_images
from bench.tables import Findings, contest_table

LAYER_BYTES = 50_000
SLOW = Latency(request_ms=20, connection_ms=40)
LIMIT_SECONDS = 120.0


def measure(scope: Scope) -> Findings:
    """Every tool without latency, and over TLS with it."""
    tools = [*scope.ours, *scope.peers]
    with distinct_images(*scope.sizes.cold, layer_bytes=LAYER_BYTES) as storage:
        quick = hold(Contest(source=storage, limit_seconds=LIMIT_SECONDS), tools)
    with distinct_images(*scope.sizes.cold_tls, layer_bytes=LAYER_BYTES) as storage:
        slow = hold(Contest(source=storage, is_tls=True, latency=SLOW, limit_seconds=LIMIT_SECONDS), tools)
    over_tls = f"over TLS, {SLOW.request_ms} ms more for each request and {SLOW.connection_ms} ms for each connection"
    return Findings(
        tables=[
            contest_table(f"{_work(scope.sizes.cold)}, copied to an empty registry:", quick),
            contest_table(f"{_work(scope.sizes.cold_tls)}, copied to an empty registry {over_tls}:", slow),
        ]
    )


def _work(shape: tuple[int, int]) -> str:
    repositories, tags = shape
    return f"{repositories} repositories with {tags} images each (two platforms, five layers of 50 kB)"
